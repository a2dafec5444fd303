//! All that entering a tenant takes, in one message: a transaction that finds the tenant by its name,
//! names it, and reads as it.

use std::fmt::Write as _;

use async_trait::async_trait;
use sqlx::{postgres::PgRow, types::Uuid};
use tenancy_core::{
    DirectoryError, Entry, EntryDirectory, EntryQuery, Membership, MembershipStatus, TenantId,
    TenantKey,
};

use super::{
    PgDirectory,
    read::{Name, definition, literal, scope},
    rows,
};
use crate::{
    options::{Isolation, Timeouts, TxOptions},
    session::{self, Batch},
};

#[async_trait]
impl EntryDirectory for PgDirectory {
    async fn find_entry(&self, query: &EntryQuery) -> Result<Entry, DirectoryError> {
        if !self.serves {
            return Err(DirectoryError::new(
                "this directory is over the system login alone, and admits nobody; a service connects its own with \
                 `PgDirectory::connect`",
            ));
        }
        let batch = match Name::of(&query.tenant) {
            None => self.as_tenant(id_of(query)),
            // A seal is for an id. So the name is resolved first, whoever's it is.
            Some(name) if self.app.is_sealed() => {
                let found = self.resolve(name).await?;
                self.as_tenant(found.unwrap_or(query.nobody))
            }
            Some(name) => as_whoever_is(name, query.nobody),
        };
        let rows = session::run(&self.app, batch.whole(&statements(query)))
            .await
            .map_err(DirectoryError::new)?;
        read(&rows, query)
    }
}

fn id_of(query: &EntryQuery) -> TenantId {
    match &query.tenant {
        TenantKey::Id(id) => *id,
        _ => query.nobody,
    }
}

impl PgDirectory {
    fn as_tenant(&self, tenant: TenantId) -> Batch {
        let options = TxOptions::new()
            .read_only()
            .isolation(Isolation::RepeatableRead);
        scope(tenant).begin_batch(None, &options, &Timeouts::LOOK_UP)
    }
}

/// One snapshot for all statements: roles are told as of the moment of the membership.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Begins a transaction as whoever has a name.
fn as_whoever_is(name: Name<'_>, nobody: TenantId) -> Batch {
    let named = format!(
        "SELECT pg_catalog.set_config('tenancy.tenant_id', coalesce({}::text, '{nobody}'), true)",
        name.resolved()
    );
    session::nobodys_batch(BEGIN, &Timeouts::LOOK_UP).and(&named)
}

/// What is read as the tenant. The statements are the same for a tenant that is the user's, for one that is not
/// and for one that does not exist; of name, plan, settings, roles and the project, only a member is told.
fn statements(query: &EntryQuery) -> String {
    let is_reached = is_reached(query);
    let is_member = query.user.map(|user| {
        format!(
            "({is_reached} AND EXISTS (SELECT FROM tenancy.memberships AS m \
             WHERE m.tenant_id = tenancy.current_tenant() AND m.user_id = '{user}' \
             AND m.status = 'active'))"
        )
    });
    let is_told = match &is_member {
        _ if query.for_visitors => "true",
        Some(is_member) => is_member,
        None => &is_reached,
    };
    let mut sql = format!(
        "SELECT 'tenant' AS part, {} FROM tenancy.tenants AS t WHERE t.id = tenancy.current_tenant()",
        rows::tenant_if(is_told)
    );
    if let (Some(user), Some(is_member)) = (query.user, &is_member) {
        // No tenant has the nil id. Without it, the statement would tell what is known.
        let known = query
            .known_roles
            .unwrap_or(TenantId::from_uuid(Uuid::nil()));
        let _ = write!(
            sql,
            "; SELECT 'membership' AS part, tenant_id, user_id, role, status \
             FROM tenancy.memberships \
             WHERE tenant_id = tenancy.current_tenant() AND user_id = '{user}' AND {is_reached}; \
             SELECT 'role' AS part, r.name, r.definition FROM tenancy.roles AS r \
             WHERE r.tenant_id = tenancy.current_tenant() AND r.tenant_id <> '{known}' \
             AND {is_member} ORDER BY r.name"
        );
        if let Some(project) = query.project {
            let _ = write!(
                sql,
                "; SELECT 'project' AS part, p.tenant_id, p.id, p.slug, p.name, p.archived, p.access, \
                 pm.role \
                 FROM tenancy.projects AS p \
                 LEFT JOIN tenancy.project_memberships AS pm ON pm.tenant_id = p.tenant_id \
                     AND pm.project_id = p.id AND pm.user_id = '{user}' \
                 WHERE p.tenant_id = tenancy.current_tenant() AND p.id = '{project}' AND {is_member} \
                 AND (p.access = 'members' OR pm.role IS NOT NULL OR EXISTS (\
                     SELECT FROM tenancy.memberships AS o WHERE o.tenant_id = p.tenant_id \
                     AND o.user_id = '{user}' AND o.role = 'owner'))"
            );
        }
    }
    sql
}

/// The condition that the caller's credential reaches the tenant: [`EntryQuery::reaches`], before it is known
/// which tenant that is.
fn is_reached(query: &EntryQuery) -> String {
    match &query.confined_to {
        None => "true".to_owned(),
        Some(TenantKey::Id(id)) => format!("tenancy.current_tenant() = '{id}'"),
        Some(TenantKey::Slug(slug)) => format!(
            "EXISTS (SELECT FROM tenancy.tenants AS o WHERE o.id = tenancy.current_tenant() \
             AND o.slug = {})",
            literal(slug.as_str())
        ),
        Some(key) => (*key == query.tenant).to_string(),
    }
}

fn read(rows: &[PgRow], query: &EntryQuery) -> Result<Entry, DirectoryError> {
    let mut entry = Entry::default();
    let mut roles = Vec::new();
    for row in rows {
        // The settings' answers have no such column.
        let Ok(part) = rows::text(row, "part") else {
            continue;
        };
        match part.as_str() {
            "tenant" => entry.tenant = Some(rows::tenant(row)?),
            "membership" => entry.membership = Some(rows::membership(row)?),
            "role" => {
                let tenant = entry
                    .tenant
                    .as_ref()
                    .map_or(query.nobody, |tenant| tenant.id);
                roles.extend(definition(tenant, row)?);
            }
            _ => {
                let role: Option<String> = rows::column(row, "role")?;
                let role = role.map(|role| role.parse()).transpose();
                let project = rows::project(row)?;
                entry.project = Some((project, role.map_err(DirectoryError::new)?));
            }
        }
    }
    let is_active = |member: &Membership| member.status == MembershipStatus::Active;
    let told = |tenant| query.known_roles != Some(tenant);
    if let (Some(tenant), true) = (
        &entry.tenant,
        entry.membership.as_ref().is_some_and(is_active),
    ) {
        entry.roles = told(tenant.id).then_some(roles);
    }
    Ok(entry)
}
