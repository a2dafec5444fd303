//! A book as TOML.

use ::toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Placed, PlanBook, Position,
    node::{Node, Value},
    reading,
};
use crate::{ConfigError, Timestamp};

impl PlanBook {
    /// Reads a book that is written as [TOML](https://toml.io): a price list that is kept apart from the code.
    ///
    /// | in a plan | is |
    /// |---|---|
    /// | `permissions` | what it permits, as [`plan`](Self::plan) has it; `["*"]` is everything |
    /// | `features` | its [features](Self::features) |
    /// | `retention` | how long things are [kept](Self::retention): `"90 days"`, `"for good"` |
    /// | `support` | the [support](Self::support) that there is, in your words |
    /// | `price` | `{ minor_units = 2900, currency = "EUR", per = "month" }`, a list of such, or `"by agreement"` |
    /// | `limits` | by meter: a limit, or a list of limits |
    ///
    /// | a limit | is |
    /// |---|---|
    /// | `{ rate = 600, per = "minute" }`, with `burst = 100` if need be | [`Limit::rate`](crate::quota::Limit::rate); `per` is `"second"`, `"minute"`, `"hour"`, `"day"`, or several, such as `"10 seconds"` |
    /// | `{ per_month = 1000 }`, or `per_hour`, `per_day`, `per_year` | [`Limit::per_period`](crate::quota::Limit::per_period) |
    /// | `{ at_once = 5 }` | [`Limit::concurrent`](crate::quota::Limit::concurrent) |
    /// | `{ held = 3 }` | [`Limit::held`](crate::quota::Limit::held) |
    /// | `"unlimited"`, or `{ unlimited = true }` with options | [`Limit::unlimited`](crate::quota::Limit::unlimited) |
    /// | `"not included"`, or `{ not_included = true }` with options | [`Limit::not_included`](crate::quota::Limit::not_included) |
    ///
    /// Each limit may have `scope = "key"` (or `"caller"`, `"project"`, `"tenant"`, `"system"`) and `name`; where a
    /// limit in code has them, also `overage` (`"denied"`, `"allowed"`, or how much beyond the limit), `warn_at =
    /// [80, 100]`, `expires_after = "10 minutes"` and `on_outage` (`"closed"`, `"open"`, or `{ share_of = 10 }`).
    ///
    /// ```
    /// use tenancy_core::PlanBook;
    ///
    /// let plans = PlanBook::from_toml(r#"
    ///     tenants_without_plan = "free"
    ///
    ///     [plans.free]
    ///     permissions = ["notes:*"]
    ///     limits.requests = { rate = 60, per = "minute", burst = 10 }
    ///     limits.projects = { held = 3 }
    ///
    ///     [plans.pro]
    ///     permissions = ["*"]
    ///     features = ["sso"]
    ///     support = "by mail, within two working days"
    ///     retention = { test-runs = "90 days", invoices = "for good" }
    ///     price = { minor_units = 2900, currency = "EUR", per = "month" }
    ///     limits.requests = { rate = 600, per = "minute" }
    ///     limits.projects = "unlimited"
    /// "#)?;
    /// # let _ = plans;
    /// # Ok::<(), tenancy_core::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// A [`ConfigError`] for what is no TOML, a field that there is not, a value that can't be meant. It begins with
    /// the place: `line 3, column 12`, counted from 1, in characters. What shows only when the engine is built, such
    /// as a meter that nobody declared, is told then, with the same place.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        reading::book(&node(text)?)
    }
}

/// What a text says, before it is understood.
///
/// # Errors
/// A [`ConfigError`] for what is no TOML.
pub fn node(text: &str) -> Result<Node, ConfigError> {
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let at = Position::of(text, at);
        match error.message() {
            "duplicate key" => at.error("this name stands here a second time; keep one of them"),
            message => at.error(format_args!("no TOML: {}", message.replace('\n', ", "))),
        }
    })?;
    Ok(Node {
        at: Position::of(text, 0),
        value: Value::Table(entries(text, table.get_ref())),
    })
}

fn entries(text: &str, table: &DeTable<'_>) -> Vec<(Placed<String>, Node)> {
    let mut entries: Vec<_> = table.iter().collect();
    // The order of the text, in which a reader looks for the first error.
    entries.sort_by_key(|(key, _)| key.span().start);
    let entries = entries.into_iter().map(|(key, value)| {
        let key = Placed {
            value: key.get_ref().to_string(),
            at: Position::of(text, key.span().start),
        };
        (key, value_node(text, value))
    });
    entries.collect()
}

fn value_node(text: &str, value: &Spanned<DeValue<'_>>) -> Node {
    Node {
        at: Position::of(text, value.span().start),
        value: match value.get_ref() {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(number) => {
                Value::Whole(i128::from_str_radix(number.as_str(), number.radix()).ok())
            }
            DeValue::Float(number) => Value::Fraction(number.as_str().to_owned()),
            DeValue::Boolean(flag) => Value::Flag(*flag),
            DeValue::Datetime(moment) => Value::Moment(moment_of(&moment.to_string())),
            DeValue::Array(list) => {
                Value::List(list.iter().map(|value| value_node(text, value)).collect())
            }
            DeValue::Table(table) => Value::Table(entries(text, table)),
        },
    }
}

/// A date and time with an offset from UTC; others are no moment.
fn moment_of(text: &str) -> Option<Timestamp> {
    let instant: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_unix_micros(instant.as_microsecond()))
}
