//! A limit as JSON, with the fields of [`PlanBook::from_toml`](crate::PlanBook::from_toml).

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Limit, OnOutage, Overage, Period, Scope, limit::Shape};
use crate::ConfigError;

impl Limit {
    /// What it says, and this name, as it is read again by
    /// [`LimitOverride::from_stored`](super::LimitOverride::from_stored).
    pub(crate) fn to_json(&self, name: &str) -> Result<Value, ConfigError> {
        let mut fields = Map::new();
        let mut put = |field: &str, value: Value| drop(fields.insert(field.to_owned(), value));
        match &self.shape {
            Shape::Rate { amount: 0, .. } | Shape::Concurrent { amount: 0, .. } => {
                put("not_included", true.into());
            }
            Shape::Period { amount: 0, .. } | Shape::Held { amount: 0, .. }
                if self.overage == Overage::Denied =>
            {
                put("not_included", true.into());
            }
            Shape::Rate { amount, per, burst } => {
                put("rate", (*amount).into());
                put("per", words(*per)?);
                if let Some(burst) = burst {
                    put("burst", (*burst).into());
                }
            }
            Shape::Period { amount, period } => {
                let field = match period {
                    Period::Hour => "per_hour",
                    Period::Day => "per_day",
                    Period::Month => "per_month",
                    Period::Year => "per_year",
                };
                put(field, (*amount).into());
            }
            Shape::Concurrent { amount, lease } => {
                put("at_once", (*amount).into());
                put("expires_after", words(*lease)?);
            }
            Shape::Held {
                amount,
                reservation,
            } => {
                put("held", (*amount).into());
                put("expires_after", words(*reservation)?);
            }
            Shape::Unlimited => put("unlimited", true.into()),
            Shape::NotIncluded => put("not_included", true.into()),
        }
        let is_counted = matches!(self.shape, Shape::Period { .. } | Shape::Held { .. });
        match self.overage {
            Overage::Denied => {}
            Overage::Allowed => put("overage", "allowed".into()),
            Overage::AllowedUpTo(more) => put("overage", more.into()),
        }
        if is_counted && !self.warn_at.is_empty() {
            put("warn_at", json!(self.warn_at));
        }
        match self.on_outage {
            OnOutage::Closed => {}
            OnOutage::Open => put("on_outage", "open".into()),
            OnOutage::LocalShare { of } => put("on_outage", json!({ "share_of": of })),
        }
        let scope = match self.scope {
            Scope::Caller => "caller",
            Scope::Key => "key",
            Scope::Project => "project",
            Scope::Tenant => "tenant",
            Scope::System => "system",
            Scope::Address => {
                return Err(ConfigError::new(
                    "a limit of addresses stands in `Quotas::per_address`, and is no tenant's",
                ));
            }
        };
        put("scope", scope.into());
        put("name", name.into());
        if fields.contains_key("not_included") {
            fields.remove("warn_at");
            fields.remove("on_outage");
        }
        Ok(Value::Object(fields))
    }
}

/// A length of time as it is read again.
fn words(span: Duration) -> Result<Value, ConfigError> {
    if span.subsec_nanos() == 0 {
        return Ok(format!("{} seconds", span.as_secs()).into());
    }
    if span.subsec_nanos().is_multiple_of(1_000_000) {
        return Ok(format!("{} milliseconds", span.as_millis()).into());
    }
    Err(ConfigError::new(
        "a limit with a part of a millisecond can't be stored; give a time of whole milliseconds",
    ))
}
