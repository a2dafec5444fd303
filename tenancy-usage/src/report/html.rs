//! A report as a page.

mod chart;
mod markup;
mod numbers;

use rust_decimal::Decimal;

use self::{
    markup::Markup,
    numbers::{about, grouped, quantity},
};
use super::{ReportMeter, ReportPart, UsageReport};
use crate::{
    analytics::{Change, SeriesStep},
    forecast::PricedForecast,
    invoice::DraftInvoice,
};

const STYLE: &str = include_str!("html/style.css");

impl UsageReport {
    /// The report as a page of HTML, whole in itself: it has no script and loads nothing. It shows light or dark as the reader prefers, fits
    /// phones, and prints. Beside each chart is a table with its numbers.
    ///
    /// # Security
    /// Each text of others is escaped, and its direction of writing is kept to itself. Send it as `text/html; charset=utf-8`. Its numbers
    /// are the tenant's own: serve it only to who may read them, with `Cache-Control: no-store`.
    #[must_use]
    pub fn to_html(&self) -> String {
        let mut page = Markup::default();
        self.head(&mut page);
        self.figures(&mut page);
        self.warned(&mut page);
        let (used, unused): (Vec<_>, Vec<_>) =
            (self.meters.iter()).partition(|meter| self.is_shown(meter));
        for (number, meter) in used.into_iter().enumerate() {
            self.section(&mut page, meter, number);
        }
        not_used(&mut page, &unused);
        if let Some(invoice) = &self.invoice {
            self.cost(&mut page, invoice);
        }
        page.raw("<footer><p>Made at ")
            .text(self.made_at)
            .raw(" for tenant <code>")
            .text(self.tenant);
        page.raw("</code>. Dates are those of ").text(&self.zone.0);
        page.raw(". Quantities and amounts are exact; forecasts are estimates, and nothing is billed by them.</p></footer></main></body></html>\n");
        page.end()
    }

    fn head(&self, page: &mut Markup) {
        page.raw("<!doctype html>\n<html lang=\"en-GB\"><head><meta charset=\"utf-8\">");
        page.raw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">");
        page.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
        page.raw("<meta name=\"color-scheme\" content=\"light dark\"><meta name=\"referrer\" content=\"no-referrer\">");
        page.raw("<title>Usage of ")
            .text(&self.name)
            .raw(", ")
            .text(long(self.date(self.period.start)));
        page.raw("</title><style>")
            .raw(STYLE)
            .raw("</style></head><body><main><header><p class=\"kind\">Usage report</p><h1>");
        page.name(&self.name)
            .raw("</h1><p class=\"period\">")
            .text(long(self.date(self.period.start)));
        page.raw(" to ")
            .text(long(self.last_date()))
            .raw("</p></header>");
    }

    /// The date of the period's last second.
    fn last_date(&self) -> jiff::civil::Date {
        self.date(self.period.end - std::time::Duration::from_secs(1))
    }

    /// What matters most, in large type. An expectation is of the full days; what today has cost already is not below its lower end.
    fn figures(&self, page: &mut Markup) {
        let Some(invoice) = &self.invoice else { return };
        let currency = invoice.currency;
        page.raw("<section aria-label=\"Summary\" class=\"figures\"><div><p class=\"label\">Cost of the period so far</p><p class=\"figure\">");
        page.text(currency)
            .raw(" ")
            .text(grouped(invoice.total()))
            .raw("</p></div>");
        let is_more = |it: &&PricedForecast| it.expected >= invoice.total();
        if let Some(priced) = self.priced.as_ref().filter(is_more) {
            page.raw("<div><p class=\"label\">Expected at its end</p><p class=\"figure\">")
                .text(currency);
            page.raw(" ")
                .text(grouped(currency.round(priced.expected)))
                .raw("</p><p class=\"hint\">between ");
            page.text(grouped(currency.round(priced.low.max(invoice.total()))))
                .raw(" and ");
            page.text(grouped(currency.round(priced.high)))
                .raw("</p></div>");
        }
        page.raw("</section>");
    }

    fn warned(&self, page: &mut Markup) {
        if self.warnings.is_empty() {
            return;
        }
        page.raw(
            "<section class=\"warnings\" aria-labelledby=\"w\"><h2 id=\"w\">Look at this</h2><ul>",
        );
        for warning in &self.warnings {
            page.raw("<li>").name(warning).raw("</li>");
        }
        page.raw("</ul></section>");
    }

    /// Whether there is something to show of a meter.
    fn is_shown(&self, meter: &ReportMeter) -> bool {
        !meter.total.is_zero() || self.forecast_of(&meter.name).is_some()
    }

    fn section(&self, page: &mut Markup, meter: &ReportMeter, number: usize) {
        page.raw("<section class=\"card\"")
            .attribute("aria-labelledby", format_args!("m{number}"));
        page.raw("><div class=\"heading\"><h2")
            .attribute("id", format_args!("m{number}"))
            .raw(">");
        page.name(&meter.name)
            .raw("</h2><p class=\"total\"><strong>")
            .text(quantity(meter.total));
        page.raw("</strong> ").name(&meter.unit).raw("</p></div>");
        if let Some(forecast) = self.forecast_of(&meter.name) {
            page.raw("<p class=\"hint\">About ")
                .text(about(forecast.expected))
                .raw(" expected at the end of the period, between ");
            page.text(about(forecast.low.max(meter.total)))
                .raw(" and ")
                .text(about(forecast.high))
                .raw(".</p>");
        }
        chart::days(page, self, meter, number);
        page.raw("<div class=\"tables\">");
        self.days(page, meter, number);
        let is_told =
            |(_, parts): &(_, &Vec<ReportPart>)| parts.iter().any(|it| !it.value.is_empty());
        for (place, (dimension, parts)) in meter.by.iter().filter(is_told).enumerate() {
            parts_table(page, meter, dimension, parts, &format!("p{number}-{place}"));
        }
        page.raw("</div></section>");
    }

    /// The numbers of the chart.
    fn days(&self, page: &mut Markup, meter: &ReportMeter, number: usize) {
        let id = format!("y{number}");
        scrolled(page, &id);
        page.raw("<table><caption")
            .attribute("id", &id)
            .raw(">By day</caption><thead><tr><th scope=\"col\">Day</th>");
        page.raw("<th scope=\"col\" class=\"number\">Used</th><th scope=\"col\" class=\"number\">Change</th></tr></thead><tbody>");
        let before = std::iter::once(None).chain(meter.days.iter().map(Some));
        let days = meter.days.iter().zip(before);
        for (day, before) in days.filter(|(day, _)| day.window.start <= self.made_at) {
            page.raw("<tr><th scope=\"row\">")
                .text(self.date(day.window.start).strftime("%a %-d %b"));
            page.raw("</th><td class=\"number\">")
                .text(quantity(day.quantity));
            page.raw("</td><td class=\"number soft\">")
                .text(change(day, before))
                .raw("</td></tr>");
        }
        page.raw("</tbody></table></div>");
    }

    fn cost(&self, page: &mut Markup, invoice: &DraftInvoice) {
        page.raw("<section class=\"card\" aria-labelledby=\"c\"><div class=\"heading\"><h2 id=\"c\">Cost</h2><p class=\"total\"><strong>");
        page.text(grouped(invoice.total()))
            .raw("</strong> ")
            .text(invoice.currency);
        page.raw("</p></div><p class=\"hint\">A draft, without taxes, by the prices <bdi>")
            .text(&invoice.version)
            .raw("</bdi>.</p>");
        scrolled(page, "cost");
        page.raw("<table class=\"wide\"><caption id=\"cost\">What it is made of</caption><thead><tr><th scope=\"col\">For</th><th scope=\"col\">Plan</th>");
        page.raw("<th scope=\"col\" class=\"number\">Quantity</th><th scope=\"col\" class=\"number\">Price of one</th><th scope=\"col\" class=\"number\">Amount</th></tr></thead><tbody>");
        for line in &invoice.lines {
            page.raw("<tr><th scope=\"row\">")
                .name(&line.description)
                .raw(" <span class=\"tag\">")
                .text(line.kind.as_str());
            page.raw("</span></th><td>")
                .name(&line.plan)
                .raw("</td><td class=\"number\">");
            page.text(quantity(line.quantity))
                .raw(" <span class=\"soft\">")
                .name(&line.unit);
            page.raw("</span></td><td class=\"number\">")
                .text(line.unit_price.map(quantity).unwrap_or_default());
            page.raw("</td><td class=\"number\">")
                .text(grouped(line.amount))
                .raw("</td></tr>");
        }
        page.raw("</tbody><tfoot><tr><th scope=\"row\" colspan=\"4\">Total in ")
            .text(invoice.currency);
        page.raw("</th><td class=\"number\">")
            .text(grouped(invoice.total()))
            .raw("</td></tr></tfoot></table></div></section>");
    }
}

/// 15 January 2027.
fn long(date: jiff::civil::Date) -> impl std::fmt::Display {
    date.strftime("%-d %B %Y")
}

fn not_used(page: &mut Markup, meters: &[&ReportMeter]) {
    if meters.is_empty() {
        return;
    }
    page.raw("<section class=\"card\" aria-labelledby=\"n\"><h2 id=\"n\">Not used in this period</h2><p class=\"hint\">");
    for (place, meter) in meters.iter().enumerate() {
        page.raw(if place == 0 { "" } else { ", " })
            .name(&meter.name);
    }
    page.raw("</p></section>");
}

/// Begins what may be wider or longer than there is room; the keyboard reaches it.
fn scrolled(page: &mut Markup, labelled_by: &str) {
    page.raw("<div class=\"scrolled\" tabindex=\"0\" role=\"region\"");
    page.attribute("aria-labelledby", labelled_by).raw(">");
}

fn change(day: &SeriesStep, before: Option<&SeriesStep>) -> String {
    let change = before.map(|before| Change::new(day.quantity, before.quantity));
    match change.and_then(|change| change.percent()) {
        Some(percent) if percent.abs() < 0.5 => "±0 %".to_owned(),
        Some(percent) if percent < 0.0 => format!("−{:.0} %", -percent),
        Some(percent) if percent > 999.0 => ">999 %".to_owned(),
        Some(percent) => format!("+{percent:.0} %"),
        None => "–".to_owned(),
    }
}

fn parts_table(
    page: &mut Markup,
    meter: &ReportMeter,
    dimension: &str,
    parts: &[ReportPart],
    id: &str,
) {
    scrolled(page, id);
    page.raw("<table><caption")
        .attribute("id", id)
        .raw(">By ")
        .name(dimension);
    page.raw("</caption><thead><tr><th scope=\"col\">Value</th><th scope=\"col\" class=\"number\">Used</th><th scope=\"col\" class=\"number\">Part</th></tr></thead><tbody>");
    for part in parts {
        let share = share(part.quantity, meter.total);
        page.raw("<tr><th scope=\"row\" class=\"value\">");
        if part.value.is_empty() {
            page.raw("<span class=\"soft\">without</span>");
        } else {
            page.name(&part.value);
        }
        if let Some(share) = share {
            chart::part(page, share);
        }
        page.raw("</th><td class=\"number\">")
            .text(quantity(part.quantity))
            .raw("</td><td class=\"number soft\">");
        page.text(share.map_or("–".to_owned(), |share| format!("{:.1} %", share * 100.0)))
            .raw("</td></tr>");
    }
    page.raw("</tbody></table></div>");
}

fn share(part: Decimal, whole: Decimal) -> Option<f64> {
    Change::new(part, whole).ratio()
}
