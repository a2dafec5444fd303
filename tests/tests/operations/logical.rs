//! Logical replication, from this machine's PostgreSQL to PostgreSQL 18: how a server moves to a newer
//! version without a stop.

use sqlx::{ConnectOptions as _, postgres::PgConnectOptions};
use tenancy_core::{Membership, SystemRole, TokenSubject, UserId};
use tenancy_sqlx::ChangeListener;
use tenancy_tests::{
    Server, Version,
    notes::{Notes, PASSWORD, TEMPLATE},
};

use crate::{Service, aged, ask, eventually, run};

/// Everything but what each installation has of its own: `generations`, `feed`, `role_names`,
/// `migrations`, `protected_example`.
const PUBLISHED: &str =
    "tenancy.tenants, tenancy.domains, tenancy.external_ids, tenancy.memberships,
    tenancy.roles, tenancy.projects, tenancy.project_memberships, tenancy.api_keys,
    tenancy.token_epochs, tenancy.audit_log, tenancy.issuers, tenancy.plan_versions,
    tenancy.limit_overrides, notebooks, notes";

/// How many tables that are.
fn published() -> anyhow::Result<i64> {
    Ok(i64::try_from(PUBLISHED.split(',').count())?)
}

async fn subscriber() -> anyhow::Result<Option<Server>> {
    match Server::fresh_or_skip(Version::V18, "").await? {
        Some(server) => Ok(Some(server)),
        None => Ok(Server::fresh_or_skip(Version::Default, "").await?),
    }
}

async fn is_synchronized(options: &PgConnectOptions, tables: i64) -> anyhow::Result<()> {
    let ready = "SELECT count(*) FILTER (WHERE srsubstate = 'r') FROM pg_subscription_rel";
    eventually(async || {
        let mut admin = options.clone().connect().await?;
        let ready: i64 = ask(&mut admin, ready).await?;
        anyhow::ensure!(ready == tables, "{ready} tables are ready");
        Ok(())
    })
    .await
}

/// Subscribes a database, and waits until it has every row.
async fn subscribe(notes: &Notes, target: &PgConnectOptions) -> anyhow::Result<()> {
    notes
        .as_admin(&format!("CREATE PUBLICATION moving FOR TABLE {PUBLISHED}"))
        .await?;
    let source = notes.database.admin_options();
    let mut admin = target.clone().connect().await?;
    let version: i32 = ask(
        &mut admin,
        "SELECT current_setting('server_version_num')::int",
    )
    .await?;
    // Else PostgreSQL 16 and later writes as the tables' owner, whom row security is forced upon.
    let run_as = if version >= 160_000 {
        "run_as_owner = true"
    } else {
        "binary = false"
    };
    run(
        target,
        &format!(
            "CREATE SUBSCRIPTION moving CONNECTION 'host={} port={} user={} dbname={}'
                 PUBLICATION moving WITH ({run_as})",
            source.get_host(),
            source.get_port(),
            source.get_username(),
            notes.database.name()
        ),
    )
    .await?;
    is_synchronized(target, published()?).await
}

#[tokio::test]
async fn a_subscribers_service_hears_what_happens_at_the_publisher() -> anyhow::Result<()> {
    let Some(notes) = aged("wal_level = logical").await? else {
        return Ok(());
    };
    let Some(server) = subscriber().await? else {
        return Ok(());
    };
    // Installed, and without any tenant.
    let database = server.database(&TEMPLATE).await?;
    let target = database.admin_options();
    subscribe(&notes, &target).await?;

    let service = Service::over(target.clone()).await?;
    let (alice, bob) = (notes.alice, notes.bob);
    service.keeps_apart(target.clone(), (alice, bob)).await?;
    for (user, slug) in [(alice, "acme"), (bob, "globex")] {
        service.will_answer(user, slug, (200, "")).await?;
    }
    // Nobody asks the feed from here on but who is notified, and no time passes.
    let app = database.options_as("tenancy_app", Some(PASSWORD));
    let listening = ChangeListener::connect_with(app, &service.tenancy).await?;
    let told = async |user, slug, expected| {
        eventually(async || {
            let answer = service.answer(user, slug).await;
            anyhow::ensure!(answer == expected, "{answer:?}");
            Ok(())
        })
        .await
    };
    let admin = notes.tenancy.admin(tenancy_core::testing::service());
    admin.suspend(notes.acme.id).await?;
    told(alice, "acme", (403, "tenant-suspended")).await?;
    assert_eq!(service.answer(bob, "globex").await, (200, ""));
    let of = TokenSubject::User(bob);
    admin.revoke_tokens(&of).await?;
    told(bob, "globex", (401, "token-revoked")).await?;
    drop(listening);

    // Who publishes the generations as well is not stopped by a duplicate key.
    notes
        .as_admin("ALTER PUBLICATION moving ADD TABLE tenancy.generations")
        .await?;
    run(&target, "ALTER SUBSCRIPTION moving REFRESH PUBLICATION").await?;
    is_synchronized(&target, published()? + 1).await?;
    let carol = UserId::new();
    let viewer = Membership::new(notes.acme.id, carol, SystemRole::Viewer.name());
    admin.activate(notes.acme.id).await?;
    admin.put_membership(&viewer).await?;
    service.will_answer(carol, "acme", (200, "")).await?;
    admin.remove_membership(notes.acme.id, carol).await?;
    service
        .will_answer(carol, "acme", (404, "not-a-member"))
        .await?;
    run(&target, "DROP SUBSCRIPTION moving").await
}
