//! `tenancy usage invoice`: the draft invoice of a billing period, and whether another one is the same.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use tenancy_core::{
    PlanVersion, TenantId, Timestamp,
    quota::{Calendar, Window},
};
use tenancy_usage::{
    Decimal, Resolution, UsageCalendar, UsageMeters, UsageSink as _,
    invoice::{DraftInvoice, LineKind, Rating},
    price::{PriceBook, PriceBookBuilder},
};

use super::whose::Whose;
use crate::{
    connect::Session,
    failure::{Failure, Verdict},
    moment::moment,
    output::{Output, plain},
    written::read,
};

/// Compute the draft invoice of a billing period from what was counted, or compare one with what is computed now.
///
/// What is computed depends on usage, prices and plans alone: who has the same gets the same, to the digit.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes:
  0  computed; with --compare: it is the same
  1  with --compare: it is another, and the first line that differs is named
  2  it could not be computed: no connection, no such operator, prices that can't be read, a plan without prices

Meters are written as
  [llm-output-tokens]
  aggregation = \"sum\"
  unit = \"tokens\"
  dimensions = [\"model\"]

Examples:
  tenancy usage invoice --tenant $ID --period 2027-01-01 --plan pro --meters meters.toml --prices prices.toml \\
      --operator $ME --reason 'billing run' --format json >2027-01.json
  tenancy usage invoice --tenant $ID --period 2027-01-01 --plan pro --meters meters.toml --prices prices.toml \\
      --operator $ME --reason 'ticket 4711' --compare 2027-01.json")]
pub(super) struct Invoice {
    #[command(flatten)]
    whose: Whose,
    /// A moment of the billing period: a day such as 2027-01-31, or a moment such as 2027-01-31T12:00:00Z
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    period: Timestamp,
    #[command(flatten)]
    calendar: CalendarOf,
    /// The meters of the service, as TOML
    #[arg(long, value_name = "FILE")]
    meters: PathBuf,
    /// The price book, as TOML
    #[arg(long, value_name = "FILE")]
    prices: PathBuf,
    /// The plan with which the tenant came into the period; may be left out while the period goes on, for the plan that it has now
    #[arg(long, value_name = "PLAN")]
    plan: Option<String>,
    /// A change of plan within the period. May be given several times
    #[arg(long, value_name = "MOMENT=PLAN", value_parser = change)]
    change: Vec<(Timestamp, String)>,
    /// So much of a meter is paid by grants of its units. May be given several times. With --compare it is what that invoice says
    #[arg(long, value_name = "METER=QUANTITY", value_parser = granted, conflicts_with = "compare")]
    granted: Vec<(String, Decimal)>,
    /// Compare the invoice in this file, as JSON, with what is computed; its credits and adjustments are left out
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// How the invoice is written
    #[arg(long, value_enum, default_value_t, conflicts_with = "compare")]
    format: Written,
}

/// How an invoice is written.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Written {
    /// A table for people
    #[default]
    Text,
    /// One JSON object
    Json,
    /// The lines as a table for spreadsheets
    Csv,
}

/// The calendar of the tenant's periods, the same one by which its usage was counted.
#[derive(Debug, Args)]
struct CalendarOf {
    /// The zone in which the tenant's periods begin
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    zone: String,
    /// Periods are years
    #[arg(long)]
    yearly: bool,
    /// The moment from which the tenant is billed; periods begin on its day
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    billed_from: Option<Timestamp>,
}

impl CalendarOf {
    fn window(&self, tenant: TenantId, at: Timestamp) -> Result<Window, Failure> {
        let mut calendar = Calendar::in_zone(&self.zone)?;
        if let Some(anchor) = self.billed_from {
            calendar = calendar.billed_from(anchor);
        }
        let usage = match self.yearly {
            true => UsageCalendar::yearly(),
            false => UsageCalendar::monthly(),
        };
        let usage = usage.of_each(move |_| calendar.clone());
        Ok(usage.window(tenant, Resolution::Period, at))
    }
}

fn change(text: &str) -> Result<(Timestamp, String), String> {
    let parts = text.split_once('=').filter(|(_, plan)| !plan.is_empty());
    let (at, plan) = parts.ok_or("expected a moment and a plan, such as 2027-01-15=team")?;
    Ok((moment(at)?, plan.to_owned()))
}

fn granted(text: &str) -> Result<(String, Decimal), String> {
    let parts = text.split_once('=').and_then(|(meter, quantity)| {
        let quantity = Decimal::from_str_exact(quantity).ok()?;
        Some((meter.to_owned(), quantity))
    });
    parts
        .ok_or_else(|| "expected a meter and a quantity, such as llm-output-tokens=5000".to_owned())
}

impl Invoice {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let meters = read(&self.meters, UsageMeters::from_toml)?;
        let book = read(&self.prices, |text| {
            PriceBookBuilder::from_toml(text)?.build(&meters)
        })?;
        let before = self.compare.as_deref().map(invoice_in).transpose()?;
        let (tenant, record) = self.whose.read(session, "invoice").await?;
        let window = self.calendar.window(tenant, self.period)?;
        let plan = match (&self.plan, record) {
            (Some(plan), _) => plan.clone(),
            (None, Some(_)) if window.end <= session.tenancy.clock().now() => {
                return Err(Failure::told(format!(
                    "the period has ended at {}, and tenant {tenant} may have had another plan then; name by --plan the one with \
                     which it came into the period, and by --change those that it changed to",
                    window.end
                )));
            }
            (None, Some(record)) => record.plan.ok_or_else(|| {
                Failure::told(format!("tenant {tenant} has no plan; name one by --plan"))
            })?,
            (None, None) => {
                return Err(Failure::told(format!(
                    "there is no tenant {tenant} any more; name its plan by --plan, or correct the id"
                )));
            }
        };
        // A price book knows plans, and not the versions of their limits.
        let plan = PlanVersion::parse_id(&plan).map_or(&*plan, |(name, _)| name);
        let (before, granted) = match before {
            Some((before, granted)) => (Some(before), granted),
            None => (None, self.granted.clone()),
        };
        let invoice = self
            .rate(session, meters, &book, (tenant, window), (plan, granted))
            .await?;
        let Some(before) = before else {
            let text = match self.format {
                Written::Text => table(&invoice),
                Written::Json => format!("{}\n", invoice.to_json()),
                Written::Csv => invoice.to_csv(),
            };
            output.write(&text).await?;
            for usage in &invoice.unpriced {
                output.remark(&format!(
                    "plan {} has no price for {} of {}",
                    usage.plan, usage.quantity, usage.meter
                ));
            }
            return Ok(Verdict::Done);
        };
        match before.check_same(&invoice) {
            Ok(()) => {
                output.remark(&format!(
                    "{}: the same, {} {}",
                    invoice.id(),
                    invoice.total(),
                    invoice.currency
                ));
                Ok(Verdict::Done)
            }
            Err(difference) => {
                let told = plain(&difference.to_string());
                output.write(&format!("{}: {told}\n", invoice.id())).await?;
                Ok(Verdict::Fault)
            }
        }
    }

    async fn rate(
        &self,
        session: &Session,
        meters: UsageMeters,
        book: &PriceBook,
        (tenant, window): (TenantId, Window),
        (plan, granted): (&str, Vec<(String, Decimal)>),
    ) -> Result<DraftInvoice, Failure> {
        let usage = session.usage(meters);
        let changes: Vec<_> = self
            .change
            .iter()
            .map(|(at, plan)| (*at, plan.as_str()))
            .collect();
        let mut rating = Rating::new(book, tenant, window);
        for segment in book.segments(window, plan, &changes) {
            let mut rollups = Vec::new();
            for query in book.queries(tenant, window, &segment) {
                rollups.extend(usage.rollups(&query).await.map_err(Failure::told)?);
            }
            rating = rating.segment(segment, rollups);
        }
        for (meter, quantity) in granted {
            rating = rating.granted(meter, quantity);
        }
        rating.rate().map_err(Failure::told)
    }
}

/// The invoice in a file, without what neither usage nor prices decide, which is not computed again; and what grants paid of it.
fn invoice_in(file: &Path) -> Result<(DraftInvoice, Vec<(String, Decimal)>), Failure> {
    let named = |error: &dyn std::fmt::Display| {
        Failure::told(format!(
            "{}: {error}; expected an invoice as JSON",
            file.display()
        ))
    };
    let text = std::fs::read_to_string(file).map_err(|error| named(&error))?;
    let json = serde_json::from_str(&text).map_err(|error| named(&error))?;
    let mut invoice = DraftInvoice::from_json(&json).map_err(|error| named(&error))?;
    let is_computed = |kind| !matches!(kind, LineKind::Adjustment | LineKind::Credit);
    invoice.lines.retain(|line| is_computed(line.kind));
    let granted = invoice
        .lines
        .iter()
        .filter(|line| line.kind == LineKind::Granted);
    let granted =
        granted.filter_map(|line| Some((line.meter.as_deref()?.to_owned(), line.quantity)));
    let granted = granted.collect();
    Ok((invoice, granted))
}

fn table(invoice: &DraftInvoice) -> String {
    let mut text = format!(
        "draft invoice of tenant {}\n{} – {}, prices `{}`\n\n",
        invoice.tenant, invoice.period.start, invoice.period.end, invoice.version
    );
    for line in &invoice.lines {
        text.push_str(&format!(
            "{:<10}  {:<36}  {:>16} {:<10}  {:>14}\n",
            line.kind.as_str(),
            line.description,
            line.quantity,
            line.unit,
            line.amount
        ));
    }
    text.push_str(&format!("{:>94} {}\n", invoice.total(), invoice.currency));
    text
}
