//! Protected tables that are touched outside of a tenant's context.

use sqlx::{Executor as _, PgPool};
use tenancy_core::{Actor, UserId};
use tenancy_sqlx::{
    PgAuditSink, TenantPoolOptions, danger,
    statement_log::{AuditedStatements, StatementOutcome},
};
use tenancy_tests::notes::{self, Notes, on_every_server};

use crate::world::Logged;

/// Without a sample.
async fn unsampled(notes: &Notes) -> anyhow::Result<Logged> {
    Logged::start(notes, TenantPoolOptions::new(), |log| log).await
}

/// An engine whose trail lets operators read across tenants.
fn engine(notes: &Notes) -> anyhow::Result<tenancy_core::Tenancy> {
    Ok(notes::builder(notes.directory.clone())?
        .audit(PgAuditSink::new(&notes.system))
        .build()?)
}

#[tokio::test]
async fn an_operator_s_statements_on_protected_tables_are_flagged_with_the_operator()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        notes
            .as_admin("CREATE VIEW starred AS SELECT id FROM notes WHERE stars > 0")
            .await?;
        notes
            .as_admin("GRANT SELECT ON starred TO tenancy_system")
            .await?;
        let logged = unsampled(notes).await?;
        let system = notes.system.clone().with_statement_log(&logged.log).await?;
        let operator = UserId::new();
        let tenancy = engine(notes)?;
        let mut all = danger::across_tenants(&tenancy, &system, operator, "a report").await?;
        assert_eq!(
            all.fetch_all("SELECT body FROM public.notes WHERE stars < 9")
                .await?
                .len(),
            8
        );
        all.fetch_all("SELECT count(*) FROM starred").await?;
        all.fetch_all("SELECT slug FROM tenancy.tenants").await?;
        all.fetch_all("SELECT now()").await?;
        all.commit().await?;
        // In a tenant's context, nothing is flagged.
        let db = logged.pool.tenant(&notes.context(&notes.acme))?;
        assert_eq!(db.fetch_all("SELECT body FROM notes").await?.len(), 3);

        let records = logged.records().await;
        let told: Vec<_> = records
            .iter()
            .map(|record| {
                (
                    &*record.shape,
                    record.protected_tables.join(" "),
                    record.rows,
                )
            })
            .collect();
        let (notes, starred, tenants) = ("public.notes", "public.starred", "tenancy.tenants");
        assert_eq!(
            told,
            [
                (
                    "select body from public.notes where stars < ?",
                    notes.to_owned(),
                    8
                ),
                ("select count(*) from starred", starred.to_owned(), 1),
                ("select slug from tenancy.tenants", tenants.to_owned(), 2),
            ]
        );
        for record in &records {
            assert_eq!((record.tenant, record.outside), (None, true));
            assert_eq!(record.actor, Some(Actor::User(operator)));
            assert!(record.is_flagged());
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_job_s_statements_across_tenants_have_the_job_s_name() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let logged = unsampled(notes).await?;
        let system = notes.system.clone().with_statement_log(&logged.log).await?;
        let run = engine(notes)?.begin_job("nightly", "what it is for")?;
        let mut all = danger::across_tenants_in(&run, &system).await?;
        assert_eq!(
            all.execute("UPDATE notes SET stars = 1")
                .await?
                .rows_affected(),
            8
        );
        drop(all);
        let records = logged.records().await;
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].actor, Some(Actor::Job(run.name().clone())));
        assert_eq!((records[0].rows, records[0].outside), (8, true));
        Ok(())
    })
    .await
}

/// Somebody has taken the service's plain pool for a tenant's table.
#[tokio::test]
async fn a_watched_pool_of_the_application_s_own_is_flagged_where_it_touches_one()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        notes
            .as_admin(
                "CREATE TABLE rates (rate float8); GRANT SELECT ON rates TO tenancy_app;
                 INSERT INTO rates VALUES (1.5)",
            )
            .await?;
        let logged = unsampled(notes).await?;
        let pool = PgPool::connect_with(notes.app_options()).await?;
        let pool = logged.log.watch(pool).await?;
        let rate: f64 = sqlx::query_scalar("SELECT rate FROM rates")
            .fetch_one(&pool)
            .await?;
        assert_eq!(rate, 1.5);
        // The rows are there, and without a tenant none is seen.
        assert_eq!(notes.count("notes", &notes.acme).await?, 3);
        assert_eq!(pool.fetch_all("SELECT body FROM Notes").await?.len(), 0);
        // What can't be read may touch one.
        let unclear = "SELECT 'a\\', ' FROM notes'";
        pool.execute(unclear).await?;

        let records = logged.records().await;
        assert_eq!(records.len(), 2, "{records:#?}");
        assert_eq!(&*records[0].shape, "select body from notes");
        assert_eq!(records[0].protected_tables.join(" "), "public.notes");
        assert_eq!(
            (records[0].rows, records[0].outcome),
            (0, StatementOutcome::Done)
        );
        assert_eq!(&*records[1].shape, "select …");
        assert!(
            records
                .iter()
                .all(|r| r.outside && r.actor.is_none() && r.tenant.is_none())
        );
        Ok(())
    })
    .await
}

/// A table that is protected later is known when the log asks again: pools do so with their check of readiness.
#[tokio::test]
async fn a_table_that_is_protected_later_is_flagged_from_the_next_asking_on() -> anyhow::Result<()>
{
    on_every_server(async |notes| {
        let logged = unsampled(notes).await?;
        let system = notes.system.clone().with_statement_log(&logged.log).await?;
        let tenancy = engine(notes)?;
        let read = async || {
            let mut all = danger::across_tenants(&tenancy, &system, UserId::new(), "a look").await?;
            all.fetch_all("SELECT * FROM drawings").await?;
            drop(all);
            anyhow::Ok(())
        };
        notes
            .as_admin(
                "SET ROLE tenancy_owner; CREATE TABLE drawings (id int); SELECT tenancy.protect('drawings')",
            )
            .await?;
        read().await?;
        assert_eq!(logged.records().await.len(), 0);
        let _again = notes.system.clone().with_statement_log(&logged.log).await?;
        read().await?;
        let records = logged.records().await;
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].protected_tables.join(" "), "public.drawings");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_flagged_is_an_entry_of_the_trail() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let trail = std::sync::Arc::new(PgAuditSink::new(&notes.system));
        let logged = Logged::start(notes, TenantPoolOptions::new(), |log| {
            log.sink("trail", AuditedStatements::new(trail))
        })
        .await?;
        let system = notes.system.clone().with_statement_log(&logged.log).await?;
        let operator = UserId::new();
        let mut all = danger::across_tenants(&engine(notes)?, &system, operator, "a look").await?;
        assert_eq!(
            all.fetch_all("SELECT body FROM notes WHERE body <> 'x'")
                .await?
                .len(),
            8
        );
        drop(all);
        logged.log.flush().await;
        let (actor, shape, table): (uuid::Uuid, String, String) = sqlx::query_as(
            "SELECT actor_id, details->>'shape', targets->0->>'id'
             FROM tenancy.audit_entries WHERE action = 'statement.outside'",
        )
        .fetch_one(&mut notes.database.admin().await?)
        .await?;
        assert_eq!(actor, operator.as_uuid());
        assert_eq!(shape, "select body from notes where body <> ?");
        assert_eq!(table, "public.notes");
        Ok(())
    })
    .await
}
