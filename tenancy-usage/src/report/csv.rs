//! A report as CSV.

use tenancy_core::csv_cell;

use super::UsageReport;

const HEADER: &str =
    "kind,about,dimension,value,date,start,end,quantity,unit,events,amount,currency\r\n";

impl UsageReport {
    /// The report as records of RFC 4180, after one with the names of the columns.
    ///
    /// | `kind` | a record is |
    /// |---|---|
    /// | `total` | what was used of a meter |
    /// | `day` | what was used of it on a day |
    /// | `part` | what was used of it with a value of a dimension |
    /// | `forecast` | what it will come to |
    /// | `cost` | a line of the invoice |
    /// | `warning` | a warning, in the column `about` |
    ///
    /// # Security
    /// A text in which a spreadsheet would see a formula has a `'` in front.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let mut records = vec![];
        let period = [self.period.start.to_string(), self.period.end.to_string()];
        for meter in &self.meters {
            let record = |kind| Record::new(kind, &meter.name).quantity(meter.total, &meter.unit);
            records.push(record("total").window(&period));
            for day in &meter.days {
                let window = [day.window.start.to_string(), day.window.end.to_string()];
                records.push(Record {
                    date: self.date(day.window.start).to_string(),
                    events: day.events.to_string(),
                    ..record("day")
                        .window(&window)
                        .quantity(day.quantity, &meter.unit)
                });
            }
            for (dimension, parts) in &meter.by {
                records.extend(parts.iter().map(|part| {
                    Record {
                        dimension: csv_cell(dimension),
                        value: csv_cell(&part.value),
                        ..record("part")
                            .window(&period)
                            .quantity(part.quantity, &meter.unit)
                    }
                }));
            }
            if let Some(forecast) = self.forecast_of(&meter.name) {
                let record = record("forecast").window(&period);
                records.push(record.quantity(forecast.expected, &meter.unit));
            }
        }
        if let Some(invoice) = &self.invoice {
            records.extend(invoice.lines.iter().map(|line| {
                let window = [line.window.start.to_string(), line.window.end.to_string()];
                Record {
                    amount: line.amount.to_string(),
                    currency: invoice.currency.code().to_owned(),
                    ..Record::new("cost", &line.description)
                        .window(&window)
                        .quantity(line.quantity, &line.unit)
                }
            }));
        }
        records.extend(
            self.warnings
                .iter()
                .map(|text| Record::new("warning", text)),
        );
        let mut text = HEADER.to_owned();
        for record in records {
            text.push_str(&record.cells().join(","));
            text.push_str("\r\n");
        }
        text
    }
}

/// Cells, escaped already.
#[derive(Default)]
struct Record {
    kind: &'static str,
    about: String,
    dimension: String,
    value: String,
    date: String,
    start: String,
    end: String,
    quantity: String,
    unit: String,
    events: String,
    amount: String,
    currency: String,
}

impl Record {
    fn new(kind: &'static str, about: &str) -> Self {
        Self {
            kind,
            about: csv_cell(about),
            ..Self::default()
        }
    }

    fn window(mut self, [start, end]: &[String; 2]) -> Self {
        self.start.clone_from(start);
        self.end.clone_from(end);
        self
    }

    fn quantity(mut self, quantity: rust_decimal::Decimal, unit: &str) -> Self {
        self.quantity = quantity.normalize().to_string();
        self.unit = csv_cell(unit);
        self
    }

    fn cells(self) -> [String; 12] {
        [
            self.kind.to_owned(),
            self.about,
            self.dimension,
            self.value,
            self.date,
            self.start,
            self.end,
            self.quantity,
            self.unit,
            self.events,
            self.amount,
            self.currency,
        ]
    }
}
