//! Understands one limit of a book that was written down.

use std::time::Duration;

use super::words;
use crate::{
    ConfigError,
    plan::node::{Fields, Node, Value},
    quota::{Limit, MAX_AMOUNT, OnOutage, Overage, Period, Scope},
};

/// What says how a limit counts. A limit has one of them.
const SHAPES: [&str; 9] = [
    "rate",
    "per_hour",
    "per_day",
    "per_month",
    "per_year",
    "at_once",
    "held",
    "unlimited",
    "not_included",
];

const FIELDS: [&str; 17] = [
    "rate",
    "per",
    "burst",
    "per_hour",
    "per_day",
    "per_month",
    "per_year",
    "at_once",
    "held",
    "unlimited",
    "not_included",
    "scope",
    "overage",
    "warn_at",
    "expires_after",
    "on_outage",
    "name",
];

const NEEDS: &str = "a limit, such as { per_month = 1000 }, \"unlimited\" or \"not included\"";
const DURATION: &str = "a length of time, such as \"minute\" or \"10 seconds\"";

pub(super) fn limit(plan: &str, meter: &str, node: &Node) -> Result<Limit, ConfigError> {
    let whose = format!("{plan}: the limit of `{meter}`");
    if let Value::Text(text) = &node.value {
        return match text.as_str() {
            "unlimited" => Ok(Limit::unlimited(meter)),
            "not included" => Ok(Limit::not_included(meter)),
            _ => Err(node.error(format_args!("{whose} has to be {NEEDS}; `{text}` is none"))),
        };
    }
    let fields = Fields::of(&whose, node, NEEDS, &FIELDS)?;
    let reading = Reading {
        whose: &whose,
        fields,
    };
    let limit = reading.shape(meter, node)?;
    reading.options(limit)
}

struct Reading<'n> {
    whose: &'n str,
    fields: Fields<'n>,
}

impl Reading<'_> {
    fn which(&self, field: &str) -> String {
        format!("{}: `{field}`", self.whose)
    }

    fn shape(&self, meter: &str, node: &Node) -> Result<Limit, ConfigError> {
        let mut shapes = SHAPES
            .iter()
            .filter_map(|name| Some((*name, self.fields.get(name)?)));
        let whose = self.whose;
        let Some((name, value)) = shapes.next() else {
            return Err(node.error(format_args!(
                "{whose} does not say how much there is; give one of `{}`",
                SHAPES.join("`, `")
            )));
        };
        if let Some((other, _)) = shapes.next() {
            return Err(self.fields.at(other).error(format_args!(
                "{whose} says both `{name}` and `{other}`; make a list of two limits: [{{ … }}, {{ … }}]"
            )));
        }
        if name != "rate" && self.fields.get("per").is_some() {
            return Err(self.fields.at("per").error(format_args!(
                "{whose} has `per` beside `{name}`; `per` belongs to `rate`"
            )));
        }
        let amount = || self.amount(name, value);
        Ok(match name {
            "rate" => {
                let mend = "give the time in which so many may come, such as per = \"minute\"";
                let per = self.fields.needed("per", mend)?;
                Limit::rate(meter, amount()?, self.duration("per", per)?)
            }
            "per_hour" => Limit::per_period(meter, amount()?, Period::Hour),
            "per_day" => Limit::per_period(meter, amount()?, Period::Day),
            "per_month" => Limit::per_period(meter, amount()?, Period::Month),
            "per_year" => Limit::per_period(meter, amount()?, Period::Year),
            "at_once" => Limit::concurrent(meter, amount()?),
            "held" => Limit::held(meter, amount()?),
            _ => match (&value.value, name) {
                (Value::Flag(true), "unlimited") => Limit::unlimited(meter),
                (Value::Flag(true), _) => Limit::not_included(meter),
                _ => {
                    let which = self.which(name);
                    return Err(value.error(format_args!(
                        "{which} can only be true; remove it otherwise"
                    )));
                }
            },
        })
    }

    fn amount(&self, name: &str, node: &Node) -> Result<u64, ConfigError> {
        if let Value::Whole(Some(0)) = node.value {
            let which = self.which(name);
            return Err(node.error(format_args!(
                "{which} is 0; write \"not included\" in the place of the limit if the plan has nothing of it"
            )));
        }
        node.number(&self.which(name), 1, MAX_AMOUNT)
    }

    fn duration(&self, name: &str, node: &Node) -> Result<Duration, ConfigError> {
        let which = self.which(name);
        let text = node.text(&which, DURATION)?;
        words::duration(&text.value).ok_or_else(|| {
            let text = text.value;
            node.error(format_args!(
                "{which} has to be {DURATION}; `{text}` is none"
            ))
        })
    }

    fn options(&self, mut limit: Limit) -> Result<Limit, ConfigError> {
        if let Some(node) = self.fields.get("burst") {
            limit = limit.burst(node.number(&self.which("burst"), 1, MAX_AMOUNT)?);
        }
        if let Some(node) = self.fields.get("scope") {
            limit = limit.scope(self.scope(node)?);
        }
        if let Some(node) = self.fields.get("overage") {
            limit = limit.overage(self.overage(node)?);
        }
        if let Some(node) = self.fields.get("warn_at") {
            let which = self.which("warn_at");
            let mut percents = Vec::new();
            for node in node.list(&which, "a list of percents, such as [80, 100]")? {
                let which = format!("{}: each of `warn_at`", self.whose);
                let percent = node.number(&which, 1, u8::MAX.into())?;
                percents.extend(u8::try_from(percent));
            }
            limit = limit.warn_at(percents);
        }
        if let Some(node) = self.fields.get("expires_after") {
            limit = limit.expires_after(self.duration("expires_after", node)?);
        }
        if let Some(node) = self.fields.get("on_outage") {
            limit = limit.on_outage(self.on_outage(node)?);
        }
        if let Some(node) = self.fields.get("name") {
            limit = limit.named(node.text(&self.which("name"), "a text")?.value);
        }
        Ok(limit)
    }

    fn scope(&self, node: &Node) -> Result<Scope, ConfigError> {
        let which = self.which("scope");
        let needs = "\"caller\", \"key\", \"project\", \"tenant\" or \"system\"";
        let text = node.text(&which, needs)?.value;
        Ok(match text.as_str() {
            "caller" => Scope::Caller,
            "key" => Scope::Key,
            "project" => Scope::Project,
            "tenant" => Scope::Tenant,
            "system" => Scope::System,
            _ => {
                return Err(node.error(format_args!("{which} has to be {needs}; `{text}` is none")));
            }
        })
    }

    fn on_outage(&self, node: &Node) -> Result<OnOutage, ConfigError> {
        let which = self.which("on_outage");
        let needs = "\"closed\", \"open\", or a share, such as { share_of = 10 } for 10 processes";
        match &node.value {
            Value::Text(text) => match text.as_str() {
                "closed" => Ok(OnOutage::Closed),
                "open" => Ok(OnOutage::Open),
                _ => Err(node.error(format_args!("{which} has to be {needs}; `{text}` is none"))),
            },
            Value::Table(_) => {
                let fields = Fields::of(&which, node, needs, &["share_of"])?;
                let mend = "give the number of processes that serve";
                let of = fields.needed("share_of", mend)?;
                let number = of.number(&format!("{which}: `share_of`"), 1, u32::MAX.into())?;
                let of = u32::try_from(number).unwrap_or(u32::MAX);
                Ok(OnOutage::LocalShare { of })
            }
            _ => Err(node.misfit(&which, needs)),
        }
    }

    fn overage(&self, node: &Node) -> Result<Overage, ConfigError> {
        let which = self.which("overage");
        let needs = "\"denied\", \"allowed\", or how much is allowed beyond the limit";
        match &node.value {
            Value::Text(text) => match text.as_str() {
                "denied" => Ok(Overage::Denied),
                "allowed" => Ok(Overage::Allowed),
                _ => Err(node.error(format_args!("{which} has to be {needs}; `{text}` is none"))),
            },
            Value::Whole(_) => node.number(&which, 1, MAX_AMOUNT).map(Overage::AllowedUpTo),
            _ => Err(node.misfit(&which, needs)),
        }
    }
}
