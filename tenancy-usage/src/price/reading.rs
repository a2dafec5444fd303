//! A price book as TOML.

mod price;

use rust_decimal::Decimal;
use tenancy_core::{
    ConfigError, Timestamp,
    document::{Fields, Node, Placed, Value, from_toml},
};

use super::{PlanPrices, PriceBookBuilder, PriceVersion, Proration};

const BOOK: [&str; 2] = ["currency", "versions"];
const VERSION: [&str; 4] = ["from", "until", "proration", "plans"];
const PLAN: [&str; 5] = [
    "currency",
    "minimum",
    "flat",
    "meters",
    "upgrade_automatically",
];
const AMOUNT: &str = "an amount, such as 5, 0.002 or \"0.002\"";

impl PriceBookBuilder {
    /// Reads a book that is written as [TOML](https://toml.io).
    ///
    /// | in the book | is |
    /// |---|---|
    /// | `currency` | the code of its currency, such as `"EUR"` |
    /// | `versions` | versions by name, such as `[versions.2027-01]` |
    ///
    /// | in a version | is |
    /// |---|---|
    /// | `from`, `until` | from when to when it is [valid](PriceVersion::new), with an offset from UTC: `2027-01-01T00:00:00Z` |
    /// | `proration` | `"by time"`, `"full"` or `"last plan"`, as in [`Proration`] |
    /// | `plans` | plans by name |
    ///
    /// | in a plan | is |
    /// |---|---|
    /// | `flat` | amounts by name: `{ "base fee" = 29 }` |
    /// | `minimum` | what an invoice is at [least](PlanPrices::minimum) |
    /// | `currency` | the plan's [currency](PlanPrices::currency) |
    /// | `meters` | by meter: a price, or a list of prices that `when` tells apart |
    ///
    /// | a price | is |
    /// |---|---|
    /// | `{ per_unit = 0.002 }` | [`per_unit`](super::MeterPrice::per_unit) |
    /// | `{ graduated = [{ up_to = 1000, unit_price = 0 }, { unit_price = 0.002 }] }` | [`graduated`](super::MeterPrice::graduated); a tier may have `above` and `flat` |
    /// | `{ volume = [ … ] }` | [`volume`](super::MeterPrice::volume) |
    /// | `{ package = 100, price = 5 }` | [`package`](super::MeterPrice::package) |
    /// | `{ percent = 1.5 }` | [`percentage`](super::MeterPrice::percentage) |
    /// | `"free"` | [`free`](super::MeterPrice::free) |
    ///
    /// Each may have `included`, `minimum`, `currency` and `when = { model = "large" }`. Numbers are read as they are written,
    /// digit by digit: 0.1 is a tenth.
    ///
    /// ```
    /// use tenancy_usage::{UsageMeters, price::PriceBookBuilder};
    ///
    /// let book = PriceBookBuilder::from_toml(r#"
    ///     currency = "EUR"
    ///
    ///     [versions.2027-01]
    ///     from = 2027-01-01T00:00:00Z
    ///
    ///     [versions.2027-01.plans.pro]
    ///     flat = { "base fee" = 29 }
    ///     meters.requests = { graduated = [{ up_to = 1_000_000, unit_price = 0 }, { unit_price = 0.000002 }] }
    ///     meters.llm-output-tokens = [
    ///         { per_unit = 0.000015, when = { model = "large" } },
    ///         { per_unit = 0.000002, included = 100_000 },
    ///     ]
    /// "#)?
    /// .build(&UsageMeters::new(UsageMeters::catalogue())?)?;
    /// # let _ = book;
    /// # Ok::<(), tenancy_core::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// A [`ConfigError`] for what is no TOML, a field that there is not, a value that can't be meant. It begins with the
    /// place: `line 3, column 12`, counted from 1, in characters. What [`build`](Self::build) finds has its place too.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let root = from_toml(text)?;
        let fields = Fields::of("the price book", &root, "a table", &BOOK)?;
        let needs = "a code by ISO 4217, such as \"EUR\"";
        let currency = fields.needed("currency", "give one, such as \"EUR\"")?;
        let currency = currency.text("`currency`", needs)?;
        let mut book = Self {
            currency: currency.value.into(),
            currency_at: currency.at,
            versions: Vec::new(),
        };
        let mend = "begin a version with `[versions.2027-01]`";
        let versions = fields.needed("versions", mend)?;
        for (name, node) in versions.table("`versions`", "a table of versions by name")? {
            book.versions.push(version(name, node)?);
        }
        if book.versions.is_empty() {
            let at = fields.at("versions");
            return Err(at.error(format_args!("the price book has no version; {mend}")));
        }
        Ok(book)
    }
}

fn version(name: &Placed<String>, node: &Node) -> Result<PriceVersion, ConfigError> {
    let whose = format!("version `{}`", name.value);
    let fields = Fields::of(&whose, node, "a table of what it says", &VERSION)?;
    let mend = "say from when on it is valid, such as 2027-01-01T00:00:00Z";
    let from = moment(fields.needed("from", mend)?, &format!("{whose}: `from`"))?;
    let mut version = PriceVersion::new(name.value.as_str(), from).placed(name.at);
    if let Some(node) = fields.get("until") {
        version = version.until(moment(node, &format!("{whose}: `until`"))?);
    }
    if let Some(node) = fields.get("proration") {
        version = version.proration(proration(node, &format!("{whose}: `proration`"))?);
    }
    let mend = format!("begin a plan with `[versions.{}.plans.free]`", name.value);
    let plans = fields.needed("plans", &mend)?;
    for (name, node) in plans.table(&format!("{whose}: `plans`"), "a table of plans by name")? {
        version = version.plan(plan(&whose, name, node)?);
    }
    Ok(version)
}

fn proration(node: &Node, which: &str) -> Result<Proration, ConfigError> {
    let needs = "\"by time\", \"full\" or \"last plan\"";
    let text = node.text(which, needs)?.value;
    let known = [Proration::ByTime, Proration::Full, Proration::LastPlan];
    let named = known.into_iter().find(|it| it.as_str() == text);
    named.ok_or_else(|| node.error(format_args!("{which} has to be {needs}; `{text}` is none")))
}

fn plan(version: &str, name: &Placed<String>, node: &Node) -> Result<PlanPrices, ConfigError> {
    let whose = format!("{version}, plan `{}`", name.value);
    let fields = Fields::of(&whose, node, "a table of its prices", &PLAN)?;
    let mut plan = PlanPrices::new(name.value.as_str()).placed(name.at);
    if let Some(node) = fields.get("currency") {
        let needs = "a code by ISO 4217, such as \"EUR\"";
        plan = plan.currency(node.text(&format!("{whose}: `currency`"), needs)?.value);
    }
    if let Some(node) = fields.get("minimum") {
        plan = plan.minimum(decimal(node, &format!("{whose}: `minimum`"))?);
    }
    if let Some(node) = fields.get("upgrade_automatically") {
        match node.value {
            Value::Flag(true) => plan = plan.upgrade_automatically(),
            Value::Flag(false) => {}
            _ => {
                let which = format!("{whose}: `upgrade_automatically`");
                return Err(node.misfit(&which, "true or false"));
            }
        }
    }
    if let Some(node) = fields.get("flat") {
        let needs = "a table of amounts by name, such as { \"base fee\" = 29 }";
        for (name, node) in node.table(&format!("{whose}: `flat`"), needs)? {
            let amount = decimal(node, &format!("{whose}: the flat amount `{}`", name.value))?;
            plan = plan.flat_at(name.value.as_str().into(), amount, name.at);
        }
    }
    if let Some(node) = fields.get("meters") {
        let needs = "a table of prices by meter, such as { exports = { per_unit = 0.5 } }";
        for (meter, node) in node.table(&format!("{whose}: `meters`"), needs)? {
            let list = match &node.value {
                Value::List(list) => list.as_slice(),
                _ => std::slice::from_ref(node),
            };
            for node in list {
                plan = plan.price(price::read(&whose, &meter.value, node)?);
            }
        }
    }
    Ok(plan)
}

fn moment(node: &Node, which: &str) -> Result<Timestamp, ConfigError> {
    let needs = "a date and time with an offset from UTC, such as 2027-01-01T00:00:00Z";
    match node.value {
        Value::Moment(Some(moment)) => Ok(moment),
        Value::Moment(None) => Err(node.error(format_args!(
            "{which} has to be {needs}; this says not which moment it is"
        ))),
        _ => Err(node.misfit(which, needs)),
    }
}

/// A number, digit by digit as it is written: without a float in between.
fn decimal(node: &Node, which: &str) -> Result<Decimal, ConfigError> {
    let text = match &node.value {
        Value::Text(text) | Value::Fraction(text) => text.replace('_', ""),
        Value::Whole(Some(number)) => number.to_string(),
        _ => return Err(node.misfit(which, AMOUNT)),
    };
    let number = match text.contains(['e', 'E']) {
        true => Decimal::from_scientific(&text),
        false => Decimal::from_str_exact(&text),
    };
    number.map_err(|_| node.error(format_args!("{which} has to be {AMOUNT}; `{text}` is none")))
}
