//! Reading: every form of query sees own rows only.

use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Executor as _, types::Uuid};
use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::notes::{on_every_server, sqlstate};

#[tokio::test]
async fn a_query_that_forgot_its_where_returns_own_rows_only() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;

        for (tenant, own) in [(&notes.acme, 3), (&notes.globex, 5)] {
            let db = pool.tenant(&notes.context(tenant))?;
            for reading in [
                "SELECT tenant_id FROM notes",
                "SELECT b.tenant_id FROM notes AS b WHERE true OR b.tenant_id IS NOT NULL",
                "WITH every AS MATERIALIZED (SELECT * FROM notes) SELECT tenant_id FROM every",
                "SELECT tenant_id FROM (TABLE notes) AS t ORDER BY body OFFSET 0",
                "SELECT n.tenant_id FROM notes AS n WHERE EXISTS (SELECT FROM notes WHERE id = n.id)",
                "SELECT n.tenant_id FROM notes AS n LEFT JOIN tenancy.tenants AS t ON true",
                "SELECT tenant_id FROM notes FOR UPDATE",
            ] {
                let seen: Vec<Uuid> = sqlx::query_scalar(reading).fetch_all(&db).await?;
                assert_eq!(seen, vec![tenant.id.as_uuid(); own], "{reading}");
            }
            let count: i64 = sqlx::query_scalar("SELECT count(*) FROM notes")
                .fetch_one(&db.reader())
                .await?;
            assert_eq!(usize::try_from(count)?, own);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_row_of_the_other_tenant_is_not_found_by_its_id() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let globex = pool.tenant(&notes.context(&notes.globex))?;
        let theirs: Uuid = sqlx::query_scalar("SELECT id FROM notes LIMIT 1")
            .fetch_one(&globex)
            .await?;

        let acme = pool.tenant(&notes.context(&notes.acme))?;
        let found = sqlx::query("SELECT FROM notes WHERE id = $1 AND tenant_id = $2")
            .bind(theirs)
            .bind(notes.globex.id.as_uuid())
            .fetch_optional(&acme)
            .await?;

        assert!(found.is_none());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn copy_to_writes_own_rows_and_copy_from_is_refused() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let mut tx = pool.begin(&notes.context(&notes.acme)).await?;

        let copied: Vec<_> = tx
            .copy_out_raw("COPY notes (tenant_id) TO STDOUT")
            .await?
            .try_collect()
            .await?;
        let text = String::from_utf8(copied.concat())?;
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            vec![notes.acme.id.to_string(); 3]
        );

        let refused = tx.copy_in_raw("COPY notes (body) FROM STDIN").await;
        assert_eq!(sqlstate(refused.map(drop)), "0A000");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn without_a_tenant_there_are_no_rows_and_nothing_can_be_inserted() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let mut app = notes.app().await?;
        // Never set, and set before: the two states of a connection without a tenant.
        for _ in 0..2 {
            let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM notes")
                .fetch_one(&mut app)
                .await?;
            assert_eq!(seen, 0);
            let written = app.execute("INSERT INTO notes (body) VALUES ('x')").await;
            assert_eq!(sqlstate(written), "42501");
            app.execute("BEGIN; SELECT set_config('tenancy.tenant_id', gen_random_uuid()::text, true); ROLLBACK")
                .await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_prepared_statement_follows_the_tenant_on_one_connection() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let pool = notes
            .pool(TenantPoolOptions::new().max_connections(1))
            .await?;
        // More often than the five custom plans after which PostgreSQL keeps a generic one.
        for (tenant, own) in [(&notes.acme, 3), (&notes.globex, 5)].repeat(8) {
            let db = pool.tenant(&notes.context(tenant))?;
            let seen: Vec<Uuid> =
                sqlx::query_scalar("SELECT tenant_id FROM notes WHERE body <> $1")
                    .bind("nothing")
                    .fetch_all(&db)
                    .await?;
            assert_eq!(seen, vec![tenant.id.as_uuid(); own]);
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_view_shows_own_rows_whether_it_reads_as_the_invoker_or_as_the_owner()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        let view = "SET ROLE tenancy_owner;
            CREATE VIEW bodies WITH (security_invoker) AS SELECT tenant_id FROM notes;
            CREATE VIEW careless AS SELECT tenant_id FROM notes;
            GRANT SELECT ON bodies, careless TO tenancy_app";
        notes.as_admin(view).await?;
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let db = pool.tenant(&notes.context(&notes.acme))?;

        for view in ["bodies", "careless"] {
            let sql = format!("SELECT tenant_id FROM {view}");
            let seen: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe(sql))
                .fetch_all(&db)
                .await?;
            assert_eq!(seen, vec![notes.acme.id.as_uuid(); 3], "{view}");
        }
        Ok(())
    })
    .await
}
