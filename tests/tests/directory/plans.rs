//! Stored plans: versions in PostgreSQL, over two processes.

use std::sync::Arc;

use anyhow::Context as _;
use serde_json::json;
use sqlx::Row as _;
use tenancy_core::{
    Clock as _, Cost, ManualClock, PlanBook, PlanDefinition, PlanDirectory as _, PlanStore as _,
    PlanVersion, StoreErrorKind, Tenancy, TenancyBuilder, Timestamp,
    quota::{Limit, LimitOverride, Meter, Quotas},
    testing::{service, unattributed},
};
use tenancy_sqlx::PgDirectory;
use tenancy_tests::notes::{self, Notes, on_every_server, sqlstate};

use crate::{admit, registry};

fn with_plans(builder: TenancyBuilder, directory: PgDirectory) -> TenancyBuilder {
    builder
        .plans(PlanBook::new().declare_features(["sso"]))
        .quotas(Quotas::new().meter(Meter::held("projects")))
        .stored_plans(directory)
}

fn plan(name: &str, projects: u64) -> anyhow::Result<PlanDefinition> {
    let says = json!({
        "permissions": ["*"],
        "features": ["sso"],
        "retention": { "notes": "90 days" },
        "limits": { "projects": { "held": projects } },
    });
    Ok(PlanDefinition::from_json(name, says)?)
}

/// An engine with the operators' login, and one of another process, which has the service's alone.
async fn two_processes(notes: &Notes) -> anyhow::Result<(Tenancy, Tenancy, Arc<ManualClock>)> {
    let clock = Arc::new(ManualClock::now_frozen());
    let build = |directory: PgDirectory| {
        let builder = with_plans(notes::builder(directory.clone())?, directory);
        anyhow::Ok(builder.clock(clock.clone()).build()?)
    };
    let here = build(notes.directory.clone())?;
    let there = build(PgDirectory::connect_with(notes.app_options(), 2).await?)?;
    Ok((here, there, clock))
}

/// Takes as many projects as there is room for, and tells how many, and with which status it ended.
async fn fill(engine: &Tenancy, notes: &Notes) -> anyhow::Result<(u64, u16)> {
    let context = admit(engine, notes.alice, "acme").await?;
    let quotas = engine.quotas().context("quotas")?;
    for taken in 0.. {
        match quotas.reserve(&context, &[Cost::new("projects", 1)]).await {
            Ok(reserved) => reserved.commit().await?,
            Err(refused) => return Ok((taken, refused.kind().status())),
        }
    }
    unreachable!("a plan has room for so many")
}

#[tokio::test]
async fn a_new_version_moves_nobody_and_other_processes_read_it_when_a_tenant_is_put_on_it()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (here, there, clock) = two_processes(notes).await?;
        let admin = here.admin(service());
        admin.add_plan_version(&plan("pro", 3)?).await?;
        admin.set_plan(notes.acme.id, Some("pro")).await?;
        for engine in [&here, &there] {
            let context = admit(engine, notes.alice, "acme").await?;
            let plan = context.plan().expect("a plan");
            assert_eq!(plan.name(), "pro@1");
            assert!(plan.has_feature("sso") && plan.retention("notes").is_some());
        }
        assert_eq!(fill(&here, notes).await?, (3, 402));

        let second = admin.add_plan_version(&plan("pro", 5)?).await?;
        assert_eq!(second.to_string(), "pro@2");
        for engine in [&here, &there] {
            engine.invalidate(notes.acme.id);
            let context = admit(engine, notes.alice, "acme").await?;
            assert_eq!(context.plan().map(|plan| plan.name()), Some("pro@1"));
        }
        assert_eq!(
            fill(&here, notes).await?,
            (0, 402),
            "the first version has room for 3"
        );

        admin.set_plan(notes.acme.id, Some("pro")).await?;
        assert_eq!(fill(&here, notes).await?, (2, 402), "and the second for 5");
        clock.advance(there.max_staleness() + std::time::Duration::from_millis(1));
        let context = admit(&there, notes.alice, "acme").await?;
        assert_eq!(context.plan().map(|plan| plan.name()), Some("pro@2"));

        // A downgrade removes nothing, and admits no more.
        admin.add_plan_version(&plan("free", 1)?).await?;
        admin.set_plan(notes.acme.id, Some("free")).await?;
        assert_eq!(fill(&here, notes).await?, (0, 402));
        let context = admit(&here, notes.alice, "acme").await?;
        let usage = here.quotas().expect("quotas").usage(&context).await?;
        let held = usage.iter().find(|one| one.name == "projects-held");
        assert_eq!(
            held.map(|one| (one.standing.used, one.standing.limit)),
            Some((5, 1))
        );

        let versions = admin.list_plan_versions(None, None, 10).await?;
        let names: Vec<_> = versions.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["free@1", "pro@1", "pro@2"]);
        // The process of the service adds none.
        let refused = there
            .admin(service())
            .add_plan_version(&plan("pro", 9)?)
            .await;
        assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::ReadOnly);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_held_keeps_its_name_beside_the_book_and_in_later_versions() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (here, _, _) = two_processes(notes).await?;
        let admin = here.admin(service());
        let as_rooms = |name: &str| {
            let rooms = json!({ "held": 5, "name": "rooms" });
            let says = json!({ "permissions": ["*"], "limits": { "projects": rooms } });
            PlanDefinition::from_json(name, says)
        };
        admin.add_plan_version(&plan("pro", 3)?).await?;
        let refused = admin.add_plan_version(&as_rooms("pro")?).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Invalid);
        let said = "counted as `rooms`, and as `projects-held` in plan `pro@1`";
        assert!(refused.to_string().contains(said), "{refused}");

        let book = PlanBook::new()
            .plan("basic", ["*"])
            .limits("basic", [Limit::held("projects", 1)]);
        here.replace_plans(book)?;
        let refused = admin.add_plan_version(&as_rooms("team")?).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Invalid);
        let said = "counted as `rooms`, and as `projects-held` in plan `basic`";
        assert!(refused.to_string().contains(said), "{refused}");
        admin.add_plan_version(&plan("pro", 5)?).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_bad_plan_is_refused_before_it_is_stored_and_of_two_at_once_one_is() -> anyhow::Result<()>
{
    on_every_server(async |notes| {
        let (here, _, _) = two_processes(notes).await?;
        let admin = here.admin(service());
        let bad = json!({ "permissions": ["*"], "limits": { "seats": { "held": 3 } } });
        let refused = admin
            .add_plan_version(&PlanDefinition::from_json("pro", bad)?)
            .await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Invalid);
        let said = "plan `pro`: limit `seats-held`: there is no meter `seats`";
        assert!(refused.to_string().starts_with(said), "{refused}");
        assert_eq!(notes.directory.find_plan_version("pro", None).await?, None);

        // Both have seen that there is no version yet.
        let says = plan("pro", 3)?.as_json().clone();
        let first =
            PlanVersion::from_stored("pro", 1, says, Timestamp::from_unix_seconds(1_800_000_000));
        let (one, other) = (unattributed(), unattributed());
        let add = |record| notes.directory.add_plan_version(&first, record);
        let (one, other) = tokio::join!(add(&one), add(&other));
        let refused = one.err().xor(other.err()).expect("one of them");
        assert_eq!(refused.kind(), StoreErrorKind::Conflict);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_version_its_entry_and_its_event_are_written_together_and_stay() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (here, _, _) = two_processes(notes).await?;
        let admin = here.admin(service());
        for table in ["audit_records", "outbox_events"] {
            notes
                .as_admin(&format!(
                    "CREATE FUNCTION public.cut_off() RETURNS trigger LANGUAGE plpgsql
                         AS $$ BEGIN RAISE EXCEPTION 'refused by a test'; END $$;
                     CREATE TRIGGER cut_off BEFORE INSERT ON tenancy.{table}
                         FOR EACH ROW EXECUTE FUNCTION public.cut_off();"
                ))
                .await?;
            assert!(admin.add_plan_version(&plan("pro", 3)?).await.is_err(), "{table}");
            notes.as_admin("DROP FUNCTION public.cut_off() CASCADE").await?;
            assert_eq!(notes.directory.find_plan_version("pro", None).await?, None, "{table}");
        }
        admin.add_plan_version(&plan("pro", 3)?).await?;
        let mut owner = notes.database.admin().await?;
        let told = sqlx::query(
            "SELECT a.action, a.outcome, a.targets ->> 0 AS target, e.kind, e.payload
             FROM tenancy.audit_entries AS a JOIN tenancy.outbox_events AS e ON e.caused_by = a.id
             WHERE a.action = 'plan.add-version' AND a.tenant_id IS NULL AND e.tenant_id IS NULL",
        )
        .fetch_one(&mut owner)
        .await?;
        assert_eq!(told.get::<String, _>("outcome"), "allowed");
        assert!(told.get::<String, _>("target").contains("pro@1"));
        assert_eq!(told.get::<String, _>("kind"), "plan.version-added");
        let payload: serde_json::Value = told.get("payload");
        assert_eq!(payload, json!({ "plan": "pro@1", "version": 1 }));

        // Nobody changes or removes one: neither whoever owns the table nor the operators' login.
        for change in [
            "UPDATE tenancy.plan_versions SET definition = '{}'",
            "DELETE FROM tenancy.plan_versions",
            "TRUNCATE tenancy.plan_versions",
        ] {
            assert_eq!(sqlstate(sqlx::query(change).execute(&mut owner).await), "23000", "{change}");
        }
        sqlx::query("SET session_replication_role = replica").execute(&mut owner).await?;
        let delete = sqlx::query("DELETE FROM tenancy.plan_versions").execute(&mut owner).await;
        assert_eq!(sqlstate(delete), "23000", "as replication does it");
        let mut app = notes.app().await?;
        for refused in [
            "SELECT FROM tenancy.plan_versions",
            "INSERT INTO tenancy.plan_versions (plan, version, definition) VALUES ('free', 1, '{}')",
        ] {
            assert_eq!(sqlstate(sqlx::query(refused).execute(&mut app).await), "42501", "{refused}");
        }
        let found = "SELECT count(*) FROM tenancy.find_plan_version('pro', NULL)";
        assert_eq!(sqlx::query_scalar::<_, i64>(found).fetch_one(&mut app).await?, 1);
        // A tenant that manages itself reads plans, and adds none.
        let itself = registry::directory(notes).await?;
        assert!(itself.find_plan_version("pro", Some(1)).await?.is_some());
        let engine = with_plans(notes::builder(itself.clone())?, itself).build()?;
        let refused = engine.admin(service()).add_plan_version(&plan("pro", 9)?).await;
        assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::ReadOnly);
        Ok(())
    })
    .await
}

/// How many projects a tenant may hold, as an engine sees it.
async fn room(engine: &Tenancy, user: tenancy_core::UserId, slug: &str) -> anyhow::Result<u64> {
    let context = admit(engine, user, slug).await?;
    let quotas = engine.quotas().context("quotas")?;
    let usage = quotas.usage(&context).await?;
    let held = usage.iter().find(|one| one.name == "projects-held");
    Ok(held.context("the limit")?.standing.limit)
}

#[tokio::test]
async fn a_limit_of_one_tenants_own_outlives_the_process_and_ends_when_it_says()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        let clock = Arc::new(ManualClock::now_frozen());
        let build = |directory: PgDirectory| {
            let builder = with_plans(notes::builder(directory.clone())?, directory.clone());
            let builder = builder.stored_overrides(directory);
            anyhow::Ok(builder.clock(clock.clone()).build()?)
        };
        let here = build(notes.directory.clone())?;
        let there = build(PgDirectory::connect_with(notes.app_options(), 2).await?)?;
        let admin = here.admin(service());
        admin.add_plan_version(&plan("pro", 3)?).await?;
        for tenant in [&notes.acme, &notes.globex] {
            admin.set_plan(tenant.id, Some("pro")).await?;
        }
        for engine in [&here, &there] {
            assert_eq!(room(engine, notes.alice, "acme").await?, 3);
        }
        let hour = std::time::Duration::from_secs(3_600);
        let until = clock.now() + hour;
        let more = LimitOverride::new(Limit::held("projects", 30)).until(until);
        admin.put_limit_override(notes.acme.id, &more).await?;
        assert_eq!(room(&here, notes.alice, "acme").await?, 30);
        clock.advance(there.max_staleness() + std::time::Duration::from_millis(1));
        assert_eq!(room(&there, notes.alice, "acme").await?, 30);
        assert_eq!(
            room(&there, notes.bob, "globex").await?,
            3,
            "and nobody else's"
        );
        // A process that was started since.
        let third = build(PgDirectory::connect_with(notes.app_options(), 2).await?)?;
        assert_eq!(room(&third, notes.alice, "acme").await?, 30);
        clock.advance(hour);
        for engine in [&here, &there, &third] {
            assert_eq!(room(engine, notes.alice, "acme").await?, 3);
        }
        admin
            .put_limit_override(
                notes.acme.id,
                &LimitOverride::new(Limit::held("projects", 9)),
            )
            .await?;
        assert_eq!(room(&here, notes.alice, "acme").await?, 9);
        admin
            .remove_limit_override(notes.acme.id, "projects-held")
            .await?;
        assert_eq!(room(&here, notes.alice, "acme").await?, 3);

        // The process of the service gives none, and its login reaches no row.
        let refused = there
            .admin(service())
            .put_limit_override(notes.acme.id, &more)
            .await;
        assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::ReadOnly);
        let mut app = notes.app().await?;
        for refused in [
            "SELECT FROM tenancy.limit_overrides",
            "DELETE FROM tenancy.limit_overrides",
        ] {
            assert_eq!(
                sqlstate(sqlx::query(refused).execute(&mut app).await),
                "42501",
                "{refused}"
            );
        }
        Ok(())
    })
    .await
}
