//! The plan as a picture: tables as boxes, by how many references lie between them and the root.

use std::{collections::BTreeMap, fmt::Write as _};

use tenancy_sqlx::schema::CatalogName;

use super::{
    draft::Draft,
    sketch::Verdict,
    words::{Standing, short_source, standing},
};

const WIDTH: usize = 250;
const HEIGHT: usize = 44;
const GAP: usize = 14;
/// Between columns, for the lines.
const ALLEY: usize = 56;
const MARGIN: usize = 24;
/// Above the boxes.
const HEAD: usize = 96;
/// Boxes in a column, beyond which the next begins.
const MANY: usize = 24;
/// Characters of a line in a box.
const LONG: usize = 34;

const STYLE: &str = "\
svg { background: #fff; font-family: system-ui, sans-serif }
text { fill: #1b1f24 }
.name { font-size: 13px; font-weight: 600 }
.source, .legend { font-size: 12px }
.heading { font-size: 14px; font-weight: 600 }
.way { fill: none; stroke: #57606a; stroke-width: 1.2 }
rect { stroke-width: 1.5 }
.root rect { fill: #fff3c4; stroke: #8a6100 }
.tenant rect { fill: #dbeafe; stroke: #1d4ed8 }
.shared rect { fill: #dcfce7; stroke: #15803d }
.closed rect { fill: #eceff2; stroke: #57606a }
.asked rect { fill: #fee2e2; stroke: #b91c1c; stroke-dasharray: 5 3 }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117 }
  text { fill: #e6edf3 }
  .way { stroke: #9aa4af }
  .root rect { fill: #4d3800; stroke: #f2c14e }
  .tenant rect { fill: #12305f; stroke: #79a8ff }
  .shared rect { fill: #0f3d20; stroke: #56d27f }
  .closed rect { fill: #2a3038; stroke: #9aa4af }
  .asked rect { fill: #571717; stroke: #ff8f8f }
}
";

/// A box: whose, how it stands, and where it is.
struct Place<'g> {
    name: &'g CatalogName,
    source: String,
    standing: Standing,
    x: usize,
    y: usize,
}

/// The picture as SVG.
pub(super) fn svg(draft: &Draft<'_>) -> String {
    let places = places(draft);
    let right = places
        .iter()
        .map(|place| place.x + WIDTH)
        .max()
        .unwrap_or(WIDTH);
    let below = places
        .iter()
        .map(|place| place.y + HEIGHT)
        .max()
        .unwrap_or(HEAD);
    let (width, height) = ((right + MARGIN).max(900), below + MARGIN);
    let title = format!("Plan to adopt the database {}", draft.sketch.graph.database);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\" aria-labelledby=\"title description\">\n<title id=\"title\">{}</title>\n<desc \
         id=\"description\">{}</desc>\n<style>\n{STYLE}</style>\n<text class=\"heading\" x=\"{MARGIN}\" y=\"34\">{}</text>\n",
        escaped(&title),
        escaped(&description(&places)),
        escaped(&title)
    );
    legend(&mut svg, &places);
    lines(draft, &places, &mut svg);
    for place in &places {
        let (x, y) = (place.x, place.y);
        let name = place.name.plain();
        let (text_x, name_y, source_y) = (x + 10, y + 18, y + 35);
        let _ = writeln!(
            svg,
            "<g class=\"{}\"><title>{}: {}</title><rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
             rx=\"5\"/><text class=\"name\" x=\"{text_x}\" y=\"{name_y}\">{}</text><text class=\"source\" x=\"{text_x}\" \
             y=\"{source_y}\">{}</text></g>",
            place.standing.as_str(),
            escaped(&name),
            escaped(&place.source),
            escaped(&short(&name, LONG - 2)),
            escaped(&short(&place.source, LONG))
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// Tenants' tables in columns by level, and the others in columns behind them.
fn places<'g>(draft: &Draft<'g>) -> Vec<Place<'g>> {
    let mut columns = BTreeMap::<(bool, usize), Vec<Place<'g>>>::new();
    for (table, verdict) in draft.sketch.in_order() {
        let is = standing(draft, &table.name, verdict);
        let level = draft
            .sketch
            .levels
            .get(&table.name)
            .copied()
            .unwrap_or_default();
        let others = match is {
            Standing::Shared => 0,
            Standing::Closed => 1,
            _ => 2,
        };
        let tenant = verdict.is_tenant();
        let column = (!tenant, if tenant { level } else { others });
        let asks = if is == Standing::Asked { "asked: " } else { "" };
        columns.entry(column).or_default().push(Place {
            name: &table.name,
            source: format!("{asks}{}", short_source(verdict)),
            standing: is,
            x: 0,
            y: 0,
        });
    }
    let mut x = MARGIN;
    let mut placed = Vec::new();
    for (_, mut column) in columns {
        // Boxes of one table stand beside each other, so that lines cross less.
        column.sort_by_key(|place| source_row(draft, &placed, place.name));
        for (number, mut place) in column.into_iter().enumerate() {
            if number > 0 && number % MANY == 0 {
                x += WIDTH + GAP;
            }
            place.x = x;
            place.y = HEAD + (number % MANY) * (HEIGHT + GAP);
            placed.push(place);
        }
        x += WIDTH + ALLEY;
    }
    placed
}

/// The row of the table from which another gets its tenant.
fn source_row(draft: &Draft<'_>, placed: &[Place<'_>], name: &CatalogName) -> usize {
    let Some(Verdict::By { edge, .. }) = draft.sketch.verdict(name) else {
        return 0;
    };
    let of = placed.iter().find(|place| *place.name == edge.to);
    of.map_or(0, |place| place.y)
}

fn lines(draft: &Draft<'_>, places: &[Place<'_>], svg: &mut String) {
    for place in places {
        let Some(Verdict::By { edge, .. }) = draft.sketch.verdict(place.name) else {
            continue;
        };
        let Some(to) = places.iter().find(|other| *other.name == edge.to) else {
            continue;
        };
        let (x1, y1) = (to.x + WIDTH, to.y + HEIGHT / 2);
        let (x2, y2) = (place.x, place.y + HEIGHT / 2);
        let bend = ALLEY / 2;
        let (c1, c2) = (x1 + bend, x2.saturating_sub(bend));
        let _ = writeln!(
            svg,
            "<path class=\"way\" d=\"M{x1} {y1}C{c1} {y1} {c2} {y2} {x2} {y2}\"/>"
        );
    }
}

/// What the colours mean, with how many tables there are of each.
fn legend(svg: &mut String, places: &[Place<'_>]) {
    let mut x = MARGIN;
    for standing in Standing::ALL {
        let number = places
            .iter()
            .filter(|place| place.standing == standing)
            .count();
        if number == 0 {
            continue;
        }
        let words = format!("{} ({number})", standing.meaning());
        let text_x = x + 26;
        let _ = writeln!(
            svg,
            "<g class=\"{}\"><rect x=\"{x}\" y=\"50\" width=\"18\" height=\"18\" rx=\"4\"/><text class=\"legend\" \
             x=\"{text_x}\" y=\"64\">{words}</text></g>",
            standing.as_str()
        );
        x += 40 + words.len() * 7;
    }
}

/// The picture in words.
fn description(places: &[Place<'_>]) -> String {
    let said = Standing::ALL.iter().filter_map(|standing| {
        let of = places.iter().filter(|place| place.standing == *standing);
        let names: Vec<_> = of
            .map(|place| format!("{} {}", place.name.plain(), place.source))
            .collect();
        (!names.is_empty()).then(|| format!("{}: {}.", standing.meaning(), names.join("; ")))
    });
    said.collect::<Vec<_>>().join(" ")
}

fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most - 1).collect();
    format!("{kept}…")
}

/// A text as XML has it. What XML can't have is left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leaves_its_place() {
        assert_eq!(
            escaped("</text><script>\"'&\u{1}"),
            "&lt;/text&gt;&lt;script&gt;&quot;&#39;&amp;\u{fffd}"
        );
        assert_eq!(short("abcdef", 4), "abc…");
        assert_eq!(short("abcd", 4), "abcd");
    }
}
