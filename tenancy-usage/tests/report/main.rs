//! Reports: what they say, and that no text of others becomes markup or a formula.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

use std::sync::Arc;

use tenancy_core::{
    ManualClock, TenantId, Timestamp,
    quota::{Calendar, Window},
};
use tenancy_usage::{
    Decimal, EventOutcome, MemoryUsage, Resolution, RollupQuery, UsageCalendar, UsageEvent,
    UsageMeter, UsageMeters, UsageSink as _, UsageStatus,
    forecast::PeriodForecast,
    invoice::Rating,
    price::{MeterPrice, PlanPrices, PriceBook, PriceVersion},
    report::{ReportMeter, UsageReport},
};

/// 2027-01-15T08:00:00Z.
const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

/// What somebody calls a tenant or a model who wishes us ill.
const HOSTILE: &str = "=cmd|' /C calc'!A0<script>alert(1)</script>\"'\u{202e}&amp;";

fn meters() -> UsageMeters {
    UsageMeters::new([
        UsageMeter::sum("tokens").dimension("model"),
        UsageMeter::max("connections"),
        UsageMeter::count("exports"),
    ])
    .unwrap()
}

fn berlin() -> UsageCalendar {
    let berlin = Calendar::in_zone("Europe/Berlin").unwrap();
    UsageCalendar::monthly().of_each(move |_| berlin.clone())
}

/// A report of January in Berlin, of 1,500 tokens on the 2nd and 500 on the 3rd.
async fn report(name: &str) -> UsageReport {
    let clock = Arc::new(ManualClock::at(NOW));
    let sink = MemoryUsage::new(meters()).calendar(berlin()).clock(clock);
    let (acme, other) = (TenantId::new(), TenantId::new());
    let day = |day: i64| Timestamp::from_unix_seconds(1_798_761_600 + (day - 1) * 86_400);
    for (tenant, id, at, quantity, model) in [
        (acme, "1", day(2), Decimal::new(15_005, 1), HOSTILE),
        (acme, "2", day(3), 500.into(), "small"),
        (other, "3", day(3), 70_707.into(), "secret-model"),
    ] {
        let event = UsageEvent::new(tenant, "tokens", "test", id, at).quantity(quantity);
        let outcome = sink
            .record(&[event.dimension("model", model)])
            .await
            .unwrap();
        assert_eq!(outcome, [EventOutcome::Counted]);
    }
    let connections = UsageEvent::new(acme, "connections", "test", "4", day(2)).quantity(7);
    sink.record(&[connections]).await.unwrap();

    let month = berlin().window(acme, Resolution::Period, NOW);
    let pro = PlanPrices::new("pro")
        .flat("base <fee>", 1_234)
        .price(MeterPrice::per_unit("tokens", Decimal::new(2, 1)));
    let version = PriceVersion::new("first", Timestamp::EPOCH).plan(pro);
    let book = PriceBook::builder("EUR")
        .version(version)
        .build(&meters())
        .unwrap();
    let mut usage = Vec::new();
    for meter in ["tokens", "connections"] {
        usage.extend(
            sink.rollups(&RollupQuery::total(acme, meter, month))
                .await
                .unwrap(),
        );
    }
    let invoice = Rating::new(&book, acme, month)
        .plan("pro", usage)
        .rate()
        .unwrap();
    let history = vec![Decimal::from(1_000); 42];
    let forecast = PeriodForecast::of("tokens", &history, 7, Decimal::new(20_005, 1), 17).unwrap();
    let priced = PeriodForecast::price(&book, acme, month, "pro", std::slice::from_ref(&forecast));
    UsageReport::new(acme, name, month, NOW)
        .zone("Europe/Berlin")
        .unwrap()
        .read(&sink, &meters(), &berlin())
        .await
        .unwrap()
        .invoice(invoice)
        .forecast(forecast)
        .priced_forecast(priced.unwrap())
        .warning(HOSTILE)
}

#[tokio::test]
async fn a_report_has_each_day_of_the_tenants_zone_and_nothing_of_another_tenant() {
    let report = report("Acme").await;
    let json = report.to_json();
    let tokens = &json["meters"][2];
    assert_eq!(
        (&tokens["name"], &tokens["total"]),
        (&"tokens".into(), &"2000.5".into())
    );
    let days = tokens["days"].as_array().unwrap();
    assert_eq!(
        (days.len(), &days[0]["date"], &days[30]["date"]),
        (31, &"2027-01-01".into(), &"2027-01-31".into())
    );
    assert_eq!(
        (
            &days[1]["quantity"],
            &days[2]["quantity"],
            &days[3]["quantity"]
        ),
        (&"1500.5".into(), &"500".into(), &"0".into())
    );
    let by: Vec<_> = tokens["by"]["model"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["value"].as_str().unwrap())
        .collect();
    assert_eq!(by, [HOSTILE, "small"]);
    // What does not add up has no parts, and its total is no sum of days.
    assert_eq!(
        (&json["meters"][0]["total"], &json["meters"][0]["by"]),
        (&"7".into(), &serde_json::json!({}))
    );
    assert_eq!(
        (&json["cost"]["total"], &json["cost_forecast"]["so_far"]),
        (&"1634.10".into(), &"1634.10".into())
    );
    assert_eq!(
        json["warnings"].as_array().unwrap().len(),
        2,
        "connections have no price"
    );
    for text in [json.to_string(), report.to_csv(), report.to_html()] {
        assert!(
            text.contains("small") && !text.contains("secret-model") && !text.contains("70,707")
        );
    }
}

#[tokio::test]
async fn no_text_of_others_is_markup_in_the_page() {
    let page = report(HOSTILE).await.to_html();
    assert!(!page.contains("<script") && !page.contains('\u{202e}') && !page.contains("<fee>"));
    // The heading, the title, a model, a warning.
    assert!(
        page.matches("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;amp;")
            .count()
            >= 4
    );
    assert!(page.contains("default-src &#39;none&#39;") || page.contains("default-src 'none'"));
    for outside in [
        "http:", "https:", "url(", "@import", "src=", "href=", "NaN", "inf",
    ] {
        let found = page
            .find(outside)
            .filter(|_| outside != "inf" || page.contains(" inf"));
        assert!(found.is_none(), "{outside} at {found:?}");
    }
    assert!(page.contains("<strong>2,000.5</strong>") && page.contains("EUR 1,634.10"));
    assert!(
        page.contains("Sat 2 Jan")
            && page.contains("<span>31 Jan</span>")
            && page.contains("viewBox=\"0 0 310 100\"")
    );
    assert!(page.contains("1 January 2027 to 31 January 2027"));
    // Today is the 15th: the table of a meter ends with it.
    assert!(page.contains("Fri 15 Jan") && !page.contains("Sat 16 Jan"));
    let images = page.matches("role=\"img\"").count();
    assert_eq!(
        (images, page.matches("<desc").count()),
        (2, 2),
        "exports have no chart"
    );
}

#[tokio::test]
async fn no_text_of_others_is_a_formula_or_breaks_a_record() {
    let csv = report(HOSTILE).await.to_csv();
    let header = csv.lines().next().unwrap();
    assert_eq!(header.split(',').count(), 12);
    assert!(
        csv.contains("'=cmd") && !csv.contains(",=cmd") && !csv.contains(",\"=cmd"),
        "{csv}"
    );
    assert_eq!(csv.matches("\r\nday,").count(), 3 * 31);
    assert!(csv.contains("\r\ntotal,tokens,,,,2026-12-31T23:00:00.000000Z,2027-01-31T23:00:00.000000Z,2000.5,tokens,,,\r\n"));
    assert!(
        csv.contains("\r\ncost,base <fee>,,,,") && csv.contains(",1234.00,EUR\r\n"),
        "{csv}"
    );
}

#[tokio::test]
async fn a_forecast_below_what_is_due_already_is_not_shown() {
    let report = report("Acme").await;
    assert!(report.to_html().contains("Expected at its end"));
    let meters = UsageMeters::new([UsageMeter::count("exports")]).unwrap();
    let version = PriceVersion::new("first", Timestamp::EPOCH).plan(PlanPrices::new("pro"));
    let free = PriceBook::builder("EUR")
        .version(version)
        .build(&meters)
        .unwrap();
    let month = UsageCalendar::monthly().window(TenantId::new(), Resolution::Period, NOW);
    let nothing = PeriodForecast::price(&free, TenantId::new(), month, "pro", &[]).unwrap();
    assert!(
        !report
            .priced_forecast(nothing)
            .to_html()
            .contains("Expected at its end")
    );
}

#[test]
fn a_report_of_nothing_is_a_page_too() {
    let day = Window::new(Timestamp::EPOCH, Timestamp::from_unix_seconds(86_400));
    let empty = UsageReport::new(TenantId::new(), "", day, NOW);
    assert!(empty.to_html().contains("</html>"));
    assert_eq!(empty.to_csv().lines().count(), 1);
    let meter = ReportMeter::new(&UsageMeter::count("exports"), 0.into(), Vec::new());
    let page = empty.clone().meter(meter).to_html();
    assert!(page.contains("Not used in this period") && !page.contains("NaN"));
    assert_eq!(
        empty.clone().status(&UsageStatus::default()).to_json()["warnings"],
        serde_json::json!([])
    );
    let mut status = UsageStatus::default();
    status.refused = 3;
    assert!(
        empty
            .clone()
            .status(&status)
            .to_html()
            .contains("3 events were refused")
    );
    assert!(empty.zone("Europe/Nowhere").is_err());
}

#[test]
fn only_the_largest_parts_are_shown_and_the_rest_is_one() {
    let month = Window::new(Timestamp::EPOCH, Timestamp::from_unix_seconds(86_400));
    let rollups: Vec<_> = (1..=13_i64)
        .map(|number| {
            tenancy_usage::Rollup::new(TenantId::new(), "tokens", month, number, 1)
                .dimension("model", number.to_string())
        })
        .collect();
    let meter = UsageMeter::sum("tokens").dimension("model");
    let meter = ReportMeter::new(&meter, 91.into(), Vec::new()).parts("model", &rollups);
    let parts = &meter.by["model"];
    assert_eq!((parts.len(), &*parts[0].value), (11, "13"));
    assert_eq!(
        (&*parts[10].value, parts[10].quantity),
        ("(others)", 6.into())
    );
}
