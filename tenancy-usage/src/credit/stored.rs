//! Entries of ledgers as JSON, for stores.

use rust_decimal::Decimal;
use serde_json::{Value, json};
use tenancy_core::Timestamp;

use super::{CreditLedger, Draw, Grant, GrantUnit, LedgerEntry};
use crate::{
    billing::{BillingStoreError, BillingStoreErrorKind},
    price::Currency,
};

fn unreadable(field: &str) -> BillingStoreError {
    BillingStoreError::unreadable("an entry of a ledger", field)
}

impl LedgerEntry {
    /// The entry as JSON, for a store. Amounts are texts, moments microseconds since 1970.
    ///
    /// | `kind` | has |
    /// |---|---|
    /// | `granted` | `id`, `unit`, `amount`, `priority`, `from`, `until` or `null`, `rollover` |
    /// | `drawn` | `purpose`, `unit`, `wanted`, `at`, `draws`: each with `grant` and `amount` |
    ///
    /// A `unit` is `{ "money": "EUR" }` or `{ "meter": "tokens" }`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Granted(grant) => json!({
                "kind": "granted",
                "id": grant.id,
                "unit": unit(&grant.unit),
                "amount": grant.amount.to_string(),
                "priority": grant.priority,
                "from": grant.from.as_unix_micros(),
                "until": grant.until.map(Timestamp::as_unix_micros),
                "rollover": grant.rollover.to_string(),
            }),
            Self::Drawn {
                purpose,
                unit: of,
                wanted,
                at,
                draws,
            } => {
                let draw =
                    |draw: &Draw| json!({ "grant": draw.grant, "amount": draw.amount.to_string() });
                json!({
                    "kind": "drawn",
                    "purpose": purpose,
                    "unit": unit(of),
                    "wanted": wanted.to_string(),
                    "at": at.as_unix_micros(),
                    "draws": draws.iter().map(draw).collect::<Vec<_>>(),
                })
            }
        }
    }

    /// Reads an entry that was kept as [JSON](Self::to_json).
    ///
    /// # Errors
    /// A [`BillingStoreError`] of the kind [`Unreadable`](BillingStoreErrorKind::Unreadable) that names the field.
    pub fn from_json(json: &Value) -> Result<Self, BillingStoreError> {
        match text(json, "kind")? {
            "granted" => {
                let priority = json.get("priority").and_then(Value::as_u64);
                let priority = priority.and_then(|it| u8::try_from(it).ok());
                Ok(Self::Granted(Grant {
                    id: text(json, "id")?.into(),
                    unit: read_unit(json)?,
                    amount: amount(json, "amount")?,
                    priority: priority.ok_or_else(|| unreadable("priority"))?,
                    from: moment(json, "from")?,
                    until: match json.get("until") {
                        None | Some(Value::Null) => None,
                        Some(_) => Some(moment(json, "until")?),
                    },
                    rollover: amount(json, "rollover")?,
                }))
            }
            "drawn" => {
                let draws = json.get("draws").and_then(Value::as_array);
                let draws = draws.ok_or_else(|| unreadable("draws"))?.iter();
                let draw = |json| Ok(Draw::new(text(json, "grant")?, amount(json, "amount")?));
                Ok(Self::Drawn {
                    purpose: text(json, "purpose")?.into(),
                    unit: read_unit(json)?,
                    wanted: amount(json, "wanted")?,
                    at: moment(json, "at")?,
                    draws: draws.map(draw).collect::<Result<_, BillingStoreError>>()?,
                })
            }
            _ => Err(unreadable("kind")),
        }
    }
}

impl CreditLedger {
    /// The ledger whose entries were kept as [JSON](LedgerEntry::to_json), in their order.
    ///
    /// # Errors
    /// A [`BillingStoreError`] of the kind [`Unreadable`](BillingStoreErrorKind::Unreadable) if one can't be read, or they are no
    /// [history](Self::replay) of a ledger.
    pub fn replay_json<'j>(
        entries: impl IntoIterator<Item = &'j Value>,
    ) -> Result<Self, BillingStoreError> {
        let entries: Result<Vec<_>, _> = entries.into_iter().map(LedgerEntry::from_json).collect();
        Self::replay(entries?).map_err(|error| {
            BillingStoreError::new(BillingStoreErrorKind::Unreadable, error.to_string())
        })
    }
}

fn unit(unit: &GrantUnit) -> Value {
    match unit {
        GrantUnit::Money(currency) => json!({ "money": currency.code() }),
        GrantUnit::Meter(meter) => json!({ "meter": meter }),
    }
}

fn read_unit(json: &Value) -> Result<GrantUnit, BillingStoreError> {
    let unit = json.get("unit").ok_or_else(|| unreadable("unit"))?;
    match unit.get("money").and_then(Value::as_str) {
        Some(code) => {
            let currency = Currency::new(code).map_err(|_| unreadable("unit"))?;
            Ok(GrantUnit::Money(currency))
        }
        None => Ok(GrantUnit::Meter(text(unit, "meter")?.into())),
    }
}

fn text<'j>(json: &'j Value, field: &str) -> Result<&'j str, BillingStoreError> {
    let text = json.get(field).and_then(Value::as_str);
    text.ok_or_else(|| unreadable(field))
}

fn amount(json: &Value, field: &str) -> Result<Decimal, BillingStoreError> {
    Decimal::from_str_exact(text(json, field)?).map_err(|_| unreadable(field))
}

fn moment(json: &Value, field: &str) -> Result<Timestamp, BillingStoreError> {
    let micros = json.get(field).and_then(Value::as_i64);
    let micros = micros.ok_or_else(|| unreadable(field))?;
    Ok(Timestamp::from_unix_micros(micros))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_ledger_is_read_as_it_was_written() {
        let euro = Currency::new("EUR").unwrap();
        let (start, mut ledger) = (
            Timestamp::from_unix_seconds(1_800_000_000),
            CreditLedger::new(),
        );
        let day = Duration::from_secs(86_400);
        ledger
            .grant(Grant::money("a", euro, Decimal::new(1_050, 2), start).priority(3))
            .unwrap();
        ledger
            .grant(
                Grant::meter("b", "tokens", 9, start)
                    .until(start + day)
                    .rolls_over(1),
            )
            .unwrap();
        ledger
            .draw(&GrantUnit::Money(euro), 7.into(), start, "invoice")
            .unwrap();
        let kept: Vec<_> = ledger.entries().iter().map(LedgerEntry::to_json).collect();
        let text = serde_json::to_string(&kept).unwrap();
        let mut kept: Vec<Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(CreditLedger::replay_json(&kept).unwrap(), ledger);

        kept[2]["draws"][0]["amount"] = json!("6");
        let error = CreditLedger::replay_json(&kept).unwrap_err();
        assert_eq!(error.kind(), BillingStoreErrorKind::Unreadable);
        kept[2]["draws"] = json!(null);
        let error = CreditLedger::replay_json(&kept).unwrap_err();
        assert!(error.to_string().contains("draws"), "{error}");
    }
}
