//! A meter's price as TOML.

use tenancy_core::{
    ConfigError,
    document::{Fields, Node, Placed, Value},
};

use super::{AMOUNT, decimal};
use crate::price::{MeterPrice, Tier, meter_price::Model};

/// What says how it is computed. A price has one of them.
const SHAPES: [&str; 5] = ["per_unit", "graduated", "volume", "package", "percent"];
const FIELDS: [&str; 10] = [
    "per_unit",
    "graduated",
    "volume",
    "package",
    "percent",
    "price",
    "included",
    "minimum",
    "currency",
    "when",
];
const TIER: [&str; 4] = ["above", "up_to", "unit_price", "flat"];
const NEEDS: &str = "a price, such as { per_unit = 0.002 }, or \"free\"";

pub(super) fn read(plan: &str, meter: &str, node: &Node) -> Result<MeterPrice, ConfigError> {
    let whose = format!("{plan}: the price of `{meter}`");
    if let Value::Text(text) = &node.value {
        return match text.as_str() {
            "free" => Ok(MeterPrice::free(meter).placed(node.at)),
            _ => Err(node.error(format_args!("{whose} has to be {NEEDS}; `{text}` is none"))),
        };
    }
    let fields = Fields::of(&whose, node, NEEDS, &FIELDS)?;
    let which = |field: &str| format!("{whose}: `{field}`");
    let mut price = shape(&whose, meter, node, &fields)?.placed(node.at);
    if let Some(node) = fields.get("included") {
        price = price.included(decimal(node, &which("included"))?);
    }
    if let Some(node) = fields.get("minimum") {
        price = price.minimum(decimal(node, &which("minimum"))?);
    }
    if let Some(node) = fields.get("currency") {
        let needs = "a code by ISO 4217, such as \"EUR\"";
        price = price.currency(node.text(&which("currency"), needs)?.value);
    }
    if let Some(node) = fields.get("when") {
        let needs = "a dimension and its value, such as { model = \"large\" }";
        match node.table(&which("when"), needs)? {
            [(dimension, value)] => {
                let value = value.text(&which("when"), needs)?.value;
                price = price.when(dimension.value.as_str(), value);
            }
            _ => return Err(node.error(format_args!("{} has to be {needs}", which("when")))),
        }
    }
    Ok(price)
}

fn shape(
    whose: &str,
    meter: &str,
    node: &Node,
    fields: &Fields<'_>,
) -> Result<MeterPrice, ConfigError> {
    let mut shapes = SHAPES
        .iter()
        .filter_map(|name| Some((*name, fields.get(name)?)));
    let Some((name, value)) = shapes.next() else {
        return Err(node.error(format_args!(
            "{whose} does not say how it is computed; give one of `{}`",
            SHAPES.join("`, `")
        )));
    };
    if let Some((other, _)) = shapes.next() {
        return Err(fields.at(other).error(format_args!(
            "{whose} says both `{name}` and `{other}`; keep one of them"
        )));
    }
    if name != "package" && fields.get("price").is_some() {
        return Err(fields.at("price").error(format_args!(
            "{whose} has `price` beside `{name}`; `price` belongs to `package`"
        )));
    }
    let which = format!("{whose}: `{name}`");
    Ok(match name {
        "per_unit" => MeterPrice::per_unit(meter, decimal(value, &which)?),
        "percent" => MeterPrice::percentage(meter, decimal(value, &which)?),
        "package" => {
            let mend = "give what a package costs, such as price = 5";
            let price = fields.needed("price", mend)?;
            let price = decimal(price, &format!("{whose}: `price`"))?;
            MeterPrice::package(meter, decimal(value, &which)?, price)
        }
        "graduated" => MeterPrice::of_tiers(meter, tiers(&which, value)?, Model::Graduated),
        _ => MeterPrice::of_tiers(meter, tiers(&which, value)?, Model::Volume),
    })
}

fn tiers(which: &str, node: &Node) -> Result<Vec<Placed<Tier>>, ConfigError> {
    let needs =
        "a list of tiers, such as [{ up_to = 1000, unit_price = 0 }, { unit_price = 0.002 }]";
    let tiers = node.list(which, needs)?.iter().enumerate();
    let tier = |(place, node): (usize, &Node)| {
        let whose = format!("{which}, tier {}", place + 1);
        let fields = Fields::of(&whose, node, needs, &TIER)?;
        let number = |name: &str| {
            let node = fields.get(name);
            node.map(|node| decimal(node, &format!("{whose}: `{name}`")))
                .transpose()
        };
        let mend = format!("give what a unit costs: {AMOUNT}");
        fields.needed("unit_price", &mend)?;
        let mut tier = Tier::rest(number("unit_price")?.unwrap_or_default());
        tier.up_to = number("up_to")?;
        tier.above = number("above")?;
        tier.flat = number("flat")?.unwrap_or_default();
        let at = node.at;
        Ok(Placed { value: tier, at })
    };
    tiers.map(tier).collect()
}
