//! A statement fails and its error is ignored: PostgreSQL then rolls back what is to be committed,
//! and whoever commits is told.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor as _};
use tenancy_core::RefusalKind;
use tenancy_sqlx::{Error, ErrorKind, RetryPolicy, TenantPoolOptions, TenantTx};
use tenancy_tests::{
    DelayProxy,
    notes::{Notes, at_rest, on_every_server, sqlstate},
    warned,
};

const NOTE: &str = "INSERT INTO notes (body) VALUES ('beside it')";
const TAKEN: &str = "INSERT INTO notebooks (title) VALUES ('taken')";

/// Two notebooks with one title, the second of which is a violation; nobody looks at it.
async fn ignores_a_violation(tx: &mut TenantTx) -> Result<(), Error> {
    tx.execute(NOTE).await?;
    tx.execute(TAKEN).await?;
    assert_eq!(sqlstate(tx.execute(TAKEN).await), "23505");
    Ok(())
}

async fn nothing_is_stored(notes: &Notes, ended: Result<(), Error>) -> anyhow::Result<()> {
    let Err(error) = ended else {
        anyhow::bail!("it was committed");
    };
    assert_eq!(error.kind(), ErrorKind::TransactionFailed, "{error}");
    assert_eq!(error.refusal().kind(), RefusalKind::Internal);
    assert_eq!(notes.count("notes", &notes.acme).await?, 3);
    assert_eq!(notes.count("notebooks", &notes.acme).await?, 0);
    Ok(())
}

/// A warning for each failed statement would fill the server's log.
#[tokio::test]
async fn a_statement_that_fails_has_the_server_warn_of_nothing() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        for strict in [false, true] {
            let options = TenantPoolOptions::new().max_connections(1).strict(strict);
            let pool = notes.pool(options).await?;
            let stale = notes.context(&notes.acme);
            let (plain, warnings) = warned(async {
                // These contexts are older than the tenants' last change, which a strict pool refuses.
                let tenants = [&notes.acme, &notes.globex, &notes.acme];
                for tenant in tenants.into_iter().filter(|_| !strict) {
                    let db = pool.tenant(&notes.context(tenant))?;
                    for _ in 0..2 {
                        let failed = "SELECT 1 / 0 FROM notes";
                        assert_eq!(sqlstate(db.execute(failed).await), "22012");
                        assert_eq!(sqlstate(db.reader().execute(failed).await), "22012");
                        assert_eq!(sqlstate(db.execute("SELECT nothing").await), "42703");
                        assert_eq!(
                            sqlstate(db.reader().execute("SELECT nothing").await),
                            "42703"
                        );
                        assert!(!db.fetch_all("SELECT FROM notes").await?.is_empty());
                    }
                    let mut tx = db.begin().await?;
                    assert_eq!(sqlstate(tx.execute("SELECT 1 / 0").await), "22012");
                    drop(tx);
                }
                // A context of before the change: a strict pool refuses it at BEGIN and ahead of a read.
                let rename = format!(
                    "UPDATE tenancy.tenants SET name = 'N' WHERE id = '{}'",
                    notes.acme.id
                );
                notes.as_admin(&rename).await?;
                let db = pool.tenant(&stale)?;
                for _ in 0..3 {
                    let read = db.reader().fetch_all("SELECT FROM notes").await;
                    assert_eq!(read.is_err(), strict, "{read:?}");
                    let wrote = db.execute("UPDATE notes SET body = body").await;
                    assert_eq!(wrote.is_err(), strict, "{wrote:?}");
                }
                anyhow::Ok(())
            })
            .await;
            plain?;
            assert_eq!(warnings, [""; 0], "strict: {strict}");
            pool.close().await;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn whoever_commits_is_told_that_a_statement_has_failed() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        for checked in [false, true] {
            let options = TenantPoolOptions::new().check_tenant_at_commit(checked);
            let pool = notes.pool(options).await?;
            let db = pool.tenant(&notes.context(&notes.acme))?;

            nothing_is_stored(notes, db.with(ignores_a_violation).await).await?;
            let mut tries = 0;
            let retried = db.with_retry(RetryPolicy::new(), async |tx| {
                tries += 1;
                ignores_a_violation(tx).await
            });
            nothing_is_stored(notes, retried.await).await?;
            assert_eq!(tries, 1);
            let mut tx = db.begin().await?;
            ignores_a_violation(&mut tx).await?;
            nothing_is_stored(notes, tx.commit().await).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_a_savepoint_has_undone_does_not_keep_the_rest_from_being_stored() -> anyhow::Result<()>
{
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let db = pool.tenant(&notes.context(&notes.acme))?;
        db.with(async |tx| {
            tx.execute(NOTE).await?;
            tx.execute(TAKEN).await?;
            let mut savepoint = tx.savepoint().await?;
            assert_eq!(sqlstate(savepoint.execute(TAKEN).await), "23505");
            savepoint.rollback().await
        })
        .await?;
        assert_eq!(notes.count("notes", &notes.acme).await?, 4);
        assert_eq!(notes.count("notebooks", &notes.acme).await?, 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_statement_that_has_ended_the_transaction_is_noticed() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        for stray in ["COMMIT", "ROLLBACK"] {
            let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
            tx.execute(stray).await?;
            let lost = tx.commit().await.unwrap_err();
            assert_eq!(lost.kind(), ErrorKind::TenantLost, "{stray}");

            let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
            tx.execute(stray).await?;
            tx.rollback().await?;
        }
        Ok(())
    })
    .await
}

/// Beside what is done to the connection after the caller has its answer.
#[tokio::test]
async fn noticing_costs_no_round_trip() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let proxy = DelayProxy::for_options(&notes.app_options(), Duration::ZERO)?;
        for &reset in notes.resets() {
            let options = TenantPoolOptions::new()
                .max_connections(1)
                .check_session_every(0)
                .reset_session(reset);
            let pool = notes.pool_through(&proxy, options).await?;
            for _ in 0..3 {
                at_rest(&pool, 1).await?;
                let before = proxy.round_trips();
                let mut tx = pool.begin(&notes.context(&notes.acme)).await?;
                tx.execute(NOTE).await?;
                tx.commit().await?;
                assert_eq!(proxy.round_trips() - before, 3, "BEGIN, INSERT, COMMIT");
            }
            pool.close().await;
        }
        Ok(())
    })
    .await
}

/// D27: row security is asked before `NOT NULL` is, so that a missing tenant reads like an attack.
#[tokio::test]
async fn an_explicit_null_for_the_tenant_is_explained() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let db = pool.tenant(&notes.context(&notes.acme))?;
        let other = format!(
            "INSERT INTO notes (tenant_id, body) VALUES ('{}', 'x')",
            notes.globex.id
        );
        for write in [
            "INSERT INTO notes (tenant_id, body) VALUES (NULL, 'x')".to_owned(),
            other,
            "UPDATE notes SET tenant_id = NULL".to_owned(),
        ] {
            let refused = sqlx::query(AssertSqlSafe(write.clone())).execute(&db).await;
            let error = Error::from(refused.expect_err(&write));
            let said = error.to_string();
            assert!(said.contains("leave the tenant's column out"), "{said}");
            assert_eq!(sqlstate(Err::<(), _>(error)), "42501");
        }
        // A privilege that is missing is something else.
        let refused = sqlx::query("TRUNCATE notes").execute(&db).await;
        let error = Error::from(refused.expect_err("TRUNCATE"));
        assert!(!error.to_string().contains("tenant's column"), "{error}");
        assert_eq!(sqlstate(Err::<(), _>(error)), "42501");
        Ok(())
    })
    .await
}
