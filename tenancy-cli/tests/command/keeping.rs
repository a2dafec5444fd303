//! `tenancy audit prune`.

use anyhow::ensure;
use tenancy_core::TenantId;
use tenancy_sqlx::schema::SealWay;
use tenancy_tests::notes::{Notes, on_every_server, on_every_server_sealed};

use crate::stand::{Stand, written};

/// So many entries of a tenant that were recorded so many days ago, linked.
async fn aged(stand: &Stand<'_>, tenant: TenantId, count: u32, days: u32) -> anyhow::Result<()> {
    stand
        .notes
        .as_admin(&format!(
            "INSERT INTO tenancy.audit_records (id, at, recorded_at, tenant_id, actor_kind, action, outcome)
             SELECT gen_random_uuid(), now(), now() - interval '{days} days', '{tenant}', 'system', 'note.share',
                 'allowed'
             FROM generate_series(1, {count})"
        ))
        .await?;
    stand.run(&["audit", "seal"])?.ends_with(0)?;
    Ok(())
}

async fn count(notes: &Notes, tenant: TenantId) -> anyhow::Result<i64> {
    let mut admin = notes.database.admin().await?;
    let count = sqlx::query_scalar(
        "SELECT count(*) FROM tenancy.audit_records WHERE action = 'note.share' AND tenant_id = $1",
    )
    .bind(tenant.as_uuid())
    .fetch_one(&mut admin)
    .await?;
    Ok(count)
}

async fn on_plans(notes: &Notes) -> anyhow::Result<()> {
    let stand = Stand::new(notes).await?;
    let (acme, globex) = (notes.acme.id, notes.globex.id);
    let gone = TenantId::new();
    for tenant in [acme, globex, gone] {
        aged(&stand, tenant, 4, 100).await?;
        aged(&stand, tenant, 3, 5).await?;
        ensure!(count(notes, tenant).await? == 7);
    }
    // One is on a plan of a file, the other on a stored version, whose permissions only the service knows.
    notes
        .as_admin(&format!(
            "UPDATE tenancy.tenants SET plan = 'free' WHERE id = '{acme}';
             UPDATE tenancy.tenants SET plan = 'pro@1' WHERE id = '{globex}'"
        ))
        .await?;
    let prune = ["audit", "prune", "--keep", "30 days", "--format", "json"];
    for missing in ["free", "pro@1"] {
        let unknown = stand.run_as(stand.admin.id, &prune)?.ends_with(2)?;
        let plans = ["`free`", "`pro@1`"];
        ensure!(
            plans.iter().any(|plan| unknown.err.contains(plan)),
            "{missing}: {unknown:?}"
        );
        ensure!(unknown.err.contains("--plans"), "{unknown:?}");
    }
    notes
        .as_admin(
            r#"INSERT INTO tenancy.plan_versions (plan, version, definition) VALUES ('pro', 1,
                '{"permissions": ["notes:*"], "limits": {"exports": {"held": 5}}, "retention": {"audit": "for good"}}')"#,
        )
        .await?;
    let plans = stand.file("plans.toml");
    written(
        &stand.path("plans.toml"),
        "[plans.free]\npermissions = ['notes:read']\nretention = { audit = '50 days' }\n",
    )?;
    ensure!(
        count(notes, acme).await? == 7 && count(notes, gone).await? == 7,
        "nothing is gone"
    );
    let with_plans = [&prune[..], &["--plans", &plans]].concat();
    let done = stand.run_as(stand.admin.id, &with_plans)?.ends_with(0)?;
    ensure!(done.json()?[0]["removed"] == 8, "{done:?}");
    ensure!(
        count(notes, acme).await? == 3,
        "what is older than 50 days is gone"
    );
    ensure!(
        count(notes, gone).await? == 3,
        "so it is without a tenant, by --keep"
    );
    ensure!(
        count(notes, globex).await? == 7,
        "the stored plan keeps all"
    );
    let told = stand.told("trail.prune").await?;
    let named = format!(
        "operator:{} tenancy-cli allowed ticket 4711",
        stand.admin.id
    );
    ensure!(
        told.len() == 2 && told.iter().all(|one| one.starts_with(&named)),
        "{told:?}"
    );
    stand.run(&["audit", "verify", "--all"])?.ends_with(0)?;
    let again = stand.run_as(stand.admin.id, &with_plans)?.ends_with(0)?;
    ensure!(again.json()?[0]["removed"] == 0, "{again:?}");
    Ok(())
}

#[tokio::test]
async fn what_is_older_than_the_plan_says_goes_and_a_plan_that_is_unknown_keeps_all()
-> anyhow::Result<()> {
    on_every_server(on_plans).await
}

/// There the tenant's record, with its plan, has to be found without being that tenant.
#[tokio::test]
async fn plans_count_where_sessions_are_sealed() -> anyhow::Result<()> {
    on_every_server_sealed(Some(SealWay::Row), on_plans).await
}

#[tokio::test]
async fn what_is_no_retention_removes_nothing() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        let acme = notes.acme.id;
        aged(&stand, acme, 2, 100).await?;
        for wrong in ["0", "a year"] {
            let prune = ["audit", "prune", "--keep", wrong];
            let refused = stand.run_as(stand.admin.id, &prune)?.ends_with(2)?;
            ensure!(refused.err.contains("--keep"), "{refused:?}");
        }
        let plans = stand.file("plans.toml");
        let prune = ["audit", "prune", "--keep", "1", "--plans", &plans];
        let missing = stand.run_as(stand.admin.id, &prune)?.ends_with(2)?;
        ensure!(missing.err.contains("plans.toml"), "{missing:?}");
        written(&stand.path("plans.toml"), "[plans.free]\nretension = {}\n")?;
        let misspelt = stand.run_as(stand.admin.id, &prune)?.ends_with(2)?;
        ensure!(misspelt.err.contains("line 2"), "{misspelt:?}");
        let for_good = ["audit", "prune", "--keep", "for good"];
        stand.run_as(stand.admin.id, &for_good)?.ends_with(0)?;
        ensure!(count(notes, acme).await? == 2);
        Ok(())
    })
    .await
}
