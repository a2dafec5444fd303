//! Digests of what lines are computed from.

use rust_decimal::Decimal;
use tenancy_core::quota::Window;
use uuid::Uuid;

use crate::{Rollup, UsageDigest, digest::Canonical};

/// The bytes are those of the format `invoice-input-1`: the digest of the version, the plan, the period, the segment, what the
/// line is about, what was granted, and each rollup: project, key, dimensions, window, quantity, events. Rollups are in the order of their
/// window, project, key and dimensions.
pub(super) fn digest(
    version: UsageDigest,
    plan: &str,
    period: Window,
    segment: Window,
    about: &str,
    granted: Decimal,
    rollups: &[&Rollup],
) -> UsageDigest {
    let canonical = Canonical::of("invoice-input-1")
        .bytes(version.as_bytes())
        .text(plan);
    let canonical = window(window(canonical, period), segment)
        .text(about)
        .decimal(granted)
        .decimal(rollups.len().into());
    let mut rollups = rollups.to_vec();
    rollups.sort_by_key(|it| {
        let Window { start, end, .. } = it.window;
        (
            start,
            end,
            it.project,
            it.key,
            &it.dimensions,
            it.quantity,
            it.events,
        )
    });
    let uuid = |it: Canonical, id: Uuid| it.bytes(id.as_bytes());
    let rollups = rollups.into_iter().fold(canonical, |it, rollup| {
        let it = it
            .text(&rollup.meter)
            .maybe(rollup.project.map(Uuid::from), uuid)
            .maybe(rollup.key.map(Uuid::from), uuid)
            .decimal(rollup.dimensions.len().into());
        let dimensions = rollup.dimensions.iter();
        let it = dimensions.fold(it, |it, (name, value)| it.text(name).text(value));
        window(it, rollup.window)
            .decimal(rollup.quantity)
            .decimal(rollup.events.into())
    });
    rollups.end()
}

fn window(canonical: Canonical, window: Window) -> Canonical {
    canonical
        .decimal(window.start.as_unix_micros().into())
        .decimal(window.end.as_unix_micros().into())
}
