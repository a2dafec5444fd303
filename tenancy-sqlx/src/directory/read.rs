//! Reading the registry: each look-up is one read-only transaction, as the tenant it concerns.

use std::fmt::Write as _;

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Row as _, types::Uuid};
use tenancy_core::{
    DirectoryError, EntryDirectory as _, EntryQuery, Membership, MembershipDirectory, Project,
    ProjectDirectory, ProjectId, RoleDefinition, RoleDirectory, RoleName, TenantDirectory,
    TenantId, TenantKey, TenantRecord, UserId,
};

use super::{PgDirectory, rows};
use crate::{
    connections::Connections,
    options::{Timeouts, TxOptions},
    session::{self, Open, Scope},
};

impl PgDirectory {
    /// Begins a read-only transaction as a tenant.
    pub(super) async fn read_as(&self, tenant: TenantId) -> Result<Open, DirectoryError> {
        let options = TxOptions::new().read_only();
        let batch = scope(tenant).begin_batch(None, &options, &Timeouts::LOOK_UP);
        session::begin(&self.app, batch)
            .await
            .map_err(DirectoryError::new)
    }

    /// Begins a read-only transaction as nobody: only functions that look names up answer.
    pub(super) async fn read_as_nobody(&self, pool: &Connections) -> Result<Open, DirectoryError> {
        let batch = session::nobodys_batch("BEGIN READ ONLY", &Timeouts::LOOK_UP);
        session::begin(pool, batch)
            .await
            .map_err(DirectoryError::new)
    }
}

pub(super) fn scope(tenant: TenantId) -> Scope {
    Scope {
        tenant,
        project: None,
    }
}

#[async_trait]
impl TenantDirectory for PgDirectory {
    /// As many round trips for a name that is nobody's.
    async fn find_tenant(&self, key: &TenantKey) -> Result<Option<TenantRecord>, DirectoryError> {
        if !self.serves {
            return self.find_as_operator(key).await;
        }
        let query = EntryQuery::new(key.clone(), None, TenantId::new());
        Ok(self.find_entry(&query).await?.tenant)
    }
}

/// A name as the registry keeps it.
#[derive(Clone, Copy)]
pub(super) struct Name<'k> {
    pub(super) kind: &'static str,
    pub(super) provider: &'k str,
    pub(super) name: &'k str,
}

impl<'k> Name<'k> {
    /// The name that a key is; `None` for an id.
    pub(super) fn of(key: &'k TenantKey) -> Option<Self> {
        let (kind, provider, name) = match key {
            TenantKey::Slug(slug) => ("slug", "", slug.as_str()),
            TenantKey::Domain(domain) => ("domain", "", domain.as_str()),
            TenantKey::External { provider, id } => ("external", &**provider, &**id),
            _ => return None,
        };
        Some(Self {
            kind,
            provider,
            name,
        })
    }

    /// The expression for the id of whoever has the name.
    pub(super) fn resolved(self) -> String {
        let (provider, name) = (literal(self.provider), literal(self.name));
        format!(
            "tenancy.resolve_tenant('{}', {provider}, {name})",
            self.kind
        )
    }
}

/// A text in SQL.
///
/// # Security
/// It goes as hexadecimal digits, so that nothing in it can end the literal, whatever the session takes for an
/// escape.
pub(super) fn literal(text: &str) -> String {
    let mut sql = String::with_capacity(2 * text.len() + 64);
    sql.push_str("pg_catalog.convert_from(pg_catalog.decode('");
    for byte in text.bytes() {
        let _ = write!(sql, "{byte:02x}");
    }
    sql.push_str("', 'hex'), 'UTF8')");
    sql
}

impl PgDirectory {
    /// The id behind a name. The record is read as that tenant, and so in a transaction of its own.
    pub(super) async fn resolve(&self, name: Name<'_>) -> Result<Option<TenantId>, DirectoryError> {
        let nobody = session::nobodys_batch("BEGIN READ ONLY", &Timeouts::LOOK_UP);
        let found = nobody.whole(&format!("SELECT {} AS found", name.resolved()));
        let rows = session::run(&self.app, found)
            .await
            .map_err(DirectoryError::new)?;
        let found = rows.iter().find_map(|row| row.try_get("found").ok());
        let found: Option<Uuid> = found.ok_or_else(|| DirectoryError::new("no answer"))?;
        Ok(found.map(TenantId::from_uuid))
    }
}

impl PgDirectory {
    /// The same with the system login, which reads each tenant's record without being that tenant: in a database whose
    /// sessions are sealed it could not be.
    async fn find_as_operator(
        &self,
        key: &TenantKey,
    ) -> Result<Option<TenantRecord>, DirectoryError> {
        let id = match (key, Name::of(key)) {
            (TenantKey::Id(id), _) => Some(*id),
            (_, Some(name)) => self.resolve(name).await?,
            _ => None,
        };
        let Some(id) = id else { return Ok(None) };
        let mut reading = self.list_all().await.map_err(DirectoryError::new)?;
        let select = format!(
            "SELECT {} FROM tenancy.tenants AS t WHERE t.id = $1",
            rows::TENANT
        );
        let found = sqlx::query(AssertSqlSafe(select))
            .bind(id.as_uuid())
            .fetch_optional(&mut *reading)
            .await
            .map_err(DirectoryError::new)?;
        found.as_ref().map(rows::tenant).transpose()
    }
}

#[async_trait]
impl MembershipDirectory for PgDirectory {
    async fn find_membership(
        &self,
        tenant: TenantId,
        user: UserId,
    ) -> Result<Option<Membership>, DirectoryError> {
        let mut reading = self.read_as(tenant).await?;
        let read = sqlx::query(
            "SELECT tenant_id, user_id, role, status FROM tenancy.memberships \
             WHERE tenant_id = $1 AND user_id = $2",
        )
        .bind(tenant.as_uuid())
        .bind(user.as_uuid())
        .fetch_optional(&mut *reading)
        .await;
        read.map_err(DirectoryError::new)?
            .as_ref()
            .map(rows::membership)
            .transpose()
    }
}

#[async_trait]
impl ProjectDirectory for PgDirectory {
    async fn find_project(
        &self,
        tenant: TenantId,
        project: ProjectId,
    ) -> Result<Option<Project>, DirectoryError> {
        let mut reading = self.read_as(tenant).await?;
        let read = sqlx::query(
            "SELECT tenant_id, id, slug, name, archived, access FROM tenancy.projects \
             WHERE tenant_id = $1 AND id = $2",
        )
        .bind(tenant.as_uuid())
        .bind(project.as_uuid())
        .fetch_optional(&mut *reading)
        .await;
        read.map_err(DirectoryError::new)?
            .as_ref()
            .map(rows::project)
            .transpose()
    }

    async fn find_project_role(
        &self,
        tenant: TenantId,
        project: ProjectId,
        user: UserId,
    ) -> Result<Option<RoleName>, DirectoryError> {
        let mut reading = self.read_as(tenant).await?;
        let read = sqlx::query(
            "SELECT role FROM tenancy.project_memberships \
             WHERE tenant_id = $1 AND project_id = $2 AND user_id = $3",
        )
        .bind(tenant.as_uuid())
        .bind(project.as_uuid())
        .bind(user.as_uuid())
        .fetch_optional(&mut *reading)
        .await;
        read.map_err(DirectoryError::new)?
            .as_ref()
            .map(rows::role)
            .transpose()
    }
}

#[async_trait]
impl RoleDirectory for PgDirectory {
    async fn find_roles(&self, tenant: TenantId) -> Result<Vec<RoleDefinition>, DirectoryError> {
        let mut reading = self.read_as(tenant).await?;
        let read = sqlx::query(
            "SELECT name, definition FROM tenancy.roles WHERE tenant_id = $1 ORDER BY name",
        )
        .bind(tenant.as_uuid())
        .fetch_all(&mut *reading)
        .await;
        read.map_err(DirectoryError::new)?
            .iter()
            .filter_map(|row| definition(tenant, row).transpose())
            .collect()
    }
}

/// A stored role. One that can't be read seals itself and no other.
pub(super) fn definition(
    tenant: TenantId,
    row: &sqlx::postgres::PgRow,
) -> Result<Option<RoleDefinition>, DirectoryError> {
    let text: String = rows::column(row, "name")?;
    let Ok(name) = text.parse::<RoleName>() else {
        // No membership can have it either.
        tracing::warn!(tenant.id = %tenant, role = text, "a role has a name that no role can have");
        return Ok(None);
    };
    let json: serde_json::Value = rows::column(row, "definition")?;
    let read = serde_json::from_value::<RoleDefinition>(json);
    Ok(Some(match read {
        Ok(role) if role.name == name => role,
        _ => RoleDefinition::unreadable(name),
    }))
}
