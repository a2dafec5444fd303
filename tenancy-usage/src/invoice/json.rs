//! An invoice as JSON.

use serde_json::{Value, json};
use tenancy_core::quota::Window;

use super::{DraftInvoice, InvoiceLine, Unpriced};

impl DraftInvoice {
    /// The invoice as JSON. Numbers are texts, so that no reader makes floats of them; moments are RFC 3339 in UTC.
    ///
    /// | field | is |
    /// |---|---|
    /// | `tenant`, `currency`, `version`, `version_digest` | as the [invoice](Self) has them |
    /// | `period`, and `window` of a line | `{ "start", "end" }` |
    /// | `lines` | each with `kind`, `plan`, `window`, `meter`, `description`, `tier`, `quantity`, `unit`, `unit_price`, `flat`, `amount`, `input` |
    /// | `unpriced` | each with `plan`, `meter`, `quantity` |
    /// | `subtotal`, `total` | without and with credits |
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "tenant": self.tenant,
            "period": window(self.period),
            "version": self.version,
            "version_digest": self.version_digest,
            "currency": self.currency,
            "lines": self.lines.iter().map(line).collect::<Vec<_>>(),
            "unpriced": self.unpriced.iter().map(unpriced).collect::<Vec<_>>(),
            "subtotal": self.subtotal(),
            "total": self.total(),
        })
    }
}

fn line(line: &InvoiceLine) -> Value {
    json!({
        "kind": line.kind.as_str(),
        "plan": line.plan,
        "window": window(line.window),
        "meter": line.meter,
        "description": line.description,
        "tier": line.tier,
        "quantity": line.quantity,
        "unit": line.unit,
        "unit_price": line.unit_price,
        "flat": line.flat,
        "amount": line.amount,
        "input": line.input,
    })
}

fn unpriced(usage: &Unpriced) -> Value {
    json!({ "plan": usage.plan, "meter": usage.meter, "quantity": usage.quantity })
}

fn window(window: Window) -> Value {
    json!({ "start": window.start.to_string(), "end": window.end.to_string() })
}
