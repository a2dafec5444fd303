//! Tenants that take turns in the sessions of the server.

use sqlx::Executor as _;
use tenancy_sqlx::{BulkInsert, SessionMode, TenantPoolOptions, TxOptions};
use tenancy_tests::residue::backend;
use uuid::Uuid;

use crate::through_every_kind;

#[tokio::test]
async fn tenants_in_one_session_see_their_own_rows_and_no_others() -> anyhow::Result<()> {
    through_every_kind(1, async |through| {
        let notes = through.notes;
        let pool = through
            .pool(TenantPoolOptions::new().max_connections(4))
            .await?;
        let mut sessions = Vec::new();
        for round in 1..=5 {
            for (tenant, seeded) in [(&notes.acme, 3), (&notes.globex, 5)] {
                let mut tx = pool.begin(&notes.context(tenant)).await?;
                sessions.push(backend(&mut tx).await?);
                let body = format!("{} {round}", tenant.slug);
                let insert = BulkInsert::into_table("notes").column("body", vec![body]);
                insert.execute(&mut tx).await?;
                let whose: Vec<Uuid> = sqlx::query_scalar("SELECT tenant_id FROM notes")
                    .fetch_all(&mut *tx)
                    .await?;
                assert_eq!(whose.len(), seeded + round);
                assert!(whose.iter().all(|&id| id == tenant.id.as_uuid()));
                tx.commit().await?;
            }
        }
        sessions.dedup();
        assert_eq!(sessions.len(), 1, "they did not share a session");
        assert_eq!(notes.count("notes", &notes.acme).await?, 8);
        assert_eq!(notes.count("notes", &notes.globex).await?, 10);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_transaction_that_waits_for_a_session_is_its_own_tenants() -> anyhow::Result<()> {
    through_every_kind(1, async |through| {
        let notes = through.notes;
        let pool = through
            .pool(TenantPoolOptions::new().max_connections(2))
            .await?;
        let mut held = pool.begin(&notes.context(&notes.acme)).await?;
        let other = pool.clone();
        let globex = notes.context(&notes.globex);
        let waiting = tokio::spawn(async move {
            let mut tx = other.read(&globex).await?;
            let count: i64 = sqlx::query_scalar("SELECT count(*) FROM notes")
                .fetch_one(&mut *tx)
                .await?;
            Ok::<_, tenancy_sqlx::Error>(count)
        });
        let count = "SELECT count(*) FROM notes";
        let seen: i64 = sqlx::query_scalar(count).fetch_one(&mut *held).await?;
        assert_eq!(seen, 3);
        held.commit().await?;
        assert_eq!(waiting.await??, 5);
        Ok(())
    })
    .await
}

/// A session that names its tenant would be the next client's.
#[tokio::test]
async fn readers_use_transactions_whatever_the_option_says() -> anyhow::Result<()> {
    through_every_kind(1, async |through| {
        let notes = through.notes;
        let options = TenantPoolOptions::new()
            .max_connections(4)
            .sessions(SessionMode::Switched);
        let pool = through.pool(options).await?;
        for _ in 0..3 {
            for (tenant, own) in [(&notes.acme, 3_i64), (&notes.globex, 5)] {
                let db = pool.tenant(&notes.context(tenant))?;
                let row: (i64, String) = sqlx::query_as(
                    "SELECT (SELECT count(*) FROM notes),
                        current_setting('default_transaction_read_only')",
                )
                .fetch_one(&db.reader())
                .await?;
                assert_eq!(row, (own, "off".to_owned()));
            }
        }
        let mut raw = through.raw().await?;
        let left = "SELECT coalesce(current_setting('tenancy.tenant_id', true), '')";
        // Without a name: the pool may have left a statement in the session that sqlx calls the same.
        let left = sqlx::query_scalar(left).persistent(false);
        let left: String = left.fetch_one(&mut raw).await?;
        assert_eq!(left, "");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn options_of_a_transaction_hold() -> anyhow::Result<()> {
    through_every_kind(1, async |through| {
        let notes = through.notes;
        let pool = through.pool(TenantPoolOptions::new().strict(true)).await?;
        let options = TxOptions::new()
            .read_only()
            .isolation(tenancy_sqlx::Isolation::Serializable);
        let mut tx = pool
            .begin_with(&notes.context(&notes.acme), options)
            .await?;
        let told: (String, String, String) = sqlx::query_as(
            "SELECT current_setting('transaction_isolation'),
                 current_setting('transaction_read_only'), current_setting('statement_timeout')",
        )
        .fetch_one(&mut *tx)
        .await?;
        assert_eq!(told, ("serializable".into(), "on".into(), "30s".into()));
        let written = tx.execute("DELETE FROM notes").await.unwrap_err();
        assert!(written.to_string().contains("read-only"), "{written}");
        Ok(())
    })
    .await
}
