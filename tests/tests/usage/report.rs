//! The page of a report, as a browser shows it: whole in itself, readable on a phone, with charts that can be seen.

use anyhow::ensure;
use tenancy_core::TenantId;
use tenancy_tests::{Browser, notes::on_every_server};
use tenancy_usage::{
    Decimal, EventOutcome, Resolution, RollupQuery, UsageCalendar, UsageEvent, UsageSink,
    analytics::Analytics,
    conformance,
    forecast::PeriodForecast,
    invoice::Rating,
    price::{MeterPrice, PlanPrices, PriceBook, PriceVersion, Tier},
    report::UsageReport,
};

use super::{at_now, counting};

const HOSTILE: &str = "<script>document.title = 'no'</script><img src=http://127.0.0.1:9/x onerror=alert(1)>\"'\u{202e}a name that is rather long for a page this narrow, and-has-one-word-that-does-not-break-anywhere-at-all";

/// Two weeks of tokens by two models, and some connections.
async fn used(usage: &dyn UsageSink, tenant: TenantId) -> anyhow::Result<()> {
    let mut events = Vec::new();
    for day in 0..14 {
        let at = conformance::NOW - std::time::Duration::from_secs(day * 86_400);
        for (model, factor) in [("large", 700), (&HOSTILE[..60], 90)] {
            let quantity =
                Decimal::from(factor * (20 + day * 37 % 11) * if day % 7 < 2 { 1 } else { 9 });
            let event = UsageEvent::new(tenant, "tokens", "test", format!("{day}-{factor}"), at);
            events.push(event.quantity(quantity).dimension("model", model));
        }
        let event = UsageEvent::new(tenant, "connections", "test", format!("{day}-c"), at);
        events.push(event.quantity(3 + day % 4));
    }
    let outcomes = usage.record(&events).await?;
    ensure!(
        outcomes.iter().all(|it| *it == EventOutcome::Counted),
        "{outcomes:?}"
    );
    Ok(())
}

async fn report(usage: &dyn UsageSink, tenant: TenantId) -> anyhow::Result<UsageReport> {
    let (calendar, now) = (UsageCalendar::monthly(), conformance::NOW);
    let month = calendar.window(tenant, Resolution::Period, now);
    let pro = PlanPrices::new("pro")
        .flat("base fee", 1_290)
        .price(MeterPrice::graduated(
            "tokens",
            [Tier::up_to(100_000, 0), Tier::rest(Decimal::new(2, 3))],
        ));
    let version = PriceVersion::new("2027-01", tenancy_core::Timestamp::EPOCH).plan(pro);
    let book = PriceBook::builder("EUR")
        .version(version)
        .build(&conformance::meters())?;
    let by_model = RollupQuery::total(tenant, "tokens", month).by_dimension("model");
    let usage_of_month = usage.rollups(&by_model).await?;
    let invoice = Rating::new(&book, tenant, month)
        .plan("pro", usage_of_month)
        .rate()?;
    let days = Analytics::new(usage).series(tenant, "tokens", Resolution::Day, month, &calendar);
    let days: Vec<_> = days
        .await?
        .iter()
        .take(14)
        .map(|day| day.quantity)
        .collect();
    let forecast = PeriodForecast::of("tokens", &days, 7, days.iter().sum(), 17)?;
    let priced =
        PeriodForecast::price(&book, tenant, month, "pro", std::slice::from_ref(&forecast))?;
    let report = UsageReport::new(tenant, HOSTILE, month, now);
    let report = report
        .read(usage, &conformance::meters(), &calendar)
        .await?;
    Ok(report
        .invoice(invoice)
        .forecast(forecast)
        .priced_forecast(priced)
        .warning(HOSTILE))
}

#[tokio::test]
async fn a_browser_shows_the_page_of_a_report() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let usage = counting(notes, at_now()).await?.build();
        used(&usage, notes.acme.id).await?;
        let page = report(&usage, notes.acme.id).await?.to_html();
        usage.close().await?;

        let Some(mut browser) = Browser::start().await? else {
            return Ok(());
        };
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("report.html");
        std::fs::write(&path, page)?;
        let url = format!("file://{}", path.display());
        browser.go(&url).await?;
        for scheme in ["light", "dark"] {
            browser.prefer(scheme).await?;
            for (width, height) in [(360, 780), (1_280, 900)] {
                browser.look_at(&format!("report-{scheme}-{width}"), width, height).await?;
                let charts = "[...document.querySelectorAll('svg[role=img]')].map(it => it.getBoundingClientRect())\
                              .filter(it => it.width > 150 && it.height > 90).length";
                ensure!(browser.read(charts).await? == 2, "tokens and connections");
            }
        }
        // A bar for each day that has usage, and one for each day that is forecast.
        let bars = |class: &str| {
            format!("[...document.querySelectorAll('.plot rect.{class}')].filter(it => it.getBoundingClientRect().height > 0).length")
        };
        ensure!(browser.read(&bars("used")).await? == 28 && browser.read(&bars("ahead")).await? == 17);
        let named = "[...document.querySelectorAll('svg[role=img]')].every(it => it.getAttribute('aria-labelledby').split(' ')\
                     .every(id => document.getElementById(id).textContent.length > 9))";
        ensure!(browser.read(named).await? == true, "each chart has a name and a description");
        let title = browser.read("document.title").await?;
        ensure!(title.as_str().is_some_and(|it| it.starts_with("Usage of <script>")), "{title}");
        ensure!(browser.read("document.scripts.length + document.images.length").await? == 0);
        let text = browser.text().await?;
        ensure!(text.contains("<script>document.title = 'no'</script>"), "{text}");
        ensure!(browser.requested() == [url], "{:?}", browser.requested());
        ensure!(browser.complaints() == [] as [&str; 0], "{:?}", browser.complaints());
        browser.close().await
    })
    .await
}
