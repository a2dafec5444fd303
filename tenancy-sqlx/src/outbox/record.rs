//! Writing events, and entries of the audit trail, in the transaction of the rows that they tell of.

use sqlx::{
    PgConnection,
    types::{Json, Uuid},
};
use tenancy_core::{AuditEntry, Tenancy, TenantContext, TenantId, outbox::NewEvent};

use crate::{Error, ErrorKind, Savepoint, TenantTx, audit::Row, danger::AcrossTenants};

impl TenantTx {
    /// Writes an event about this transaction's tenant. It commits or rolls back with the transaction's rows.
    ///
    /// Write it after the change that it tells of: then the events about one row are in the order of its
    /// changes, because PostgreSQL has changes of one row wait for each other.
    ///
    /// ```no_run
    /// # use tenancy_core::outbox::NewEvent;
    /// # async fn example(mut tx: tenancy_sqlx::TenantTx) -> Result<(), Box<dyn std::error::Error>> {
    /// sqlx::query("UPDATE notes SET body = 'new' WHERE id = $1").bind(4711).execute(&mut *tx).await?;
    /// tx.emit(&NewEvent::new("note.changed", serde_json::json!({ "note": 4711 }))?).await?;
    /// tx.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::OtherTenant`] if the event names another tenant, before anything is sent; or what the
    /// database says, such as that this event was written before.
    pub async fn emit(&mut self, event: &NewEvent) -> Result<(), Error> {
        let tenant = self.context().tenant_id();
        emit(self, tenant, event).await
    }

    /// Writes an entry of the audit trail about this transaction's tenant. It commits or rolls back with the
    /// transaction's rows.
    ///
    /// What the entry does not say of who acts, the transaction's [context](Self::context) does: the actor, on
    /// whose behalf, and who vouched for the credential.
    ///
    /// ```no_run
    /// # use tenancy_core::{AuditEntry, Clock as _, Outcome, SystemClock, outbox::NewEvent};
    /// # async fn example(mut tx: tenancy_sqlx::TenantTx) -> Result<(), Box<dyn std::error::Error>> {
    /// let entry = AuditEntry::new(SystemClock.now(), "note.share", Outcome::Allowed)
    ///     .about("note", 4711)
    ///     .details(serde_json::json!({ "with": "bob" }));
    /// let shared = NewEvent::new("note.shared", serde_json::json!({ "note": 4711 }))?;
    /// tx.record(&entry).await?;
    /// tx.emit(&shared.caused_by(entry.id)).await?;
    /// tx.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::OtherTenant`] if the entry names another tenant, before anything is sent; or what the
    /// database says, such as that the details are larger than 64 KiB. Actions are dotted names by custom, such as
    /// `note.share`.
    ///
    /// # Security
    /// Never put a credential into it.
    pub async fn record(&mut self, entry: &AuditEntry) -> Result<(), Error> {
        let context = self.context().clone();
        record(self, &context, entry).await
    }
}

impl Savepoint<'_> {
    /// Writes an event, as [`TenantTx::emit`] does. It is undone with the savepoint.
    ///
    /// # Errors
    /// As [`TenantTx::emit`].
    pub async fn emit(&mut self, event: &NewEvent) -> Result<(), Error> {
        let tenant = self.context().tenant_id();
        emit(self, tenant, event).await
    }

    /// Writes an entry of the audit trail, as [`TenantTx::record`] does. It is undone with the savepoint.
    ///
    /// # Errors
    /// As [`TenantTx::record`].
    pub async fn record(&mut self, entry: &AuditEntry) -> Result<(), Error> {
        let context = self.context().clone();
        record(self, &context, entry).await
    }
}

impl AcrossTenants {
    /// Writes an event about the tenant that it names, or about none. It commits or rolls back with the
    /// transaction.
    ///
    /// # Errors
    /// What the database says.
    pub async fn emit(&mut self, event: &NewEvent) -> Result<(), Error> {
        Ok(add_events(self, &[(event.tenant(), event)]).await?)
    }

    /// Writes an entry of the audit trail about the tenant that it names, or about none. It commits or rolls back
    /// with the transaction.
    ///
    /// # Errors
    /// What the database says.
    pub async fn record(&mut self, entry: &AuditEntry) -> Result<(), Error> {
        let tenancy = self.tenancy().clone();
        add_declared(self, &tenancy, entry.tenant, entry).await
    }
}

async fn emit(
    connection: &mut PgConnection,
    tenant: TenantId,
    event: &NewEvent,
) -> Result<(), Error> {
    check_tenant(tenant, event.tenant(), event.kind())?;
    Ok(add_events(connection, &[(Some(tenant), event)]).await?)
}

async fn record(
    connection: &mut PgConnection,
    context: &TenantContext,
    entry: &AuditEntry,
) -> Result<(), Error> {
    check_tenant(context.tenant_id(), entry.tenant, &entry.action)?;
    let principal = context.principal();
    let mut entry = entry.clone();
    if context.impersonation().is_some() {
        // Whoever names the user as the actor does not know better.
        entry.actor = None;
        entry.on_behalf_of = principal.on_behalf_of;
        entry.credential = None;
    }
    if entry.actor.is_none() {
        entry.actor = Some(principal.actor.clone());
        entry.on_behalf_of = entry.on_behalf_of.or(principal.on_behalf_of);
        let credential = || principal.issuer.to_string();
        entry.credential = entry.credential.or_else(|| Some(credential()));
    }
    let tenant = Some(context.tenant_id());
    add_declared(connection, context.tenancy(), tenant, &entry).await
}

/// Writes an entry of the application's, whose action is counted if nobody declared it.
async fn add_declared(
    connection: &mut PgConnection,
    tenancy: &Tenancy,
    tenant: Option<TenantId>,
    entry: &AuditEntry,
) -> Result<(), Error> {
    tenancy.audit_actions().note(&entry.action);
    Ok(add_entry(connection, tenant, entry).await?)
}

/// Refuses what names another tenant than its transaction.
fn check_tenant(tenant: TenantId, named: Option<TenantId>, what: &str) -> Result<(), Error> {
    match named {
        Some(named) if named != tenant => Err(Error::with_detail(
            ErrorKind::OtherTenant,
            format!("`{what}` names {named}, and the transaction is of {tenant}"),
        )),
        _ => Ok(()),
    }
}

/// Writes events, each for a tenant or for none, in one statement.
pub(crate) async fn add_events(
    connection: &mut PgConnection,
    events: &[(Option<TenantId>, &NewEvent)],
) -> Result<(), sqlx::Error> {
    fn each<'e, T>(
        events: &[(Option<TenantId>, &'e NewEvent)],
        part: impl Fn(&'e NewEvent) -> T,
    ) -> Vec<T> {
        events.iter().map(|(_, event)| part(event)).collect()
    }
    let tenants = events
        .iter()
        .map(|(tenant, _)| tenant.map(|tenant| tenant.as_uuid()));
    sqlx::query(
        "INSERT INTO tenancy.outbox_events (event, tenant_id, kind, payload, caused_by)
         SELECT e.event, e.tenant, e.kind, e.payload, e.cause
         FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::jsonb[], $5::uuid[]) WITH ORDINALITY
             AS e (event, tenant, kind, payload, cause, number)
         ORDER BY e.number",
    )
    .bind(each(events, |event| event.id().as_uuid()))
    .bind(tenants.collect::<Vec<Option<Uuid>>>())
    .bind(each(events, |event| event.kind().to_owned()))
    .bind(each(events, |event| Json(event.payload())))
    .bind(each(events, NewEvent::cause))
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes an entry of the audit trail for a tenant or for none.
pub(crate) async fn add_entry(
    connection: &mut PgConnection,
    tenant: Option<TenantId>,
    entry: &AuditEntry,
) -> Result<(), sqlx::Error> {
    let row = Row::of(entry);
    sqlx::query(
        "WITH r AS (
             INSERT INTO tenancy.audit_records (id, at, version, tenant_id, project_id, actor_kind, actor_id,
                 on_behalf_of, credential, action, outcome, request_id, trace_id, suppressed)
             VALUES ($1, timestamptz 'epoch' + $2::bigint * interval '1 microsecond', $3, $4, $5, $6, $7, $8, $9, $10,
                 $11, $12, $13, $14))
         INSERT INTO tenancy.audit_particulars (entry, tenant_id, reason, targets, details, changes, ip, user_agent)
         VALUES ($1, $4, $15, $16, $17::jsonb::json, $18::jsonb::json, $19::text::inet, $20)",
    )
    .bind(entry.id)
    .bind(entry.at.as_unix_micros())
    .bind(i32::try_from(AuditEntry::VERSION).unwrap_or(i32::MAX))
    .bind(tenant.map(|tenant| tenant.as_uuid()))
    .bind(entry.project.map(|project| project.as_uuid()))
    .bind(row.actor_kind)
    .bind(row.actor_id)
    .bind(entry.on_behalf_of.map(|user| user.as_uuid()))
    .bind(&row.credential)
    .bind(&*entry.action)
    .bind(entry.outcome.as_str())
    .bind(row.request_id())
    .bind(row.trace_id())
    .bind(row.suppressed())
    .bind(row.reason())
    .bind(&row.targets)
    .bind(row.details.as_ref().map(Json))
    .bind(row.changes.as_ref().map(Json))
    .bind(entry.ip.map(|ip| ip.to_string()))
    .bind(row.user_agent())
    .execute(connection)
    .await?;
    Ok(())
}
