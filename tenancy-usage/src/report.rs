//! Reports: what a tenant used in a period, what it costs and what it will come to, for people and for programs.
//!
//! A [`UsageReport`] is read from a sink once, and written as JSON, as CSV, or as a page of HTML with charts.

mod csv;
mod html;
mod json;
mod meter;
mod reading;

use jiff::{Timestamp as Instant, civil::Date, tz::TimeZone};
use tenancy_core::{ConfigError, TenantId, Timestamp, quota::Window};

pub use meter::{ReportMeter, ReportPart};

use crate::{
    UsageStatus,
    forecast::{Confidence, PeriodForecast, PricedForecast},
    invoice::DraftInvoice,
};

/// What a tenant used in a period.
///
/// ```
/// use tenancy_core::{Clock as _, SystemClock, TenantId};
/// use tenancy_usage::{
///     MemoryUsage, Resolution, UsageCalendar, UsageEvent, UsageMeter, UsageMeters, UsageSink as _,
///     report::UsageReport,
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let meters = UsageMeters::new([UsageMeter::count("exports").dimension("format")])?;
/// let (sink, calendar) = (MemoryUsage::new(meters.clone()), UsageCalendar::monthly());
/// let (acme, now) = (TenantId::new(), SystemClock.now());
/// let event = UsageEvent::new(acme, "exports", "api", "1", now).dimension("format", "pdf");
/// sink.record(&[event]).await?;
///
/// let month = calendar.window(acme, Resolution::Period, now);
/// let report = UsageReport::new(acme, "Acme <GmbH>", month, now).read(&sink, &meters, &calendar).await?;
/// assert_eq!(report.to_json()["meters"][0]["total"], "1");
/// assert!(report.to_html().contains("Acme &lt;GmbH&gt;"));
/// # Ok(())
/// # }
/// ```
///
/// # Security
/// It has the usage of one tenant. Names, dimensions and warnings are texts of others: the page escapes each of them, has no script, loads
/// nothing, and says so to the browser (`Content-Security-Policy`). In the CSV, no spreadsheet sees a formula in them.
#[derive(Debug, Clone)]
#[must_use]
pub struct UsageReport {
    tenant: TenantId,
    name: Box<str>,
    period: Window,
    made_at: Timestamp,
    zone: (Box<str>, TimeZone),
    meters: Vec<ReportMeter>,
    invoice: Option<DraftInvoice>,
    forecasts: Vec<PeriodForecast>,
    priced: Option<PricedForecast>,
    warnings: Vec<Box<str>>,
}

impl UsageReport {
    /// A report about a tenant, which people know by this name, and a period; without a meter yet. Dates are those of UTC.
    pub fn new(
        tenant: TenantId,
        name: impl Into<Box<str>>,
        period: Window,
        made_at: Timestamp,
    ) -> Self {
        Self {
            tenant,
            name: name.into(),
            period,
            made_at,
            zone: ("UTC".into(), TimeZone::UTC),
            meters: Vec::new(),
            invoice: None,
            forecasts: Vec::new(),
            priced: None,
            warnings: Vec::new(),
        }
    }

    /// The zone whose dates it shows: the one of the tenant's calendar. Default: UTC.
    ///
    /// # Errors
    /// A [`ConfigError`] if there is no such zone in the IANA time zone database.
    pub fn zone(mut self, name: &str) -> Result<Self, ConfigError> {
        let zone = TimeZone::get(name).map_err(|_| {
            ConfigError::new(format!(
                "there is no time zone `{name}`; give a name of the IANA database, such as `Europe/Berlin`"
            ))
        })?;
        self.zone = (name.into(), zone);
        Ok(self)
    }

    /// Adds a meter.
    pub fn meter(mut self, meter: ReportMeter) -> Self {
        self.meters.push(meter);
        self
    }

    /// Adds what the usage costs. Usage that no price is for becomes a warning.
    pub fn invoice(mut self, invoice: DraftInvoice) -> Self {
        for usage in &invoice.unpriced {
            self.warnings.push(
                format!(
                    "Plan {} has no price for {}: {} are not billed.",
                    usage.plan,
                    usage.meter,
                    usage.quantity.normalize()
                )
                .into(),
            );
        }
        self.invoice = Some(invoice);
        self
    }

    /// Adds what a meter will come to. A forecast with little history says so in a warning.
    pub fn forecast(mut self, forecast: PeriodForecast) -> Self {
        if forecast.rest.confidence == Confidence::Low {
            let text = format!(
                "The forecast of {} is a rough guess: there is little history.",
                forecast.meter
            );
            self.warnings.push(text.into());
        }
        self.forecasts.push(forecast);
        self
    }

    /// Adds what the period will cost, in the currency of the [invoice](Self::invoice). The page does not show one that is below what the
    /// invoice costs already: it leaves out prices with a condition, which a forecast does not know.
    pub fn priced_forecast(mut self, priced: PricedForecast) -> Self {
        self.priced = Some(priced);
        self
    }

    /// Warns of events that are not counted: see [`UsageSink::status`](crate::UsageSink::status).
    pub fn status(mut self, status: &UsageStatus) -> Self {
        for (events, why) in [
            (status.conflicts, "had the id of another event"),
            (status.unmatched, "had no meter"),
            (status.too_late, "came too late"),
            (status.refused, "were refused"),
        ] {
            if events > 0 {
                let text = format!("{events} events {why}, and are not counted.");
                self.warnings.push(text.into());
            }
        }
        self
    }

    /// Adds a warning in words.
    pub fn warning(mut self, text: impl Into<Box<str>>) -> Self {
        self.warnings.push(text.into());
        self
    }

    /// The date that the clocks of the report's zone show.
    fn date(&self, at: Timestamp) -> Date {
        let instant = Instant::from_second(at.as_unix_seconds()).unwrap_or_default();
        self.zone.1.to_datetime(instant).date()
    }

    fn forecast_of(&self, meter: &str) -> Option<&PeriodForecast> {
        self.forecasts.iter().find(|it| &*it.meter == meter)
    }
}
