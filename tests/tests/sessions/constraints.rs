//! What constraints refuse and what is not there: answers that a client can act on.

use sqlx::AssertSqlSafe;
use tenancy_core::RefusalKind;
use tenancy_sqlx::{Error, ErrorKind, TenantPoolOptions};
use tenancy_tests::notes::{on_every_server, sqlstate};

/// U9: a violated constraint is a conflict, and a row that is not there is not found, also if another tenant has it.
#[tokio::test]
async fn a_conflict_and_a_row_that_is_not_there_are_no_errors_of_the_service() -> anyhow::Result<()>
{
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let db = pool.tenant(&notes.context(&notes.acme))?;
        let other = pool.tenant(&notes.context(&notes.globex))?;
        let taken = "INSERT INTO notebooks (title) VALUES ('taken') RETURNING id";
        let theirs: uuid::Uuid = sqlx::query_scalar(taken).fetch_one(&other).await?;
        let ours: uuid::Uuid = sqlx::query_scalar(taken).fetch_one(&db).await?;
        let filled = format!("INSERT INTO notes (notebook_id, body) VALUES ('{theirs}', 'x')");
        for (write, state) in [(taken, "23505"), (&*filled, "23503")] {
            let refused = sqlx::query(AssertSqlSafe(write.to_owned()))
                .execute(&db)
                .await;
            let error = Error::from(refused.expect_err(write));
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
            assert_eq!(error.refusal().kind(), RefusalKind::Conflict);
            assert_eq!(sqlstate(Err::<(), _>(error)), state);
        }
        let title = |id: uuid::Uuid| {
            sqlx::query_scalar::<_, String>("SELECT title FROM notebooks WHERE id = $1").bind(id)
        };
        assert_eq!(title(theirs).fetch_one(&other).await?, "taken");
        assert_eq!(title(ours).fetch_one(&db).await?, "taken");
        for absent in [theirs, uuid::Uuid::now_v7()] {
            let error = Error::from(title(absent).fetch_one(&db).await.expect_err("a row"));
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
            assert_eq!(error.refusal().kind(), RefusalKind::NotFound);
        }
        Ok(())
    })
    .await
}

/// U9: constraints of a protected table begin with its tenant's column.
#[tokio::test]
async fn an_on_conflict_without_the_tenant_is_explained() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let db = pool.tenant(&notes.context(&notes.acme))?;
        let upsert = |columns: &str| {
            let into = "INSERT INTO notebooks (title) VALUES ('weekly') ON CONFLICT";
            AssertSqlSafe(format!("{into} ({columns}) DO NOTHING"))
        };
        let refused = sqlx::query(upsert("title")).execute(&db).await;
        let error = Error::from(refused.expect_err("no such constraint"));
        assert!(
            error.to_string().contains("ON CONFLICT (tenant_id, …)"),
            "{error}"
        );
        assert_eq!(sqlstate(Err::<(), _>(error)), "42P10");
        for written in [1, 0] {
            let done = sqlx::query(upsert("tenant_id, title")).execute(&db).await?;
            assert_eq!(done.rows_affected(), written);
        }
        Ok(())
    })
    .await
}
