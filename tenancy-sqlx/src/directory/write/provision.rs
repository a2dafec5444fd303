//! Tenants that are made with all that they begin with, in one transaction of the registry login as the new tenant.

use async_trait::async_trait;
use sqlx::{PgConnection, Row as _};
use tenancy_core::{
    ChangeRecord, KeyId, Membership, NewTenant, Project, ProjectId, ProjectMembership,
    ProvisionedBefore, ProvisioningStore, StoreError, StoreErrorKind, TenantId, UserId,
};
use uuid::Uuid;

use super::{commit, names, refused, refused_for, tenants};
use crate::directory::{PgDirectory, accounts, keys};

#[async_trait]
impl ProvisioningStore for PgDirectory {
    async fn provision(&self, unit: &NewTenant, with: &ChangeRecord) -> Result<(), StoreError> {
        let tenant = unit.tenant.id;
        let mut tx = self.write_as(tenant).await?;
        // First, so that of two with one key the second waits here, and has locked nothing else.
        note(&mut tx, unit).await?;
        tenants::insert(&mut tx, &unit.tenant).await?;
        for name in &unit.names {
            names::bind(&mut tx, tenant, name).await?;
        }
        if let Some(account) = &unit.account {
            accounts::create(&mut tx, account).await?;
        }
        add_owner(&mut tx, &unit.owner).await?;
        if let Some(project) = &unit.project {
            add_project(&mut tx, project).await?;
        }
        if let Some(member) = &unit.project_membership {
            add_project_member(&mut tx, member).await?;
        }
        if let Some(key) = &unit.key {
            keys::insert(&mut tx, key).await?;
        }
        commit(tx, with).await
    }

    async fn find_provisioned(
        &self,
        key: &[u8; 32],
    ) -> Result<Option<ProvisionedBefore>, StoreError> {
        let mut tx = self.list_across().await?;
        let found = sqlx::query("SELECT * FROM tenancy.find_provisioning($1)")
            .bind(key.as_slice())
            .fetch_optional(&mut *tx)
            .await
            .map_err(refused)?;
        let Some(row) = found else { return Ok(None) };
        let read = || -> Result<ProvisionedBefore, sqlx::Error> {
            let request: Vec<u8> = row.try_get("request")?;
            let request = request.try_into().unwrap_or([0; 32]);
            let tenant = TenantId::from_uuid(row.try_get("tenant_id")?);
            let owner = UserId::from_uuid(row.try_get("owner_id")?);
            let project: Option<Uuid> = row.try_get("project_id")?;
            let key: Option<Uuid> = row.try_get("key_id")?;
            let mut before = ProvisionedBefore::new(request, tenant, owner);
            before.project = project.map(ProjectId::from_uuid);
            before.key = key.map(KeyId::from_uuid);
            Ok(before)
        };
        read().map(Some).map_err(StoreError::unavailable)
    }
}

async fn note(connection: &mut PgConnection, unit: &NewTenant) -> Result<(), StoreError> {
    let (Some(of), Some(made)) = (&unit.idempotency, unit.as_before()) else {
        return Ok(());
    };
    let is_first: bool =
        sqlx::query_scalar("SELECT tenancy.note_provisioning($1, $2, $3, $4, $5, $6)")
            .bind(of.key.as_slice())
            .bind(of.request.as_slice())
            .bind(made.tenant.as_uuid())
            .bind(made.owner.as_uuid())
            .bind(made.project.map(|project| project.as_uuid()))
            .bind(made.key.map(|key| key.as_uuid()))
            .fetch_one(connection)
            .await
            .map_err(refused)?;
    if is_first {
        return Ok(());
    }
    Err(StoreError::new(
        StoreErrorKind::Conflict,
        "a tenant was made with this idempotency key",
    ))
}

async fn add_owner(connection: &mut PgConnection, owner: &Membership) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO tenancy.memberships (tenant_id, user_id, role, status) VALUES ($1, $2, $3, $4)",
    )
    .bind(owner.tenant.as_uuid())
    .bind(owner.user.as_uuid())
    .bind(owner.role.as_str())
    .bind(owner.status.as_str())
    .execute(connection)
    .await
    .map_err(refused)?;
    Ok(())
}

async fn add_project(connection: &mut PgConnection, project: &Project) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO tenancy.projects (tenant_id, id, slug, name, archived) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(project.tenant.as_uuid())
    .bind(project.id.as_uuid())
    .bind(project.slug.as_str())
    .bind(&project.name)
    .bind(project.archived)
    .execute(connection)
    .await
    .map_err(|error| refused_for(error, format_args!("the id `{}`", project.id)))?;
    Ok(())
}

async fn add_project_member(
    connection: &mut PgConnection,
    member: &ProjectMembership,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO tenancy.project_memberships (tenant_id, project_id, user_id, role)
         VALUES ($1, $2, $3, $4)",
    )
    .bind(member.tenant.as_uuid())
    .bind(member.project.as_uuid())
    .bind(member.user.as_uuid())
    .bind(member.role.as_str())
    .execute(connection)
    .await
    .map_err(refused)?;
    Ok(())
}
