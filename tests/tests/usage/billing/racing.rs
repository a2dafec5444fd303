//! Two processes that tell the same thresholds and close the same periods: each is told and closed by one of them.

use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use sqlx::postgres::PgConnectOptions;
use tenancy_core::TenantId;
use tenancy_sqlx::{PgBilling, RegistryPool};
use tenancy_tests::notes::{PASSWORD, on_every_server, seal_key, seal_of_the_run};
use tenancy_usage::{
    billing::{CloseOutcome, CreditStore as _, PeriodStore as _, ThresholdStore as _},
    conformance,
    credit::{Grant, GrantUnit},
    price::Currency,
    threshold::ThresholdKey,
};

use super::{closed, events, invoice, keeping};
use crate::at_now;

const TENANT: &str = "TENANCY_TEST_RACING_TENANT";
const FEE: &str = "TENANCY_TEST_RACING_FEE";
const REGISTRY: &str = "TENANCY_TEST_RACING_REGISTRY";

const PERIODS: u32 = 20;
const FEES: [i64; 2] = [29, 31];

/// No test by itself: one of the processes that the test below starts.
#[tokio::test]
async fn one_of_two_processes() -> anyhow::Result<()> {
    let Ok(tenant) = std::env::var(TENANT) else {
        return Ok(());
    };
    let tenant: TenantId = tenant.parse()?;
    let fee: i64 = std::env::var(FEE)?.parse()?;
    let options: PgConnectOptions = std::env::var(REGISTRY)?.parse()?;
    let registry = match seal_of_the_run()? {
        Some(_) => RegistryPool::connect_sealed(options, &seal_key()?).await?,
        None => RegistryPool::connect_with(options).await?,
    };
    let billing = PgBilling::builder(&registry).clock(at_now()).build();
    let (mut told, mut new) = (0, 0);
    for ago in 1..=PERIODS {
        let period = closed(tenant, ago)?;
        let keys = [50, 80, 100, 120]
            .map(|percent| ThresholdKey::new(tenant, "tokens", period.window().start, percent));
        told += billing.cross(&keys).await?.len();
        let outcome = billing
            .close_period(&period, &invoice(&period, fee)?)
            .await?;
        new += u32::from(matches!(outcome, CloseOutcome::Closed(_)));
    }
    println!("\ntold {told}\nclosed {new}");
    Ok(())
}

#[tokio::test]
async fn two_processes_tell_and_close_each_once() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let billing = keeping(notes, at_now()).await?.build();
        let tenant = notes.acme.id;
        let euro = Currency::new("EUR")?;
        let start = closed(tenant, PERIODS)?.window().start;
        let grant = Grant::money("welcome", euro, 10_000, start);
        billing
            .grant(tenant, &grant, &tenancy_core::Actor::System, "a test")
            .await?;
        let start = |fee: i64| {
            Command::new(std::env::current_exe()?)
                .args([
                    "--exact",
                    "billing::racing::one_of_two_processes",
                    "--nocapture",
                ])
                .env(TENANT, tenant.to_string())
                .env(FEE, fee.to_string())
                .env(
                    REGISTRY,
                    notes.database.url_as("tenancy_registry", Some(PASSWORD)),
                )
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
        };
        let processes = [start(FEES[0])?, start(FEES[1])?];
        let (mut told, mut new) = (0, 0);
        for process in processes {
            let output = tokio::task::spawn_blocking(|| process.wait_with_output()).await??;
            let said = String::from_utf8(output.stdout)?;
            ensure!(output.status.success(), "{said}");
            let number = |name: &str| {
                let mut lines = said.lines();
                let line = lines.find_map(|line| line.strip_prefix(name));
                anyhow::Ok(line.context(said.clone())?.parse::<usize>()?)
            };
            told += number("told ")?;
            new += number("closed ")?;
        }
        let periods = usize::try_from(PERIODS)?;
        ensure!((told, new) == (4 * periods, periods), "{told} {new}");
        ensure!(events(notes, "usage.threshold-crossed").await?.len() == told);
        ensure!(events(notes, "billing.period-closed").await?.len() == new);

        // What was taken of the credit is what the invoices that stand say, and no more.
        let kept = billing.list_closed(tenant, None, 100).await?;
        ensure!(kept.len() == periods);
        let mut paid = tenancy_usage::Decimal::ZERO;
        for closed in &kept {
            ensure!(FEES.map(Into::into).contains(&closed.invoice.subtotal()));
            ensure!(closed.invoice.total().is_zero());
            paid += closed.invoice.subtotal();
        }
        let ledger = billing.ledger(tenant).await?;
        let left = ledger.balance(&GrantUnit::Money(euro), conformance::NOW);
        ensure!(
            left == tenancy_usage::Decimal::from(10_000) - paid,
            "{left}"
        );
        Ok(())
    })
    .await
}
