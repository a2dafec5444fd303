//! What the trail has about a person is erased in every table, and the chains stay whole.

use anyhow::ensure;
use sqlx::AssertSqlSafe;
use tenancy_core::{
    Actor, AuditSink as _, AuditTrail as _, PersonErasure, StoreErrorKind, TenantStatus, UserId,
};
use tenancy_sqlx::PgAuditSink;
use tenancy_tests::notes::{Notes, on_every_server};

use super::{entry, linked, report, service};

const ADDRESS: &str = "Ann.Lee@example.org";
const NAME: &str = "Ann Lee-Müller";

/// In how many rows of which tables of the schema the text stands, whatever its case.
async fn found(notes: &Notes, text: &str) -> anyhow::Result<Vec<(String, i64)>> {
    let mut admin = notes.database.admin().await?;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT c.oid::regclass::text FROM pg_class AS c
         WHERE c.relnamespace = 'tenancy'::regnamespace AND c.relkind IN ('r', 'p', 'v') ORDER BY 1",
    )
    .fetch_all(&mut admin)
    .await?;
    ensure!(tables.len() > 40, "{tables:?}");
    let mut found = Vec::new();
    for table in tables {
        let count = format!(
            "SELECT count(*) FROM {table} AS t WHERE strpos(lower(t::text), lower($1)) > 0"
        );
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(count))
            .bind(text)
            .fetch_one(&mut admin)
            .await?;
        if count > 0 {
            found.push((table, count));
        }
    }
    Ok(found)
}

#[tokio::test]
async fn a_person_is_erased_from_every_table_and_the_chains_stay_whole() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (ann, bob) = (UserId::new(), UserId::new());
        let (acme, globex) = (Some(notes.acme.id), Some(notes.globex.id));
        let sink = PgAuditSink::new(&notes.system);
        let mut of_ann = entry(acme, 1).actor(Actor::User(ann)).reason(format!("{NAME} asked"));
        of_ann.user_agent = Some("Ann's browser".to_owned());
        let on_behalf = {
            let mut entry = entry(globex, 2).actor(Actor::System);
            entry.on_behalf_of = Some(ann);
            entry.change("email", serde_json::Value::Null, ADDRESS)
        };
        let about = entry(acme, 3).about("user", ann).reason(NAME);
        let by_text = entry(acme, 4).actor(Actor::User(bob)).details(serde_json::json!({
            "to": [{ "mail": ADDRESS.to_lowercase() }]
        }));
        let as_target = entry(None, 5).about("mail", ADDRESS);
        let of_bob = entry(acme, 6).actor(Actor::User(bob)).reason("nothing about her");
        for entry in [&of_ann, &on_behalf, &about, &by_text, &as_target, &of_bob] {
            sink.record_durably(entry.clone()).await?;
        }
        // Of before there was a chain.
        notes
            .as_admin(&format!(
                "INSERT INTO tenancy.audit_history (id, at, tenant_id, actor_kind, actor_id, action, outcome, reason)
                     VALUES (gen_random_uuid(), now(), '{}', 'user', '{ann}', 'a.b', 'allowed', '{NAME}');
                 INSERT INTO tenancy.audit_log (id, at, tenant_id, actor, action, outcome, target)
                     VALUES (gen_random_uuid(), now(), '{}', 'user:{bob}', 'a.b', 'allowed', 'mail:{ADDRESS}')",
                notes.acme.id, notes.globex.id
            ))
            .await?;
        for text in [ADDRESS, NAME, "Ann's browser"] {
            ensure!(!found(notes, text).await?.is_empty(), "{text} is nowhere");
        }

        let erasure = PersonErasure::new(ann).named(ADDRESS)?.named(NAME)?;
        let erased = service(notes)?.erase_person_from_trail(None, &erasure).await?;
        ensure!(erased == 7, "{erased}");
        for text in [ADDRESS, NAME, "Ann's browser"] {
            let left = found(notes, text).await?;
            ensure!(left.is_empty(), "{text} is in {left:?}");
        }
        notes.directory.seal().await?;
        for (tenant, gone) in [(acme, 3), (globex, 1), (None, 1)] {
            let report = report(notes, tenant).await?;
            ensure!(report.is_whole() && report.erased == gone, "{report:?}");
        }
        // Another's entry has all that it had, and the erased ones are still there.
        let admin = service(notes)?;
        let all = admin.list_entries(acme, &tenancy_core::AuditFilter::new(), None, 100).await?;
        let find = |id| all.iter().find(|entry| entry.id == id).cloned();
        let kept = find(of_bob.id).ok_or_else(|| anyhow::anyhow!("bob's entry is gone"))?;
        ensure!(kept == of_bob, "{kept:?}");
        let bare = find(of_ann.id).ok_or_else(|| anyhow::anyhow!("ann's entry is gone"))?;
        ensure!(bare.actor == Some(Actor::User(ann)) && bare.reason.is_none() && bare.ip.is_none(), "{bare:?}");
        // Once more is no error, and finds nothing.
        ensure!(service(notes)?.erase_person_from_trail(None, &erasure).await? == 0);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_erasure_in_one_tenant_leaves_the_others_trails() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let ann = UserId::new();
        let sink = PgAuditSink::new(&notes.system);
        for tenant in [notes.acme.id, notes.globex.id] {
            let entry = entry(Some(tenant), 1).actor(Actor::User(ann));
            sink.record_durably(entry.reason(NAME)).await?;
        }
        ensure!(
            found(notes, NAME)
                .await?
                .iter()
                .any(|(table, rows)| table == "tenancy.audit_particulars" && *rows == 2)
        );
        let erasure = PersonErasure::new(ann);
        let erased = service(notes)?
            .erase_person_from_trail(Some(notes.acme.id), &erasure)
            .await?;
        ensure!(erased == 1, "{erased}");
        let left = found(notes, NAME).await?;
        ensure!(
            left.iter()
                .any(|(table, rows)| table == "tenancy.audit_particulars" && *rows == 1),
            "{left:?}"
        );
        Ok(())
    })
    .await
}

/// Whoever could remove what was recorded of it does not.
#[tokio::test]
async fn nobody_but_the_service_erases_or_prunes() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        linked(notes, Some(notes.acme.id), 3).await?;
        let context = notes.context(&notes.acme);
        let authority = context.authority("notes:read")?;
        let admin = notes.tenancy.admin(authority.because("to hide it"));
        let erased = admin
            .erase_person_from_trail(Some(notes.acme.id), &PersonErasure::new(notes.alice))
            .await;
        ensure!(erased.unwrap_err().kind() == StoreErrorKind::Forbidden);
        let pruned = admin
            .apply_trail_retention(tenancy_core::Retention::Days(1))
            .await;
        ensure!(pruned.unwrap_err().kind() == StoreErrorKind::Forbidden);
        ensure!(report(notes, Some(notes.acme.id)).await?.verified == 3);
        Ok(())
    })
    .await
}

/// A tenant that is deleted keeps its trail.
#[tokio::test]
async fn a_tenants_trail_outlives_the_tenant() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        linked(notes, Some(notes.acme.id), 3).await?;
        let admin = service(notes)?;
        admin.suspend(notes.acme.id).await?;
        admin
            .set_status(notes.acme.id, TenantStatus::PendingDeletion)
            .await?;
        admin
            .set_status(notes.acme.id, TenantStatus::Deleted)
            .await?;
        notes
            .as_admin(&format!(
                // With what hangs on it left behind: no foreign key is looked at.
                "SET session_replication_role = replica; DELETE FROM tenancy.tenants WHERE id = '{}'",
                notes.acme.id
            ))
            .await?;
        let left = "SELECT count(*) FROM tenancy.tenants WHERE id = $1";
        let left: i64 = sqlx::query_scalar(left)
            .bind(notes.acme.id.as_uuid())
            .fetch_one(&mut notes.database.admin().await?)
            .await?;
        ensure!(left == 0, "the tenant is still there");
        notes.directory.seal().await?;
        let report = report(notes, Some(notes.acme.id)).await?;
        ensure!(report.is_whole() && report.verified == 6, "{report:?}");
        Ok(())
    })
    .await
}
