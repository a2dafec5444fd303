//! A tenant's usage, what it costs, and what it will come to at the end of the month.

use std::time::Duration;

use anyhow::ensure;
use tenancy::{
    Clock as _, SystemClock, TenantId, Timestamp,
    postgres::{PgUsage, RegistryPool},
    quota::Window,
    usage::{
        Decimal, Resolution, Rollup, RollupQuery, UsageCalendar, UsageEvent, UsageMeters,
        UsageSink as _,
        analytics::Analytics,
        forecast::PeriodForecast,
        invoice::{DraftInvoice, Rating},
        price::{MeterPrice, PlanPrices, PriceBook, PriceVersion, Tier},
    },
};
use tenancy_tests::TestDatabase;

use crate::{
    service::{self, Customer},
    walk::{claim, host},
};

const REQUESTS: &str = "http-requests";

const DAY: Duration = Duration::from_secs(86_400);

/// How many days before this one have usage that is made up, so that there is something to forecast from.
const MADE_UP: u32 = 28;

/// The usage of `customer`. That of `other` is looked at too, and is not among it.
pub(crate) async fn show(
    database: &TestDatabase,
    customer: &Customer,
    other: &Customer,
) -> anyhow::Result<()> {
    let tenant = customer.id;
    let registry = RegistryPool::connect(&service::registry_url(database)).await?;
    let meters = UsageMeters::new(UsageMeters::http())?;
    let usage = PgUsage::builder(&registry, meters.clone()).build();
    let now = SystemClock.now();
    let today = UsageCalendar::monthly().window(tenant, Resolution::Day, now);
    let month = UsageCalendar::monthly().window(tenant, Resolution::Period, now);

    let by_status = of_today(&usage, customer, today).await?;
    let of_other = of_today(&usage, other, today).await?;
    for rollup in &by_status {
        let dimension = |name| rollup.dimensions.get(name).map_or("-", |value| value);
        println!(
            "   {:>5} requests {:<18} answered {}",
            rollup.quantity.normalize(),
            dimension("route"),
            dimension("status")
        );
    }
    claim(&format!(
        "the {} requests that acme's host has answered are counted, each once, and globex's {} apart",
        sum(&by_status).normalize(),
        sum(&of_other).normalize()
    ));
    claim("a suspended tenant's request is refused before it is anybody's usage");

    make_up(&usage, tenant, today).await?;
    let book = prices(&meters)?;
    let invoice = invoice(&usage, &book, tenant, month).await?;
    for line in &invoice.lines {
        println!(
            "   {:<10} {:<20} {:>9} {:<9} {:>7} {}",
            line.kind.as_str(),
            line.description,
            line.quantity.normalize(),
            line.unit,
            line.amount,
            invoice.currency
        );
    }
    claim(&format!(
        "until now the month costs {} {}; the {MADE_UP} days before today are made up",
        invoice.total(),
        invoice.currency
    ));

    let forecast = forecast(&usage, tenant, today, month).await?;
    let priced =
        PeriodForecast::price(&book, tenant, month, "pro", std::slice::from_ref(&forecast))?;
    ensure!(priced.expected >= priced.so_far && priced.low <= priced.high);
    claim(&format!(
        "at its end there will be about {} requests, for {} {} (from {} to {})",
        forecast.expected.round(),
        priced.expected,
        invoice.currency,
        priced.low,
        priced.high
    ));
    usage.close().await?;
    registry.close().await;
    Ok(())
}

/// The requests of the walk, by route and status, when there are as many as the tenant's host has answered. The service
/// sends them four times in a second.
async fn of_today(
    usage: &PgUsage,
    customer: &Customer,
    today: Window,
) -> anyhow::Result<Vec<Rollup>> {
    const SUSPENDED: u16 = 403;
    let answered = customer.user.answers(&host(customer), SUSPENDED);
    let query = RollupQuery::each(customer.id, REQUESTS, Resolution::Day, today)
        .by_dimension("route")
        .by_dimension("status");
    for _ in 0..200 {
        let found = usage.rollups(&query).await?;
        let counted = sum(&found);
        ensure!(
            counted <= answered.into(),
            "{counted} of {answered} are counted"
        );
        if counted == answered.into() {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("not all of {answered} requests were counted")
}

fn sum(rollups: &[Rollup]) -> Decimal {
    rollups.iter().map(|rollup| rollup.quantity).sum()
}

/// Some thousand requests on each day, fewer on the weekend. Played again, they count no second time.
async fn make_up(usage: &PgUsage, tenant: TenantId, today: Window) -> anyhow::Result<()> {
    let event = |ago: u32| {
        let noon = today.start - DAY * ago + DAY / 2;
        let weekday = (noon.as_unix_seconds() / 86_400 + 3) % 7;
        let requests = if weekday < 5 { 4_000 + 37 * ago } else { 900 };
        UsageEvent::new(tenant, REQUESTS, "demo", format!("{ago} days ago"), noon)
            .quantity(requests)
            .standing_for(u64::from(requests))
            .dimension("route", "/notes")
    };
    let events: Vec<_> = (1..=MADE_UP).map(event).collect();
    for _ in 0..2 {
        usage.record(&events).await?;
    }
    let status = usage.status(tenant).await?;
    ensure!(status.already_counted >= u64::from(MADE_UP), "{status:?}");
    Ok(())
}

fn prices(meters: &UsageMeters) -> anyhow::Result<PriceBook> {
    let free_until = Tier::up_to(50_000, 0);
    let pro = PlanPrices::new("pro")
        .flat("base fee", 29)
        .price(MeterPrice::graduated(
            REQUESTS,
            [free_until, Tier::rest(Decimal::new(1, 3))],
        ))
        .price(MeterPrice::free("http-request-bytes"))
        .price(MeterPrice::free("http-response-bytes"))
        .price(MeterPrice::free("http-seconds"))
        .price(MeterPrice::free("http-took"));
    let version = PriceVersion::new("demo", Timestamp::EPOCH).plan(pro);
    Ok(PriceBook::builder("EUR").version(version).build(meters)?)
}

async fn invoice(
    usage: &PgUsage,
    book: &PriceBook,
    tenant: TenantId,
    month: Window,
) -> anyhow::Result<DraftInvoice> {
    let mut rating = Rating::new(book, tenant, month);
    for segment in book.segments(month, "pro", &[]) {
        let mut rollups = Vec::new();
        for query in book.queries(tenant, month, &segment) {
            rollups.extend(usage.rollups(&query).await?);
        }
        rating = rating.segment(segment, rollups);
    }
    Ok(rating.rate()?)
}

/// From the full days before this one.
async fn forecast(
    usage: &PgUsage,
    tenant: TenantId,
    today: Window,
    month: Window,
) -> anyhow::Result<PeriodForecast> {
    let before = Window::new(today.start - DAY * MADE_UP, today.start);
    // With the days on which there was nothing.
    let days = Analytics::new(usage)
        .series(
            tenant,
            REQUESTS,
            Resolution::Day,
            before,
            &UsageCalendar::monthly(),
        )
        .await?;
    let of_month = days.iter().filter(|day| day.window.start >= month.start);
    let used = of_month.map(|day| day.quantity).sum();
    let left = month.end.since(today.start).as_secs() / DAY.as_secs();
    let days: Vec<_> = days.iter().map(|day| day.quantity).collect();
    Ok(PeriodForecast::of(
        REQUESTS,
        &days,
        7,
        used,
        usize::try_from(left)?,
    )?)
}
