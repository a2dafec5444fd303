//! Jobs over PostgreSQL: a queue's worker claims across tenants and works in one at a time.

use std::{collections::BTreeSet, sync::Arc};

use sqlx::Executor as _;
use tenancy_core::{
    Actor, AuditFilter, Tenancy, TenantId, TracingAuditSink, danger as danger_of_the_core,
};
use tenancy_sqlx::{
    PgAuditSink, TenantPool, TenantPoolOptions,
    danger::{self, AcrossError, SystemPool},
};
use tenancy_tests::notes::{self, Notes, on_every_server};
use uuid::Uuid;

fn engine(notes: &Notes) -> anyhow::Result<Tenancy> {
    let sink = Arc::new(PgAuditSink::new(&notes.system));
    let builder = notes::builder(notes.directory.clone())?;
    Ok(builder.shared_audit(sink).build()?)
}

/// Claims the next note without stars, and gives it one as its own tenant; says whose it was.
async fn work_on_one(
    run: &tenancy_core::JobRun,
    system: &SystemPool,
    pool: &TenantPool,
) -> anyhow::Result<Option<TenantId>> {
    let mut all = danger::across_tenants_in(run, system).await?;
    let claim = "UPDATE notes SET stars = -1 WHERE id = (
                     SELECT id FROM notes WHERE stars = 0
                     ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
                 RETURNING tenant_id, id";
    let claimed: Option<(Uuid, Uuid)> = sqlx::query_as(claim).fetch_optional(&mut *all).await?;
    all.commit().await?;
    let Some((tenant, id)) = claimed else {
        return Ok(None);
    };
    let tenant = TenantId::from_uuid(tenant);
    let db = pool.tenant(&run.enter(tenant).await?)?;
    let done = sqlx::query("UPDATE notes SET stars = 1 WHERE id = $1 AND stars = -1");
    let done = done.bind(id).execute(&db).await?;
    anyhow::ensure!(done.rows_affected() == 1, "the note is not the tenant's");
    Ok(Some(tenant))
}

#[tokio::test]
async fn a_queues_worker_leaves_two_entries_for_a_run() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let tenancy = engine(notes)?;
        let options = notes.with_key(TenantPoolOptions::new())?;
        let pool = options.connect_with(notes.app_options(), &tenancy).await?;
        let mut admin = notes.database.admin().await?;
        admin.execute("UPDATE notes SET stars = 0").await?;
        let run = tenancy.begin_job("stars", "gives each note a star")?;
        let (mut worked, mut tenants) = (0, BTreeSet::new());
        while let Some(tenant) = work_on_one(&run, &notes.system, &pool).await? {
            worked += 1;
            tenants.insert(tenant);
        }
        assert_eq!((worked, tenants.len()), (8, 2), "both tenants have notes");
        let stars: i64 = sqlx::query_scalar("SELECT sum(stars) FROM notes")
            .fetch_one(&mut admin)
            .await?;
        assert_eq!(stars, 8);
        tenancy.audit().flush().await?;
        let admin = tenancy.admin(danger_of_the_core::service("a look at the trail")?);
        let by = |name: &str| -> anyhow::Result<AuditFilter> {
            Ok(AuditFilter::new().actor(Actor::Job(name.parse()?)))
        };
        let entries = admin.list_entries(None, &by("stars")?, None, 10).await?;
        let mut said: Vec<_> = (entries.iter())
            .map(|entry| (&*entry.action, entry.reason.as_deref(), entry.actor.clone()))
            .collect();
        said.sort_by_key(|(action, ..)| *action);
        let (reason, actor) = (Some("gives each note a star"), by("stars")?.actor);
        assert_eq!(
            said,
            [
                ("danger.across-tenants", reason, actor.clone()),
                ("job.begin", reason, actor)
            ]
        );
        assert_eq!(admin.list_entries(None, &by("mails")?, None, 10).await?, []);
        pool.close().await;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn without_a_durable_trail_a_run_reads_nothing_across_tenants() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let builder = notes::builder(notes.directory.clone())?;
        let tenancy = builder.audit(TracingAuditSink).build()?;
        let run = tenancy.begin_job("stars", "gives each note a star")?;
        for _ in 0..2 {
            let refused = danger::across_tenants_in(&run, &notes.system).await;
            assert!(matches!(refused, Err(AcrossError::Audit(_))), "{refused:?}");
        }
        Ok(())
    })
    .await
}

/// The name of a job is the only thing that tells one from another: what one did is not what another did.
#[tokio::test]
async fn what_a_job_did_is_listed_under_its_own_name() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let tenancy = engine(notes)?;
        let billing = tenancy.begin_job("billing", "nightly bills")?;
        let mails = tenancy.begin_job("mail-worker", "sends mails")?;
        drop((billing, mails));
        tenancy.audit().flush().await?;
        let all = tenancy.admin(tenancy_core::testing::service());
        let actor = tenancy_core::Actor::Job("billing".parse()?);
        let of_billing = tenancy_core::AuditFilter::new().actor(actor.clone());
        let found = all.list_entries(None, &of_billing, None, 10).await?;
        let actors: Vec<_> = found.iter().map(|entry| entry.actor.clone()).collect();
        anyhow::ensure!(actors == [Some(actor)], "{actors:?}");
        Ok(())
    })
    .await
}

/// Also of an entry that names no credential: a refusal, or one that the application made.
#[tokio::test]
async fn the_name_of_a_job_is_not_lost_where_it_is_refused() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let tenancy = engine(notes)?;
        let run = tenancy.begin_job("billing", "nightly bills")?;

        tenancy
            .admin(run.authority())
            .suspend(notes.acme.id)
            .await?;
        let refused = run.enter(notes.acme.id).await;
        anyhow::ensure!(refused.is_err());
        tenancy.audit().flush().await?;
        let all = tenancy.admin(tenancy_core::testing::service());
        let only = tenancy_core::AuditFilter::new().outcome(tenancy_core::Outcome::Refused);
        let found = all.list_entries(None, &only, None, 10).await?;
        let actors: Vec<_> = found.iter().map(|entry| entry.actor.clone()).collect();
        let job = Some(tenancy_core::Actor::Job("billing".parse()?));
        anyhow::ensure!(
            !actors.is_empty() && actors.iter().all(|actor| *actor == job),
            "{actors:?}"
        );
        Ok(())
    })
    .await
}
