//! Updates as JSON, for stores.

use serde_json::{Value, json};
use tenancy_core::Timestamp;

use super::{ObjectVersion, SubscriptionStatus, SubscriptionUpdate};
use crate::billing::BillingStoreError;

const WHAT: &str = "an update of a subscription";

impl SubscriptionUpdate {
    /// The update as JSON, for a store: `subscription`, `customer`, `at` and `until` in microseconds since 1970, `number`, `status`
    /// (`trialing`, `active`, `past-due`, `unpaid`, `cancelled`), `plan`. What is not there is `null`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let (status, until) = match self.status {
            SubscriptionStatus::Trialing { until } => ("trialing", Some(until.as_unix_micros())),
            SubscriptionStatus::Active => ("active", None),
            SubscriptionStatus::PastDue => ("past-due", None),
            SubscriptionStatus::Unpaid => ("unpaid", None),
            SubscriptionStatus::Cancelled => ("cancelled", None),
        };
        json!({
            "subscription": self.subscription,
            "customer": self.customer,
            "at": self.version.moment().as_unix_micros(),
            "number": self.version.number(),
            "status": status,
            "until": until,
            "plan": self.plan,
        })
    }

    /// Reads an update that was kept as [JSON](Self::to_json).
    ///
    /// # Errors
    /// A [`BillingStoreError`] of the kind [`Unreadable`](crate::billing::BillingStoreErrorKind::Unreadable) that names the field.
    pub fn from_json(json: &Value) -> Result<Self, BillingStoreError> {
        let unreadable = |field| BillingStoreError::unreadable(WHAT, field);
        let text = |field| {
            let text = json.get(field).and_then(Value::as_str);
            text.ok_or_else(|| unreadable(field))
        };
        let moment = |field| {
            let micros = json.get(field).and_then(Value::as_i64);
            let micros = micros.ok_or_else(|| unreadable(field))?;
            Ok::<_, BillingStoreError>(Timestamp::from_unix_micros(micros))
        };
        let status = match text("status")? {
            "trialing" => SubscriptionStatus::Trialing {
                until: moment("until")?,
            },
            "active" => SubscriptionStatus::Active,
            "past-due" => SubscriptionStatus::PastDue,
            "unpaid" => SubscriptionStatus::Unpaid,
            "cancelled" => SubscriptionStatus::Cancelled,
            _ => return Err(unreadable("status")),
        };
        let number = json.get("number").and_then(Value::as_u64);
        let number = number.ok_or_else(|| unreadable("number"))?;
        let version = ObjectVersion::new(moment("at")?, number);
        let update = Self::new(text("subscription")?, text("customer")?, version, status);
        match json.get("plan") {
            None | Some(Value::Null) => Ok(update),
            Some(_) => Ok(update.plan(text("plan")?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_is_read_as_it_was_written() {
        let version = ObjectVersion::new(Timestamp::from_unix_seconds(1_800_000_000), u64::MAX);
        let until = Timestamp::from_unix_micros(-1);
        for status in [
            SubscriptionStatus::Trialing { until },
            SubscriptionStatus::Active,
            SubscriptionStatus::PastDue,
            SubscriptionStatus::Unpaid,
            SubscriptionStatus::Cancelled,
        ] {
            let update = SubscriptionUpdate::new("sub_1", "cus_1", version, status);
            for update in [update.clone(), update.plan("pro")] {
                let kept = update.to_json().to_string();
                let kept = serde_json::from_str(&kept).unwrap();
                assert_eq!(SubscriptionUpdate::from_json(&kept).unwrap(), update);
            }
        }
    }

    #[test]
    fn a_field_that_is_missing_is_named() {
        let version = ObjectVersion::at(Timestamp::EPOCH);
        let kept = SubscriptionUpdate::new("sub_1", "cus_1", version, SubscriptionStatus::Active)
            .to_json();
        for field in ["subscription", "customer", "at", "number", "status"] {
            let mut kept = kept.clone();
            kept[field] = json!({});
            let error = SubscriptionUpdate::from_json(&kept).unwrap_err();
            assert!(error.to_string().contains(field), "{error}");
        }
    }
}
