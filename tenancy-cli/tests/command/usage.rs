//! `tenancy usage`.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use tenancy_core::{ManualClock, OperatorId, TenantId, Timestamp};
use tenancy_sqlx::{PgUsage, RegistryPool};
use tenancy_tests::notes::{Notes, PASSWORD, on_every_server};
use tenancy_usage::{EventOutcome, UsageEvent, UsageMeters, UsageSink as _};

use crate::stand::{Run, Stand, written};

const METERS: &str =
    "[exports]\naggregation = \"count\"\n[egress]\naggregation = \"sum\"\nunit = \"bytes\"\n";

const PRICES: &str = r#"
    currency = "EUR"
    [versions.2027-01]
    from = 2027-01-01T00:00:00Z
    [versions.2027-01.plans.pro]
    flat = { "base fee" = 29 }
    meters.exports = { per_unit = 0.5, included = 1 }
    [versions.2027-01.plans.team]
    meters.exports = { per_unit = 2 }
    meters.egress = "free"
"#;

/// 2027-01-15T08:00:00Z
const JANUARY: i64 = 1_800_000_000;

async fn counting(notes: &Notes) -> anyhow::Result<PgUsage> {
    let options = notes
        .database
        .options_as("tenancy_registry", Some(PASSWORD));
    let registry = RegistryPool::connect_with(options).await?;
    let clock = ManualClock::at(Timestamp::from_unix_seconds(JANUARY + 60));
    let usage = PgUsage::builder(&registry, UsageMeters::from_toml(METERS)?)
        .clock(Arc::new(clock))
        .build();
    Ok(usage)
}

/// Computes the invoice of January 2027 as an operator, from these files.
fn invoice(
    stand: &Stand<'_>,
    operator: OperatorId,
    (meters, prices): (&str, &str),
    more: &[&str],
) -> anyhow::Result<Run> {
    let tenant = stand.notes.acme.id.to_string();
    let (meters, prices) = (stand.file(meters), stand.file(prices));
    let invoice = [
        "usage",
        "invoice",
        "--tenant",
        &tenant,
        "--period",
        "2027-01-31",
        "--meters",
        &meters,
        "--prices",
        &prices,
    ];
    stand.run_as(operator, &[&invoice[..], more].concat())
}

async fn exports(usage: &PgUsage, tenant: TenantId, count: u32) -> anyhow::Result<()> {
    let at = Timestamp::from_unix_seconds(JANUARY);
    let event =
        |number: u32| UsageEvent::new(tenant, "exports", "api", format!("export-{number}"), at);
    let events: Vec<_> = (0..count).map(event).collect();
    let outcomes = usage.record(&events).await?;
    let fresh = outcomes
        .iter()
        .filter(|outcome| **outcome == EventOutcome::Counted);
    ensure!(fresh.count() > 0, "{outcomes:?}");
    Ok(())
}

#[tokio::test]
async fn an_invoice_is_computed_and_computed_again() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        let (acme, globex) = (notes.acme.id, notes.globex.id);
        notes
            .as_admin(&format!(
                "UPDATE tenancy.tenants SET plan = 'pro' WHERE id = '{acme}'"
            ))
            .await?;
        let usage = counting(notes).await?;
        exports(&usage, globex, 40).await?;
        exports(&usage, acme, 5).await?;
        written(&stand.path("meters.toml"), METERS)?;
        written(&stand.path("prices.toml"), PRICES)?;
        let billed = |more: &[&str]| {
            let files = ("meters.toml", "prices.toml");
            let more = [&["--plan", "pro@2"], more].concat();
            invoice(&stand, stand.billing.id, files, &more)
        };

        let run = billed(&["--format", "json"])?.ends_with(0)?;
        let json = run.json()?;
        let [drafted] = &json[..] else {
            anyhow::bail!("{run:?}")
        };
        // 29 + (5 - 1) × 0.5
        ensure!(
            drafted["total"] == "31.00" && drafted["tenant"] == acme.to_string(),
            "{drafted}"
        );
        ensure!(
            drafted["period"]["start"] == "2027-01-01T00:00:00.000000Z",
            "{drafted}"
        );
        let text = billed(&[])?.ends_with(0)?;
        ensure!(
            text.out.contains("base fee") && text.out.contains("31.00 EUR"),
            "{text:?}"
        );
        let csv = billed(&["--format", "csv"])?.ends_with(0)?;
        ensure!(
            csv.out.starts_with("kind,plan,meter") && csv.out.lines().count() == 4,
            "{csv:?}"
        );

        written(&stand.path("before.json"), &run.out)?;
        let before = stand.file("before.json");
        let same = billed(&["--compare", &before])?.ends_with(0)?;
        ensure!(
            same.out.is_empty() && same.err.contains("the same"),
            "{same:?}"
        );
        exports(&usage, acme, 7).await?;
        let other = billed(&["--compare", &before])?.ends_with(1)?;
        ensure!(
            other
                .out
                .contains("its usage is another: 2.00 before, 3.00 now"),
            "{other:?}"
        );

        // What grants have paid is what the invoice says.
        let granted = billed(&["--granted", "exports=2", "--format", "json"])?.ends_with(0)?;
        let total = granted.json()?.first().context("no invoice")?["total"].to_string();
        // 29 + (7 - 1 - 2) × 0.5
        ensure!(total == "\"31.00\"", "{granted:?}");
        written(&stand.path("granted.json"), &granted.out)?;
        billed(&["--compare", &stand.file("granted.json")])?.ends_with(0)?;

        // What happened on the 15th is the second plan's, which includes nothing.
        let changed = billed(&["--change", "2027-01-10=team", "--format", "json"])?.ends_with(0)?;
        let total = changed.json()?.first().context("no invoice")?["total"].to_string();
        // 29 × 9 days of 31, and 7 × 2
        ensure!(total == "\"22.42\"", "{changed:?}");
        usage.close().await?;
        let told = stand.told("usage.read").await?;
        ensure!(
            told.len() == 8
                && told
                    .iter()
                    .all(|entry| entry.ends_with("tenancy-cli allowed ticket 4711")),
            "{told:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_was_not_counted_is_told() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        let acme = notes.acme.id;
        let usage = counting(notes).await?;
        exports(&usage, acme, 5).await?;
        let tenant = acme.to_string();
        let status = ["usage", "status", "--tenant", &tenant, "--format", "json"];
        let run = stand.run_as(stand.billing.id, &status)?.ends_with(0)?;
        let json = run.json()?;
        ensure!(
            json[0]["counted"] == 5 && json[0]["unmatched"] == 0,
            "{run:?}"
        );
        let unknown = UsageEvent::new(
            acme,
            "imports",
            "api",
            "1",
            Timestamp::from_unix_seconds(JANUARY),
        );
        usage.record(&[unknown]).await?;
        let run = stand.run_as(stand.billing.id, &status)?.ends_with(1)?;
        ensure!(run.json()?[0]["unmatched"] == 1, "{run:?}");
        usage.close().await.map_err(Into::into)
    })
    .await
}

#[tokio::test]
async fn what_is_wrong_is_named_before_anything_is_read() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        written(&stand.path("meters.toml"), METERS)?;
        written(&stand.path("prices.toml"), PRICES)?;
        written(
            &stand.path("bad-meters.toml"),
            "[exports]\naggregation = \"sums\"\n",
        )?;
        written(
            &stand.path("bad-prices.toml"),
            &PRICES.replace("exports =", "imports ="),
        )?;
        let tenant = notes.acme.id.to_string();
        for (meters, prices, more, told) in [
            ("none.toml", "prices.toml", &[][..], "none.toml: "),
            (
                "bad-meters.toml",
                "prices.toml",
                &[],
                "bad-meters.toml: line 2, column 15",
            ),
            ("meters.toml", "bad-prices.toml", &[], "imports"),
            ("meters.toml", "prices.toml", &[], "by --plan"),
            ("meters.toml", "prices.toml", &["--plan", "gold"], "`gold`"),
            (
                "meters.toml",
                "prices.toml",
                &["--plan", "pro", "--zone", "Mars/Base"],
                "Mars/Base",
            ),
            (
                "meters.toml",
                "prices.toml",
                &["--plan", "pro", "--compare", "prices.toml"],
                "prices.toml",
            ),
            (
                "meters.toml",
                "prices.toml",
                &["--plan", "pro", "--change", "tomorrow"],
                "2027-01-15=team",
            ),
        ] {
            let run = invoice(&stand, stand.admin.id, (meters, prices), more)?.ends_with(2)?;
            ensure!(
                run.err.contains(told) && run.out.is_empty(),
                "{told}: {run:?}"
            );
        }
        // Which plan a tenant had in a period that is over its record does not say.
        let (meters, prices) = (stand.file("meters.toml"), stand.file("prices.toml"));
        let past = [
            "usage",
            "invoice",
            "--tenant",
            &tenant,
            "--period",
            "2020-01-31",
            "--meters",
            &meters,
            "--prices",
            &prices,
        ];
        let run = stand.run_as(stand.admin.id, &past)?.ends_with(2)?;
        ensure!(run.err.contains("has ended at 2020-02-01"), "{run:?}");
        let disabled = ["usage", "status", "--tenant", &tenant];
        let run = stand.run_as(stand.disabled.id, &disabled)?.ends_with(2)?;
        ensure!(run.err.contains("is disabled"), "{run:?}");
        Ok(())
    })
    .await
}
