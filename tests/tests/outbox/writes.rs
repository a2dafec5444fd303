//! Events and entries of the audit trail commit and roll back with the rows of their transaction.

use anyhow::Context as _;
use sqlx::{AssertSqlSafe, Executor as _};
use tenancy_core::{
    AuditEntry, Clock as _, Outcome, SystemClock, TenantId, TenantRecord, UserId,
    alert::AlertSink as _,
    outbox::{Event, NewEvent, OutboxErrorKind},
};
use tenancy_sqlx::{ErrorKind, PgOutbox, TenantPoolOptions, danger};
use tenancy_tests::notes::{Notes, on_every_server, sqlstate};

use crate::{Reader, about};

fn entry(action: &'static str) -> AuditEntry {
    AuditEntry::new(SystemClock.now(), action, Outcome::Allowed)
}

/// How many notes, events and entries a tenant has, past row security.
async fn counts(notes: &Notes, tenant: &TenantRecord) -> anyhow::Result<[i64; 3]> {
    Ok([
        notes.count("notes", tenant).await?,
        notes.count("tenancy.outbox_events", tenant).await?,
        notes.count("tenancy.audit_entries", tenant).await?,
    ])
}

#[tokio::test]
async fn an_event_and_an_entry_commit_with_their_rows_and_roll_back_with_them() -> anyhow::Result<()>
{
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let reader = Reader::new(notes).await?;
        let context = notes.context(&notes.acme);
        let write = "INSERT INTO notes (body) VALUES ('with an event')";
        let all = async |commits: Option<bool>| {
            let mut tx = pool.begin(&context).await?;
            tx.execute(write).await?;
            let entry = entry("note.create").about("note", 4711);
            let event = about("note.created", 1)?.caused_by(entry.id);
            tx.record(&entry).await?;
            tx.emit(&event).await?;
            match commits {
                Some(true) => tx.commit().await?,
                Some(false) => tx.rollback().await?,
                None => drop(tx),
            }
            anyhow::Ok(event)
        };
        for undone in [Some(false), None] {
            all(undone).await?;
            assert_eq!(counts(notes, &notes.acme).await?, [3, 0, 0]);
        }
        // A statement that fails undoes the event before it.
        let mut tx = pool.begin(&context).await?;
        tx.emit(&about("note.created", 1)?).await?;
        assert!(tx.execute("SELECT 1 / 0").await.is_err());
        assert!(tx.commit().await.is_err());
        assert_eq!(counts(notes, &notes.acme).await?, [3, 0, 0]);
        assert_eq!(reader.drain().await?, []);

        let event = all(Some(true)).await?;
        assert_eq!(counts(notes, &notes.acme).await?, [4, 1, 1]);
        let handled = reader.drain().await?;
        let [
            Event {
                id,
                tenant,
                caused_by,
                ..
            },
        ] = &*handled
        else {
            anyhow::bail!("{handled:?}");
        };
        assert_eq!(
            (*id, *tenant, *caused_by),
            (event.id(), Some(notes.acme.id), event.cause())
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_savepoint_takes_its_events_back() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let reader = Reader::new(notes).await?;
        let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
        let (kept, released) = (about("note.created", 1)?, about("note.created", 2)?);
        tx.emit(&kept).await?;
        let mut undone = tx.savepoint().await?;
        undone.emit(&about("note.created", 0)?).await?;
        undone.record(&entry("note.create")).await?;
        undone.rollback().await?;
        let mut inner = tx.savepoint().await?;
        inner.emit(&released).await?;
        inner.record(&entry("note.create")).await?;
        inner.release().await?;
        tx.commit().await?;
        let ids: Vec<_> = reader.drain().await?.iter().map(|event| event.id).collect();
        assert_eq!(ids, [kept.id(), released.id()]);
        assert_eq!(counts(notes, &notes.acme).await?, [3, 2, 1]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_names_another_tenant_is_refused_before_it_is_sent() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
        let foreign = about("note.created", 1)?.of_tenant(notes.globex.id);
        let refused = tx.emit(&foreign).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::OtherTenant);
        let text = refused.to_string();
        let names = [notes.acme.id, notes.globex.id].map(|id| id.to_string());
        assert!(names.iter().all(|name| text.contains(name)), "{text}");
        let foreign = entry("note.create").tenant(notes.globex.id);
        let refused = tx.record(&foreign).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::OtherTenant);

        // Nothing has failed in the database, so that the transaction goes on; its own may be named.
        let own = about("note.created", 2)?.of_tenant(notes.acme.id);
        tx.emit(&own).await?;
        tx.record(&entry("note.create").tenant(notes.acme.id))
            .await?;
        tx.commit().await?;
        assert_eq!(counts(notes, &notes.acme).await?, [3, 1, 1]);
        assert_eq!(counts(notes, &notes.globex).await?, [5, 0, 0]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_transaction_that_was_turned_to_another_tenant_writes_no_event() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        for is_event in [true, false] {
            let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
            let turn = format!(
                "SELECT set_config('tenancy.tenant_id', '{}', true)",
                notes.globex.id
            );
            tx.execute(AssertSqlSafe(turn)).await?;
            let refused = match is_event {
                true => tx.emit(&about("note.created", 1)?).await,
                false => tx.record(&entry("note.create")).await,
            };
            assert_eq!(sqlstate(refused), "42501");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_entry_says_who_acts_and_what_else_it_was_given() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let context = notes.context(&notes.acme);
        let actor = context.principal().actor.clone();
        let mut tx = pool.begin(&context).await?;
        let mut given = entry("note.share")
            .about("note", 4711)
            .about("user", "bob\0")
            .details(serde_json::json!({ "with": ["bob"] }))
            .reason("he asked");
        given.ip = Some("192.0.2.7".parse()?);
        given.user_agent = Some("curl/8".to_owned());
        given.request_id = Some("r-1".to_owned());
        tx.record(&given).await?;
        // One that names its actor keeps it.
        let other = UserId::new();
        let by_other = entry("note.share").actor(tenancy_core::Actor::User(other));
        tx.record(&by_other).await?;
        tx.commit().await?;

        let db = pool.tenant(&context)?;
        let stored: serde_json::Value = sqlx::query_scalar(
            "SELECT to_jsonb(e) - 'at' - 'recorded_at' FROM tenancy.audit_entries AS e WHERE id = $1",
        )
        .bind(given.id)
        .fetch_one(&db)
        .await?;
        let expected = serde_json::json!({
            "id": given.id, "tenant_id": notes.acme.id, "actor_kind": actor.kind(),
            "actor_id": context.user_id(), "on_behalf_of": null,
            "credential": &*context.principal().issuer, "action": "note.share",
            "outcome": "allowed", "reason": "he asked",
            "targets": [{ "type": "note", "id": "4711" }, { "type": "user", "id": "bob\u{fffd}" }],
            "details": { "with": ["bob"] }, "ip": "192.0.2.7", "user_agent": "curl/8",
            "request_id": "r-1", "suppressed": 0, "project_id": null, "trace_id": null, "changes": null,
            "version": AuditEntry::VERSION,
        });
        assert_eq!(stored, expected);
        let stored: (uuid::Uuid, Option<String>) =
            sqlx::query_as("SELECT actor_id, credential FROM tenancy.audit_entries WHERE id = $1")
                .bind(by_other.id)
                .fetch_one(&db)
                .await?;
        assert_eq!(stored, (other.as_uuid(), None));
        Ok(())
    })
    .await
}

/// The transaction that is open writes first and commits last. Nobody waits for it, and it is not skipped.
#[tokio::test]
async fn a_late_commit_is_not_skipped_and_keeps_nobody_waiting() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let reader = Reader::new(notes).await?;
        let (early, late) = (about("note.created", 1)?, about("note.created", 2)?);
        let mut open = pool.begin(&notes.context(&notes.acme)).await?;
        open.emit(&late).await?;
        let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
        tx.emit(&early).await?;
        tx.commit().await?;
        let first = reader.drain().await?;
        assert_eq!(
            first.iter().map(|event| event.id).collect::<Vec<_>>(),
            [early.id()]
        );
        assert_eq!(reader.drain().await?, []);
        open.commit().await?;
        let second = reader.drain().await?;
        assert_eq!(
            second.iter().map(|event| event.id).collect::<Vec<_>>(),
            [late.id()]
        );
        assert!(second[0].place > first[0].place);
        Ok(())
    })
    .await
}

/// Two transactions that change one row: the second one waits for the first, and so do their events.
#[tokio::test]
async fn events_that_follow_their_change_are_in_the_changes_order() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let reader = Reader::new(notes).await?;
        let context = notes.context(&notes.acme);
        let change = "UPDATE notes SET stars = stars + 1";
        let (first, second) = (about("note.changed", 1)?, about("note.changed", 2)?);
        let mut one = pool.begin(&context).await?;
        let mut two = pool.begin(&context).await?;
        // The second one has begun before, and has a snapshot of its own at each statement.
        two.execute("SELECT count(*) FROM notes").await?;
        one.execute(change).await?;
        one.emit(&first).await?;
        let (ended, waited) = tokio::join!(one.commit(), async {
            two.execute(change).await?;
            two.emit(&second).await?;
            two.commit().await
        });
        ended?;
        waited?;
        let ids: Vec<_> = reader.drain().await?.iter().map(|event| event.id).collect();
        assert_eq!(ids, [first.id(), second.id()]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn operators_write_events_of_any_tenant_and_of_none() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let reader = Reader::new(notes).await?;
        let durable = tenancy_sqlx::PgAuditSink::new(&notes.system);
        let tenancy = tenancy_tests::notes::builder(notes.directory.clone())?
            .audit(durable)
            .build()?;
        let own = about("tenant.renamed", 1)?.of_tenant(notes.globex.id);
        let nobodys = NewEvent::new("issuer.revoked", ())?;
        let begin = async || {
            let begun =
                danger::across_tenants(&tenancy, &notes.system, UserId::new(), "a test").await;
            begun.context("across tenants")
        };
        let mut tx = begin().await?;
        tx.emit(&about("tenant.renamed", 0)?).await?;
        drop(tx);
        let mut tx = begin().await?;
        tx.emit(&own).await?;
        tx.emit(&nobodys).await?;
        tx.record(&entry("issuer.revoke").about("issuer", "https://login.example"))
            .await?;
        tx.commit().await?;
        let handled = reader.drain().await?;
        let told: Vec<_> = handled
            .iter()
            .map(|event| (event.id, event.tenant))
            .collect();
        assert_eq!(
            told,
            [(own.id(), Some(notes.globex.id)), (nobodys.id(), None)]
        );
        let mut admin = notes.database.admin().await?;
        let nobodys: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM tenancy.audit_entries
             WHERE tenant_id IS NULL AND action = 'issuer.revoke'",
        )
        .fetch_one(&mut admin)
        .await?;
        assert_eq!(nobodys, 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_largest_payload_is_stored_and_an_event_is_written_once() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let reader = Reader::new(notes).await?;
        let context = notes.context(&notes.acme);
        // As `jsonb` writes it, it is half as long again.
        let zeros = serde_json::json!(vec![0; 32_767]);
        let largest = NewEvent::new("note.created", &zeros)?;
        let mut tx = pool.begin(&context).await?;
        tx.emit(&largest).await?;
        tx.commit().await?;
        let handled = reader.drain().await?;
        assert_eq!(handled[0].payload, zeros);
        let mut tx = pool.begin(&context).await?;
        assert_eq!(sqlstate(tx.emit(&largest).await), "23505");
        Ok(())
    })
    .await
}

/// An event of a tenant that is gone is told all the same.
#[tokio::test]
async fn an_event_needs_no_tenant_on_record() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let reader = Reader::new(notes).await?;
        let gone = about("tenant.removed", 1)?.of_tenant(TenantId::new());
        reader.outbox.emit(std::slice::from_ref(&gone)).await?;
        assert_eq!(reader.drain().await?[0].tenant, gone.tenant());
        Ok(())
    })
    .await
}

/// An alert whose answer was lost is delivered again: it is there once, and keeps no later one waiting.
#[tokio::test]
async fn an_alert_is_an_event_and_is_written_once() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let reader = Reader::new(notes).await?;
        let outbox = PgOutbox::new(&notes.system);
        let alert = NewEvent::new("alert.refusals", serde_json::json!({ "refusals": 100 }))?;
        let alert = alert.of_tenant(notes.acme.id);
        outbox.deliver(&alert).await?;
        let again = outbox.deliver(&alert).await;
        let again = again.err().context("it was written twice")?;
        assert_eq!(again.kind(), OutboxErrorKind::Invalid, "{again}");
        let told = reader.drain().await?;
        let told: Vec<_> = told.iter().map(|event| (event.id, event.tenant)).collect();
        assert_eq!(told, [(alert.id(), Some(notes.acme.id))]);
        Ok(())
    })
    .await
}
