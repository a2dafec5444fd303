//! Charts as inline SVG.

use super::{
    markup::Markup,
    numbers::{about, quantity, round_up, short},
};
use crate::{
    analytics::SeriesStep,
    forecast::numbers::count,
    report::{ReportMeter, UsageReport},
};

/// How high the drawing is, in its own units. A bar and the gap beside it are ten wide.
const HEIGHT: f64 = 100.0;

/// The days of a meter as bars, with what is forecast for days that are still to come.
///
/// The drawing stretches to the width that there is, so texts stand beside it and not in it.
pub(super) fn days(markup: &mut Markup, report: &UsageReport, meter: &ReportMeter, number: usize) {
    let (Some(first), Some(last)) = (meter.days.first(), meter.days.last()) else {
        return;
    };
    let forecast = report.forecast_of(&meter.name);
    let ahead = forecast
        .map(|it| it.rest.steps.as_slice())
        .unwrap_or_default();
    let known = meter.days.len().saturating_sub(ahead.len());
    let expected = |day: usize| ahead.get(day.checked_sub(known)?).copied();
    let used = meter.days.iter().map(SeriesStep::as_f64);
    let most = used.chain(ahead.iter().copied()).fold(0.0, f64::max);
    let top = round_up(most);
    let scale = HEIGHT / top;

    markup.raw(
        "<figure class=\"chart\"><div class=\"plot\"><div class=\"axis\" aria-hidden=\"true\">",
    );
    for label in [top, top / 2.0, 0.0] {
        markup.raw("<span>").text(short(label)).raw("</span>");
    }
    let width = count(meter.days.len()) * 10.0;
    markup.raw("</div><svg role=\"img\" preserveAspectRatio=\"none\"");
    markup.attribute("viewBox", format_args!("0 0 {width} {HEIGHT}"));
    markup.attribute("aria-labelledby", format_args!("t{number} d{number}"));
    markup
        .raw("><title")
        .attribute("id", format_args!("t{number}"))
        .raw(">");
    markup.text(&meter.name).raw(" by day</title><desc");
    markup
        .attribute("id", format_args!("d{number}"))
        .raw(">")
        .text(described(report, meter));
    markup.raw("</desc>");
    for line in [0.0, 50.0, 100.0] {
        markup
            .raw("<line class=\"grid\" x1=\"0\"")
            .attribute("y1", line)
            .attribute("x2", width);
        markup.attribute("y2", line).raw("/>");
    }
    for (day, step) in meter.days.iter().enumerate() {
        let date = report.date(step.window.start);
        let mut bar = |class: &'static str, value: f64, shown: String| {
            let height = (value * scale).clamp(0.0, HEIGHT);
            if value > 0.0 {
                markup.raw("<rect").attribute("class", class);
                markup
                    .attribute("x", count(day) * 10.0 + 1.5)
                    .attribute("width", 7);
                markup.attribute("y", format_args!("{:.2}", HEIGHT - height));
                markup
                    .attribute("height", format_args!("{height:.2}"))
                    .raw("><title>");
                markup
                    .text(format_args!("{date}: {shown}"))
                    .raw("</title></rect>");
            }
        };
        if let Some(value) = expected(day) {
            bar("ahead", value, format!("about {} expected", short(value)));
        }
        bar(
            "used",
            step.as_f64(),
            format!("{} {}", quantity(step.quantity), meter.unit),
        );
    }
    markup.raw("</svg></div><figcaption class=\"dates\"><span>");
    markup.text(short_date(report, first)).raw("</span>");
    if let Some(forecast) = forecast {
        markup
            .raw("<span class=\"key\">Lighter: expected, about ")
            .text(about(forecast.expected));
        markup.raw(" at the end</span>");
    }
    markup
        .raw("<span>")
        .text(short_date(report, last))
        .raw("</span></figcaption></figure>");
}

/// 15 Jan.
fn short_date(report: &UsageReport, day: &SeriesStep) -> impl std::fmt::Display {
    report.date(day.window.start).strftime("%-d %b")
}

/// The chart in words.
fn described(report: &UsageReport, meter: &ReportMeter) -> String {
    let most = meter
        .days
        .iter()
        .max_by_key(|day| (day.quantity, std::cmp::Reverse(day.window.start)));
    let most = most.filter(|day| !day.quantity.is_zero());
    let most = most.map_or("none was used".to_owned(), |day| {
        let date = report.date(day.window.start);
        format!("the most was {} on {date}", quantity(day.quantity))
    });
    format!(
        "{} {} in {} days; {most}. The table below has each day.",
        quantity(meter.total),
        meter.unit,
        meter.days.len()
    )
}

/// A part of a whole as a bar, beside its number.
pub(super) fn part(markup: &mut Markup, part: f64) {
    markup.raw("<svg class=\"part\" viewBox=\"0 0 100 6\" preserveAspectRatio=\"none\" aria-hidden=\"true\">");
    markup
        .raw("<rect class=\"rail\" width=\"100\" height=\"6\"/><rect class=\"used\" height=\"6\"");
    markup
        .attribute("width", format_args!("{:.2}", part.clamp(0.0, 1.0) * 100.0))
        .raw("/></svg>");
}
