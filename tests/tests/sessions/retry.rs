//! Transactions that lose against concurrent ones are run again.

use std::time::Duration;

use sqlx::Executor as _;
use tenancy_sqlx::{Error, ErrorKind, Isolation, RetryPolicy, TenantPoolOptions, TxOptions};
use tenancy_tests::notes::{on_every_server, sqlstate};
use tokio::sync::Barrier;

#[tokio::test]
async fn of_two_serializable_transactions_the_loser_runs_again() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let context = notes.context(&notes.acme);
        let both_have_read = Barrier::new(2);
        // "There is to be one chairman": each looks, sees none, and makes one.
        let elect = async || {
            let mut tries = 0;
            pool.with_retry(&context, RetryPolicy::new(), async |tx| {
                tries += 1;
                let count = "SELECT count(*) FROM notes WHERE body = 'chairman'";
                let chairmen: i64 = sqlx::query_scalar(count).fetch_one(&mut **tx).await?;
                if tries == 1 {
                    both_have_read.wait().await;
                }
                if chairmen == 0 {
                    tx.execute("INSERT INTO notes (body) VALUES ('chairman')")
                        .await?;
                }
                Ok::<_, Error>(())
            })
            .await?;
            Ok::<_, Error>(tries)
        };
        let (one, other) = tokio::try_join!(elect(), elect())?;

        assert_eq!(one + other, 3);
        assert_eq!(notes.count("notes", &notes.acme).await?, 4);
        Ok(())
    })
    .await
}

/// D23: PostgreSQL locks pages and whole tables for serializable reads, so that tenants abort each
/// other though they share no row. Other levels don't, and `with_retry` gets both through.
#[tokio::test]
async fn tenants_that_share_no_row_may_abort_each_other_when_serializable() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let both_have_read = Barrier::new(2);
        let work = async |tenant, policy: RetryPolicy| {
            let (context, mut tries) = (notes.context(tenant), 0);
            pool.with_retry(&context, policy, async |tx| {
                tries += 1;
                let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM notes")
                    .fetch_one(&mut **tx)
                    .await?;
                if tries == 1 {
                    both_have_read.wait().await;
                }
                sqlx::query("INSERT INTO notes (body) VALUES ($1)")
                    .bind(seen.to_string())
                    .execute(&mut **tx)
                    .await?;
                Ok::<_, Error>(())
            })
            .await?;
            Ok::<_, Error>(tries)
        };
        let plain = RetryPolicy::new().options(TxOptions::new());
        for (policy, tries) in [(RetryPolicy::new(), 3), (plain, 2)] {
            let (one, other) = tokio::try_join!(
                work(&notes.acme, policy.clone()),
                work(&notes.globex, policy)
            )?;
            assert_eq!(one + other, tries);
        }
        assert_eq!(notes.count("notes", &notes.acme).await?, 5);
        assert_eq!(notes.count("notes", &notes.globex).await?, 7);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn of_two_deadlocked_transactions_the_loser_runs_again() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let context = notes.context(&notes.acme);
        let both_hold_one = Barrier::new(2);
        let star = async |first: &'static str, second: &'static str| {
            let mut tries = 0;
            let policy =
                RetryPolicy::new().options(TxOptions::new().isolation(Isolation::ReadCommitted));
            pool.with_retry(&context, policy, async |tx| {
                tries += 1;
                let update = "UPDATE notes SET stars = stars + 1 WHERE body = $1";
                sqlx::query(update).bind(first).execute(&mut **tx).await?;
                if tries == 1 {
                    both_hold_one.wait().await;
                }
                sqlx::query(update).bind(second).execute(&mut **tx).await?;
                Ok::<_, Error>(())
            })
            .await?;
            Ok::<_, Error>(tries)
        };
        let (one, other) = tokio::try_join!(star("note 1", "note 2"), star("note 2", "note 1"))?;

        // The loser may come back before the winner has woken, and lose once more.
        assert!(one + other >= 3, "{one} and {other}");
        let stars: i64 = sqlx::query_scalar("SELECT sum(stars) FROM notes")
            .fetch_one(&pool.tenant(&context)?)
            .await?;
        assert_eq!(stars, 4);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn it_gives_up_after_the_last_try_and_leaves_nothing() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let context = notes.context(&notes.acme);
        for (raised, tries_made, kind) in [
            ("serialization_failure", 3, ErrorKind::Serialization),
            ("deadlock_detected", 3, ErrorKind::Serialization),
            ("division_by_zero", 1, ErrorKind::Database),
        ] {
            let mut tries = 0;
            let policy = RetryPolicy::new()
                .tries(3)
                .first_pause(Duration::from_millis(1));
            let lost = pool
                .with_retry(&context, policy, async |tx| {
                    tries += 1;
                    tx.execute("INSERT INTO notes (body) VALUES ('lost')")
                        .await?;
                    let raise = format!("DO $$ BEGIN RAISE {raised}; END $$");
                    tx.execute(sqlx::AssertSqlSafe(raise)).await?;
                    Ok::<_, Error>(())
                })
                .await;

            assert_eq!(lost.unwrap_err().kind(), kind);
            assert_eq!(tries, tries_made, "{raised}");
        }
        assert_eq!(notes.count("notes", &notes.acme).await?, 3);
        Ok(())
    })
    .await
}

/// A deferred constraint shows at the commit, and so does what a serializable commit finds.
#[tokio::test]
async fn a_commit_that_fails_is_an_error_of_the_closure() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        notes
            .as_admin(
                "ALTER TABLE notes ALTER CONSTRAINT notes_tenant_id_notebook_id_fkey
                 DEFERRABLE INITIALLY DEFERRED",
            )
            .await?;
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let dangling = "INSERT INTO notes (body, notebook_id) VALUES ('x', gen_random_uuid())";
        let failed = pool
            .with(&notes.context(&notes.acme), async |tx| {
                tx.execute(dangling).await?;
                Ok::<_, Error>(())
            })
            .await;

        assert_eq!(sqlstate(failed), "23503");
        assert_eq!(notes.count("notes", &notes.acme).await?, 3);
        Ok(())
    })
    .await
}
