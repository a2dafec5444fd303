//! An invoice as CSV.

use rust_decimal::Decimal;
use tenancy_core::csv_cell;

use super::{DraftInvoice, InvoiceLine};

const HEADER: &str = "kind,plan,meter,description,start,end,tier,quantity,unit,unit_price,flat,amount,currency,input\r\n";

impl DraftInvoice {
    /// The lines as records of RFC 4180, after one with the names of the columns.
    ///
    /// # Security
    /// A text in which a spreadsheet would see a formula has a `'` in front. Numbers have none, also below 0.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let mut text = HEADER.to_owned();
        for line in &self.lines {
            text.push_str(&record(line, self.currency.code()));
        }
        text
    }
}

fn record(line: &InvoiceLine, currency: &str) -> String {
    let number = |it: Option<Decimal>| it.map(|it| it.to_string()).unwrap_or_default();
    let cells = [
        line.kind.as_str().to_owned(),
        csv_cell(&line.plan),
        csv_cell(line.meter.as_deref().unwrap_or_default()),
        csv_cell(&line.description),
        line.window.start.to_string(),
        line.window.end.to_string(),
        line.tier.map(|it| it.to_string()).unwrap_or_default(),
        line.quantity.to_string(),
        csv_cell(&line.unit),
        number(line.unit_price),
        line.flat.to_string(),
        line.amount.to_string(),
        currency.to_owned(),
        line.input.to_string(),
    ];
    format!("{}\r\n", cells.join(","))
}
