//! Understands a book that was written down.

mod limit;
mod words;

use super::{
    Addition, Placed, PlanBook, Price, PricePeriod, Retention,
    node::{Fields, Node, Value},
};
use crate::{
    ConfigError,
    quota::{Limit, MAX_AMOUNT},
};

#[cfg(feature = "toml")]
const FIELDS_OF_BOOK: [&str; 2] = ["plans", "tenants_without_plan"];
const FIELDS_OF_PLAN: [&str; 6] = [
    "permissions",
    "features",
    "retention",
    "support",
    "price",
    "limits",
];
const FIELDS_OF_PRICE: [&str; 3] = ["minor_units", "currency", "per"];

/// A book: plans by name, and the plan of tenants without one.
#[cfg(feature = "toml")]
pub(super) fn book(root: &Node) -> Result<PlanBook, ConfigError> {
    let fields = Fields::of("the book", root, "a table", &FIELDS_OF_BOOK)?;
    let plans = fields.needed("plans", "begin a plan with `[plans.free]`")?;
    let mut book = PlanBook::new();
    let needs = "a table of plans by name, such as `[plans.free]`";
    for (name, node) in plans.table("`plans`", needs)? {
        if name.value.trim().is_empty() {
            return Err(name.at.error("a plan has no name; give it one"));
        }
        plan(&mut book, name, node)?;
    }
    if book.plans.is_empty() {
        return Err(fields
            .at("plans")
            .error("the book has no plan; begin one with `[plans.free]`"));
    }
    if let Some(node) = fields.get("tenants_without_plan") {
        book.fallback = Some(node.text("`tenants_without_plan`", "the name of a plan")?);
    }
    Ok(book)
}

/// One plan.
pub(super) fn plan(
    book: &mut PlanBook,
    name: &Placed<String>,
    node: &Node,
) -> Result<(), ConfigError> {
    let whose = format!("plan `{}`", name.value);
    let fields = Fields::of(&whose, node, "a table of what it says", &FIELDS_OF_PLAN)?;
    let which = |field: &str| format!("{whose}: `{field}`");
    let each_of = |field: &str| format!("{whose}: each of `{field}`");
    let permissions = fields.needed(
        "permissions",
        "give the grants that it permits, such as [\"notes:read\"]; [\"*\"] is everything",
    )?;
    let permits = texts(permissions, &which("permissions"), &each_of("permissions"))?;
    book.plans.push((name.clone(), permits));
    let mut add = |addition| book.additions.push((name.value.clone(), addition));
    if let Some(node) = fields.get("features") {
        let features = texts(node, &which("features"), &each_of("features"))?;
        add(Addition::Features(
            features.into_iter().map(|it| it.value).collect(),
        ));
    }
    if let Some(node) = fields.get("retention") {
        let needs = "a table, such as { test-runs = \"90 days\" }";
        let entries = node.table(&which("retention"), needs)?.iter();
        let kept = entries.map(|(of, node)| Ok((of.clone(), retention(node, &whose, &of.value)?)));
        add(Addition::Retention(
            kept.collect::<Result<_, ConfigError>>()?,
        ));
    }
    if let Some(node) = fields.get("support") {
        add(Addition::Support(node.text(&which("support"), "a text")?));
    }
    if let Some(node) = fields.get("price") {
        let list = match &node.value {
            Value::List(list) => list.as_slice(),
            _ => std::slice::from_ref(node),
        };
        for node in list {
            let value = price(node, &which("price"))?;
            add(Addition::Price(Placed { value, at: node.at }));
        }
    }
    if let Some(node) = fields.get("limits") {
        let needs = "a table of limits by meter, such as { exports = { per_month = 5 } }";
        let mut limits = Vec::new();
        for (meter, node) in node.table(&which("limits"), needs)? {
            let list = match &node.value {
                Value::List(list) => list.as_slice(),
                _ => std::slice::from_ref(node),
            };
            for node in list {
                let value = limit::limit(&whose, &meter.value, node)?;
                limits.push(Placed { value, at: node.at });
            }
        }
        add(Addition::Limits(limits));
    }
    Ok(())
}

/// A limit that is stored by itself.
pub(super) fn limit_from_json(
    whose: &str,
    meter: &str,
    json: &serde_json::Value,
) -> Result<Limit, ConfigError> {
    limit::limit(whose, meter, &Node::from_json(json))
}

fn texts(node: &Node, which: &str, each: &str) -> Result<Vec<Placed<String>>, ConfigError> {
    let list = node.list(
        which,
        "a list of texts, such as [\"notes:read\", \"notes:write\"]",
    )?;
    list.iter().map(|node| node.text(each, "a text")).collect()
}

fn retention(node: &Node, whose: &str, of: &str) -> Result<Retention, ConfigError> {
    let which = format!("{whose}: the retention of `{of}`");
    let needs = "a number of days, such as \"90 days\", or \"for good\"";
    let text = node.text(&which, needs)?;
    if text.value == "for good" {
        return Ok(Retention::ForGood);
    }
    let days = text
        .value
        .strip_suffix(" days")
        .or_else(|| text.value.strip_suffix(" day"));
    let days = days.and_then(words::whole);
    match days.map(u32::try_from) {
        Some(Ok(days)) => Ok(Retention::Days(days)),
        _ => Err(node.error(format_args!(
            "{which} has to be {needs}; `{}` is neither",
            text.value
        ))),
    }
}

fn price(node: &Node, which: &str) -> Result<Price, ConfigError> {
    let needs = "{ minor_units = 2900, currency = \"EUR\", per = \"month\" }, or \"by agreement\"";
    if let Value::Text(text) = &node.value {
        return match text.as_str() {
            "by agreement" => Ok(Price::ByAgreement),
            _ => Err(node.error(format_args!(
                "{which} has to be {needs}; `{text}` is neither"
            ))),
        };
    }
    let fields = Fields::of(which, node, needs, &FIELDS_OF_PRICE)?;
    let field = |name: &str| format!("{which}: `{name}`");
    let amount = fields.needed("minor_units", "2900 are 29 euros; 0 costs nothing")?;
    let amount = amount.number(&field("minor_units"), 0, MAX_AMOUNT)?;
    let currency = fields.needed("currency", "give its code by ISO 4217, such as \"EUR\"")?;
    let currency = currency.text(&field("currency"), "a code by ISO 4217, such as \"EUR\"")?;
    let per = fields.needed("per", "say \"month\" or \"year\"")?;
    let per = match per
        .text(&field("per"), "\"month\" or \"year\"")?
        .value
        .as_str()
    {
        "month" => PricePeriod::Month,
        "year" => PricePeriod::Year,
        other => {
            let which = field("per");
            return Err(per.error(format_args!(
                "{which} has to be \"month\" or \"year\"; `{other}` is neither"
            )));
        }
    };
    Ok(Price::fixed(amount, currency.value, per))
}
