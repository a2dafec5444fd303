//! Whose events and entries a login may write and see, in PostgreSQL's own words.

use anyhow::ensure;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tenancy_core::{AuditEntry, Clock as _, Outcome, SystemClock, TenantRecord};
use tenancy_sqlx::{TenantPoolOptions, TenantTx};
use tenancy_tests::notes::{Notes, PASSWORD, on_every_server, sqlstate};

use crate::about;

/// SQLSTATE of what a login may not do.
const REFUSED: &str = "42501";

const EVENT: &str = "INSERT INTO tenancy.outbox_events (event, tenant_id, kind, payload)
    VALUES (gen_random_uuid(), $T, 'note.created', '1')";
const ENTRY: &str =
    "INSERT INTO tenancy.audit_entries (id, at, tenant_id, actor_kind, action, outcome)
    VALUES (gen_random_uuid(), now(), $T, 'user', 'note.create', 'allowed')";

/// What nobody but the owner may do, with the tables and functions of the outbox and the trail.
const FOR_NOBODY: [&str; 19] = [
    "UPDATE tenancy.outbox_events SET kind = 'a.b'",
    "DELETE FROM tenancy.outbox_events",
    "TRUNCATE tenancy.outbox_events",
    "INSERT INTO tenancy.outbox_events (event, tenant_id, kind, payload, place)
        VALUES (gen_random_uuid(), $T, 'note.created', '1', 1)",
    "INSERT INTO tenancy.outbox_events (event, tenant_id, kind, payload, created_at)
        VALUES (gen_random_uuid(), $T, 'note.created', '1', now())",
    "UPDATE tenancy.audit_records SET action = 'a.b'",
    "DELETE FROM tenancy.audit_records",
    "TRUNCATE tenancy.audit_records",
    "INSERT INTO tenancy.audit_records (id, at, recorded_at, tenant_id, actor_kind, action, outcome)
        VALUES (gen_random_uuid(), now(), now(), $T, 'user', 'note.create', 'allowed')",
    "UPDATE tenancy.audit_particulars SET reason = 'none'",
    "DELETE FROM tenancy.audit_particulars",
    "DELETE FROM tenancy.audit_links",
    "DELETE FROM tenancy.audit_unsealed",
    "UPDATE tenancy.audit_heads SET seq = 0",
    "INSERT INTO tenancy.audit_erasures (entry, cause) VALUES (gen_random_uuid(), gen_random_uuid())",
    "UPDATE tenancy.outbox_head SET place = 0",
    "UPDATE tenancy.outbox_consumers SET place = 0",
    "DELETE FROM tenancy.outbox_parked",
    "SELECT tenancy.outbox_order(1, false)",
];

/// What consumers may do, and those who serve tenants may not.
const FOR_CONSUMERS: [&str; 14] = [
    "SELECT FROM tenancy.audit_links",
    "SELECT FROM tenancy.audit_heads",
    "SELECT tenancy.seal_trail(1, false, false)",
    "SELECT tenancy.prune_trail(gen_random_uuid(), now(), 1, gen_random_uuid())",
    "SELECT tenancy.erase_particulars('{}', gen_random_uuid())",
    "SELECT FROM tenancy.outbox_events",
    "SELECT FROM tenancy.outbox_consumers",
    "SELECT FROM tenancy.outbox_parked",
    "SELECT FROM tenancy.outbox_head",
    "SELECT tenancy.outbox_claim('reader', gen_random_uuid(), 1000, false, 1, 1)",
    "SELECT tenancy.outbox_release('reader', 1)",
    "SELECT tenancy.outbox_drop('reader', 1)",
    "SELECT tenancy.outbox_remove_consumer('reader')",
    "SELECT tenancy.outbox_prune(0, 1)",
];

fn of(statement: &str, tenant: Option<&TenantRecord>) -> String {
    let id = tenant.map_or("NULL".to_owned(), |tenant| format!("'{}'", tenant.id));
    statement.replace("$T", &id)
}

/// An event and an entry of a tenant, through its own transaction.
async fn write(notes: &Notes, tenant: &TenantRecord) -> anyhow::Result<()> {
    let pool = notes.pool(TenantPoolOptions::new()).await?;
    let mut tx = pool.begin(&notes.context(tenant)).await?;
    tx.emit(&about("note.created", 1)?).await?;
    let entry = AuditEntry::new(SystemClock.now(), "note.create", Outcome::Allowed);
    tx.record(&entry).await?;
    tx.commit().await?;
    for table in ["tenancy.outbox_events", "tenancy.audit_entries"] {
        ensure!(notes.count(table, tenant).await? == 1, "{table} has no row");
    }
    Ok(())
}

/// What the database says to a statement, in a savepoint.
async fn said(tx: &mut TenantTx, statement: &str) -> anyhow::Result<String> {
    let mut inner = tx.savepoint().await?;
    let done = inner.execute(AssertSqlSafe(statement.to_owned())).await;
    let said = sqlstate(done);
    inner.rollback().await?;
    Ok(said)
}

#[tokio::test]
async fn the_service_adds_to_its_own_tenants_and_sees_its_trail() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        write(notes, &notes.acme).await?;
        write(notes, &notes.globex).await?;
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
        for insert in [EVENT, ENTRY] {
            let own = of(insert, Some(&notes.acme));
            ensure!(said(&mut tx, &own).await? == "00000", "{own}");
            for other in [Some(&notes.globex), None] {
                let other = of(insert, other);
                ensure!(said(&mut tx, &other).await? == REFUSED, "{other}");
            }
        }
        for statement in FOR_NOBODY.iter().chain(&FOR_CONSUMERS) {
            let statement = of(statement, Some(&notes.acme));
            ensure!(said(&mut tx, &statement).await? == REFUSED, "{statement}");
        }
        let seen: Vec<uuid::Uuid> =
            sqlx::query_scalar("SELECT tenant_id FROM tenancy.audit_entries")
                .fetch_all(&mut *tx)
                .await?;
        ensure!(seen == [notes.acme.id.as_uuid()], "{seen:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_session_of_no_tenant_adds_nothing_and_sees_nothing() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        write(notes, &notes.acme).await?;
        let mut app = notes.app().await?;
        for insert in [EVENT, ENTRY] {
            for tenant in [Some(&notes.acme), None] {
                let refused = app.execute(AssertSqlSafe(of(insert, tenant))).await;
                ensure!(sqlstate(refused) == REFUSED, "{insert}");
            }
        }
        let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM tenancy.audit_entries")
            .fetch_one(&mut app)
            .await?;
        ensure!(seen == 0, "{seen}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_registry_login_adds_for_the_tenant_that_it_names() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        // Sealed sessions take a name from a program that has the key, and from no SQL.
        if notes.seal.is_some() {
            return Ok(());
        }
        write(notes, &notes.acme).await?;
        let registry = notes
            .database
            .options_as("tenancy_registry", Some(PASSWORD));
        let mut registry = PgConnection::connect_with(&registry).await?;
        let name = format!("SET tenancy.tenant_id = '{}'", notes.acme.id);
        registry.execute(AssertSqlSafe(name)).await?;
        for insert in [EVENT, ENTRY] {
            registry
                .execute(AssertSqlSafe(of(insert, Some(&notes.acme))))
                .await?;
            for other in [Some(&notes.globex), None] {
                let refused = registry.execute(AssertSqlSafe(of(insert, other))).await;
                ensure!(sqlstate(refused) == REFUSED, "{insert}");
            }
        }
        let more = ["SELECT FROM tenancy.audit_entries"];
        for statement in FOR_NOBODY.iter().chain(&FOR_CONSUMERS).chain(&more) {
            let refused = registry
                .execute(AssertSqlSafe(of(statement, Some(&notes.acme))))
                .await;
            ensure!(sqlstate(refused) == REFUSED, "{statement}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_operators_login_reads_all_and_changes_nothing_that_is_there() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        write(notes, &notes.acme).await?;
        write(notes, &notes.globex).await?;
        let system = notes.database.options_as("tenancy_system", Some(PASSWORD));
        let mut system = PgConnection::connect_with(&system).await?;
        for insert in [EVENT, ENTRY] {
            for tenant in [Some(&notes.acme), None] {
                system.execute(AssertSqlSafe(of(insert, tenant))).await?;
            }
        }
        for statement in FOR_NOBODY {
            let refused = system
                .execute(AssertSqlSafe(of(statement, Some(&notes.acme))))
                .await;
            ensure!(sqlstate(refused) == REFUSED, "{statement}");
        }
        for statement in FOR_CONSUMERS {
            let done = system.execute(statement).await;
            ensure!(sqlstate(done) == "00000", "{statement}");
        }
        Ok(())
    })
    .await
}

/// The check at start knows what the service may do here, and finds what is more.
#[tokio::test]
async fn a_right_to_change_the_trail_is_found_at_start() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        notes.pool(TenantPoolOptions::new()).await?;
        notes
            .as_admin("GRANT DELETE ON tenancy.audit_records TO tenancy_app")
            .await?;
        let refused = notes.pool(TenantPoolOptions::new()).await;
        let text = refused.map(drop).unwrap_err().to_string();
        ensure!(text.contains("tenancy.audit_records"), "{text}");
        Ok(())
    })
    .await
}
