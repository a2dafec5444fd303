//! Meters as TOML.

use tenancy_core::{
    ConfigError,
    document::{Fields, Node, Placed, from_toml},
};

use super::{Aggregation, UsageMeter, UsageMeters, registry::check};

const METER: [&str; 3] = ["aggregation", "unit", "dimensions"];

impl UsageMeters {
    /// Reads meters that are written as [TOML](https://toml.io): a table for each, by its name.
    ///
    /// | in a meter | is |
    /// |---|---|
    /// | `aggregation` | how its events add up: `"count"`, `"sum"`, `"max"`, `"min"`, `"latest"` or `"unique"`, as in [`Aggregation`] |
    /// | `unit` | its [unit](UsageMeter::unit_name) |
    /// | `dimensions` | a list of their names |
    ///
    /// ```
    /// use tenancy_usage::{Aggregation, UsageMeters};
    ///
    /// let meters = UsageMeters::from_toml(r#"
    ///     [exports]
    ///     aggregation = "count"
    ///
    ///     [llm-output-tokens]
    ///     aggregation = "sum"
    ///     unit = "tokens"
    ///     dimensions = ["model"]
    /// "#)?;
    /// let tokens = meters.get("llm-output-tokens").ok_or("not declared")?;
    /// assert_eq!((tokens.aggregation(), tokens.unit_name()), (Aggregation::Sum, "tokens"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A [`ConfigError`] for what is no TOML, a field that there is not, and what [`new`](Self::new) refuses. It begins with
    /// the place: `line 3, column 12`, counted from 1, in characters.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let root = from_toml(text)?;
        let mut meters = Vec::new();
        for (name, node) in root.table("the meters", "a table of meters by name")? {
            let meter = meter(name, node)?;
            check(&meter).map_err(|error| name.at.error(error))?;
            meters.push(meter);
        }
        Self::new(meters)
    }
}

fn meter(name: &Placed<String>, node: &Node) -> Result<UsageMeter, ConfigError> {
    let whose = format!("the usage meter `{}`", name.value);
    let fields = Fields::of(&whose, node, "a table of what it says", &METER)?;
    let needs = Aggregation::ALL
        .map(|it| format!("\"{}\"", it.as_str()))
        .join(", ");
    let stated = fields.needed("aggregation", &format!("give one of {needs}"))?;
    let text = stated.text(
        &format!("{whose}: `aggregation`"),
        &format!("one of {needs}"),
    )?;
    let aggregation = Aggregation::ALL
        .into_iter()
        .find(|it| it.as_str() == text.value);
    let Some(aggregation) = aggregation else {
        return Err(stated.error(format_args!(
            "{whose}: `aggregation` has to be one of {needs}; `{}` is none",
            text.value
        )));
    };
    let mut meter = UsageMeter::new(name.value.as_str(), aggregation);
    if let Some(node) = fields.get("unit") {
        meter = meter.unit(
            node.text(&format!("{whose}: `unit`"), "a text, such as \"tokens\"")?
                .value,
        );
    }
    if let Some(node) = fields.get("dimensions") {
        let needs = "a list of names, such as [\"model\"]";
        for node in node.list(&format!("{whose}: `dimensions`"), needs)? {
            meter = meter.dimension(
                node.text(
                    &format!("{whose}: a dimension"),
                    "a name, such as \"model\"",
                )?
                .value,
            );
        }
    }
    Ok(meter)
}
