//! Writing the registry: each call is one transaction, of the registry login as the tenant that it
//! concerns, or of the system login. Triggers advance the tenant's generation in it.

mod members;
mod names;
mod projects;
mod provision;
mod roles;
mod tenants;

pub(super) use members::{forget_roles, join};

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use sqlx::{
    AssertSqlSafe, PgConnection,
    error::DatabaseError,
    postgres::{PgQueryResult, PgRow},
};
use tenancy_core::{
    CallerSeen, ChangeRecord, DirectoryError, StoreError, StoreErrorKind, TenantId, TenantRecord,
};

use super::{PgDirectory, read::scope, rows};
use crate::{
    connections::Connections,
    options::{Timeouts, TxOptions},
    outbox,
    session::{self, Open},
};

/// What to do about a directory that has the login of the service alone.
pub(super) const READS_ONLY: &str = "the login of the service can't list or change tenants; give the \
    directory the registry login with `PgDirectory::with_registry`, or the system login with \
    `PgDirectory::with_system`";

impl PgDirectory {
    /// Begins a transaction that writes one tenant's part of the registry.
    pub(super) async fn write_as(&self, tenant: TenantId) -> Result<Writing, StoreError> {
        let tx = match &self.registry {
            Some(registry) => {
                let batch = scope(tenant).begin_batch(None, &TxOptions::new(), &Timeouts::CHANGE);
                let begun = session::begin(registry, batch).await;
                begun.map_err(StoreError::unavailable)?
            }
            None => self.write().await?.tx,
        };
        Ok(Writing {
            tx,
            tenant: Some(tenant),
        })
    }

    /// Begins a transaction that writes what is the operators'.
    pub(super) async fn write(&self) -> Result<Writing, StoreError> {
        let batch = session::nobodys_batch("BEGIN", &Timeouts::CHANGE);
        let tx = session::begin(self.operators()?, batch).await;
        Ok(Writing {
            tx: tx.map_err(StoreError::unavailable)?,
            tenant: None,
        })
    }

    /// Begins a transaction that writes what is no tenant's, by functions that change one thing.
    pub(super) async fn write_by_functions(&self) -> Result<Writing, StoreError> {
        let Some(registry) = &self.registry else {
            return self.write().await;
        };
        let batch = session::nobodys_batch("BEGIN", &Timeouts::CHANGE);
        let tx = session::begin(registry, batch).await;
        Ok(Writing {
            tx: tx.map_err(StoreError::unavailable)?,
            tenant: None,
        })
    }

    /// Begins a transaction that lists one tenant's part of the registry.
    pub(super) async fn list_as(&self, tenant: TenantId) -> Result<Open, StoreError> {
        let Some(registry) = &self.registry else {
            return self.list_all().await;
        };
        let options = TxOptions::new().read_only();
        let batch = scope(tenant).begin_batch(None, &options, &Timeouts::CHANGE);
        session::begin(registry, batch)
            .await
            .map_err(StoreError::unavailable)
    }

    /// Begins a transaction that lists across tenants, by a function that looks at one user's only.
    pub(super) async fn list_across(&self) -> Result<Open, StoreError> {
        match &self.registry {
            Some(registry) => list_in(registry).await,
            None => self.list_all().await,
        }
    }

    /// Begins a transaction that lists across tenants.
    pub(super) async fn list_all(&self) -> Result<Open, StoreError> {
        list_in(self.operators()?).await
    }

    /// The login that reaches every tenant.
    pub(super) fn operators(&self) -> Result<&Connections, StoreError> {
        self.system.as_ref().ok_or_else(|| {
            let message = if self.registry.is_some() {
                "this is the operators': the registry login can't change a tenant's status or plan, \
                 nor list or change what concerns several tenants; give the directory the system \
                 login with `PgDirectory::with_system`, in a process of operators"
            } else {
                READS_ONLY
            };
            StoreError::new(StoreErrorKind::ReadOnly, message)
        })
    }
}

/// Begins a transaction that reads, and names no tenant.
async fn list_in(connections: &Connections) -> Result<Open, StoreError> {
    let batch = session::nobodys_batch("BEGIN READ ONLY", &Timeouts::CHANGE);
    let begun = session::begin(connections, batch).await;
    begun.map_err(StoreError::unavailable)
}

/// A transaction that writes the registry.
pub(super) struct Writing {
    tx: Open,
    /// The tenant whose part it is.
    tenant: Option<TenantId>,
}

impl Deref for Writing {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.tx
    }
}

impl DerefMut for Writing {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.tx
    }
}

/// Sorts what the database says. Values may be a tenant's own, so that the message names none.
pub(super) fn refused(error: sqlx::Error) -> StoreError {
    let error = match error {
        sqlx::Error::Database(said) => said,
        other => return StoreError::unavailable(other),
    };
    let (kind, message) = match error.code().as_deref() {
        Some("23505") => (StoreErrorKind::Conflict, "an id or a name is taken"),
        Some("TN003") => (
            StoreErrorKind::Conflict,
            "the slug was another tenant's, and rests; choose another one",
        ),
        Some("TN004") => (
            StoreErrorKind::Conflict,
            "the tenant has changed its slug too often; wait until one of its old slugs is free",
        ),
        Some("TN005") => return StoreError::last_owner(),
        Some("23503") => (
            StoreErrorKind::NotFound,
            "there is no such tenant or project",
        ),
        Some("42501") => (StoreErrorKind::ReadOnly, "the login may not change tenants"),
        Some("22P02" | "22001" | "22008" | "22021" | "22P05" | "23514" | "23502") => {
            (StoreErrorKind::Invalid, "the value can't be stored")
        }
        _ => return StoreError::unavailable(sqlx::Error::Database(error)),
    };
    // What the server says names tables and may hold values: for the log, and not for an answer.
    tracing::debug!(
        error = error.message(),
        code = error.code().as_deref(),
        "{message}"
    );
    StoreError::new(kind, message)
}

/// The same for what has an id or a name that may be taken, which whoever chose them is told.
pub(super) fn refused_for(error: sqlx::Error, names: impl fmt::Display) -> StoreError {
    let database = error.as_database_error();
    let is_taken = database.is_some_and(DatabaseError::is_unique_violation);
    match refused(error) {
        _ if is_taken => StoreError::new(StoreErrorKind::Conflict, format!("{names} is taken")),
        refused => refused,
    }
}

/// Commits a change, with its entry in the audit trail and its events.
///
/// The caller is looked at here, last of all, and without a lock: whoever takes the role away and has committed is seen,
/// and whoever has not comes after this change. An entry that names no tenant is that of the tenant whose part of the registry was written.
pub(super) async fn commit(mut writing: Writing, with: &ChangeRecord) -> Result<(), StoreError> {
    let tenant = writing.tenant;
    if let Some(caller) = &with.caller {
        require_caller(&mut writing, caller).await?;
    }
    write_record(&mut writing, tenant, with).await?;
    writing.commit_unrecorded().await
}

/// Refuses a caller who is not any more what the change was permitted on.
async fn require_caller(
    connection: &mut PgConnection,
    seen: &CallerSeen,
) -> Result<(), StoreError> {
    let found = sqlx::query(
        "SELECT tenant_id, user_id, role, status FROM tenancy.memberships
         WHERE tenant_id = $1 AND user_id = $2",
    )
    .bind(seen.tenant.as_uuid())
    .bind(seen.user.as_uuid())
    .fetch_optional(connection)
    .await
    .map_err(refused)?;
    let found = found.as_ref().map(rows::membership).transpose();
    seen.check(found.map_err(StoreError::unavailable)?.as_ref())
}

impl Writing {
    /// Commits what no trail is kept of.
    pub(super) async fn commit_unrecorded(self) -> Result<(), StoreError> {
        self.tx.commit().await.map_err(refused)
    }
}

/// Writes what a change has to say. After the change: then the events about one row are in the order of its
/// changes.
pub(super) async fn write_record(
    connection: &mut PgConnection,
    tenant: Option<TenantId>,
    with: &ChangeRecord,
) -> Result<(), StoreError> {
    let ChangeRecord { entry, events, .. } = with;
    outbox::add_entry(&mut *connection, entry.tenant.or(tenant), entry)
        .await
        .map_err(refused)?;
    let events: Vec<_> = events.iter().map(|event| (event.tenant(), event)).collect();
    if events.is_empty() {
        return Ok(());
    }
    outbox::add_events(connection, &events)
        .await
        .map_err(refused)
}

pub(super) fn unknown(tenant: TenantId) -> StoreError {
    StoreError::new(
        StoreErrorKind::NotFound,
        format!("there is no tenant `{tenant}`"),
    )
}

/// Refuses what concerns a tenant that is not there.
pub(super) async fn require_tenant(
    connection: &mut PgConnection,
    id: TenantId,
) -> Result<(), StoreError> {
    let there = sqlx::query("SELECT FROM tenancy.tenants WHERE id = $1")
        .bind(id.as_uuid())
        .fetch_optional(connection)
        .await
        .map_err(refused)?;
    there.map(drop).ok_or_else(|| unknown(id))
}

/// A tenant's record, locked until the transaction ends.
///
/// No stronger than a change of the record needs: `FOR UPDATE` would wait for every open
/// transaction that has written a row of the tenant, since the foreign key of that row holds the
/// record's key.
pub(super) async fn locked_tenant(
    connection: &mut PgConnection,
    id: TenantId,
) -> Result<TenantRecord, StoreError> {
    let one = format!(
        "SELECT {} FROM tenancy.tenants AS t WHERE t.id = $1 FOR NO KEY UPDATE",
        rows::TENANT
    );
    let row = sqlx::query(AssertSqlSafe(one))
        .bind(id.as_uuid())
        .fetch_optional(connection)
        .await
        .map_err(refused)?;
    let row = row.ok_or_else(|| unknown(id))?;
    rows::tenant(&row).map_err(StoreError::unavailable)
}

/// Commits a removal. Nothing may have been there, but the tenant.
pub(super) async fn commit_removal(
    tenant: TenantId,
    removed: &PgQueryResult,
    mut tx: Writing,
    with: &ChangeRecord,
) -> Result<(), StoreError> {
    if removed.rows_affected() == 0 {
        require_tenant(&mut tx, tenant).await?;
    }
    commit(tx, with).await
}

/// Reads the rows of a listing.
pub(super) fn read_rows<T>(
    rows: Result<Vec<PgRow>, sqlx::Error>,
    read: impl Fn(&PgRow) -> Result<T, DirectoryError>,
) -> Result<Vec<T>, StoreError> {
    let rows = rows.map_err(refused)?;
    let read = rows.iter().map(read).collect::<Result<_, _>>();
    read.map_err(StoreError::unavailable)
}
