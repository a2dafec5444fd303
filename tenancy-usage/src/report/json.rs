//! A report as JSON.

use serde_json::{Value, json};

use super::{ReportMeter, UsageReport};
use crate::forecast::{Confidence, PeriodForecast};

impl UsageReport {
    /// The report as JSON. Quantities and amounts are texts, so that no reader makes floats of them; moments are RFC 3339 in UTC, and
    /// dates are those of the zone.
    ///
    /// | field | is |
    /// |---|---|
    /// | `tenant`, `name`, `zone`, `made_at` | what it is about, and when it was made |
    /// | `period` | `{ "start", "end" }` |
    /// | `meters` | each with `name`, `unit`, `total`, `days` and `by` |
    /// | `days` of a meter | each with `date`, `start`, `end`, `quantity`, `events`; those to come have 0 |
    /// | `by` of a meter | by dimension a list of `value` and `quantity` |
    /// | `forecasts` | each with `meter`, `used`, `expected`, `low`, `high`, `is_measured` |
    /// | `cost` | the [invoice](crate::invoice::DraftInvoice::to_json), or null |
    /// | `cost_forecast` | `so_far`, `expected`, `low`, `high`, or null |
    /// | `warnings` | texts |
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "tenant": self.tenant,
            "name": self.name,
            "zone": self.zone.0,
            "made_at": self.made_at.to_string(),
            "period": { "start": self.period.start.to_string(), "end": self.period.end.to_string() },
            "meters": self.meters.iter().map(|meter| self.meter_json(meter)).collect::<Vec<_>>(),
            "forecasts": self.forecasts.iter().map(forecast).collect::<Vec<_>>(),
            "cost": self.invoice.as_ref().map(crate::invoice::DraftInvoice::to_json),
            "cost_forecast": self.priced.as_ref().map(|it| json!({
                "so_far": it.so_far, "expected": it.expected, "low": it.low, "high": it.high,
            })),
            "warnings": self.warnings,
        })
    }

    fn meter_json(&self, meter: &ReportMeter) -> Value {
        let days = meter.days.iter().map(|day| {
            json!({
                "date": self.date(day.window.start).to_string(),
                "start": day.window.start.to_string(),
                "end": day.window.end.to_string(),
                "quantity": day.quantity.normalize(),
                "events": day.events,
            })
        });
        let by = meter.by.iter().map(|(dimension, parts)| {
            let parts = parts.iter();
            let parts =
                parts.map(|it| json!({ "value": it.value, "quantity": it.quantity.normalize() }));
            (dimension.to_string(), parts.collect())
        });
        json!({
            "name": meter.name,
            "unit": meter.unit,
            "total": meter.total.normalize(),
            "days": days.collect::<Vec<_>>(),
            "by": by.collect::<serde_json::Map<String, Value>>(),
        })
    }
}

fn forecast(it: &PeriodForecast) -> Value {
    json!({
        "meter": it.meter,
        "used": it.used,
        "expected": it.expected,
        "low": it.low,
        "high": it.high,
        "is_measured": it.rest.confidence == Confidence::Measured,
    })
}
