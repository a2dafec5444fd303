//! The fields `RateLimit-Policy` and `RateLimit` of a response (draft-ietf-httpapi-ratelimit-headers).

use std::{fmt::Write as _, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use super::{
    Algorithm, Denied, MAX_AMOUNT, MeterKind, Scope, Standing,
    charging::{Due, Dues},
};

pub(super) const POLICY: &str = "ratelimit-policy";
pub(super) const LIMIT: &str = "ratelimit";

/// Both fields of a response: what there is, and what is left of it. Left out are limits of the whole service, whose
/// use is others' too, and what is counted and has no limit. `None` if nothing is left to tell.
pub(super) fn of_granted<'a>(
    charge: &Dues,
    standings: impl Iterator<Item = &'a Standing>,
) -> Option<[(&'static str, String); 2]> {
    let each = charge.dues.iter().zip(standings);
    let each = each.map(|(due, standing)| (due, *standing, standing.reset_after));
    both(each)
}

/// The same of a refusal: of the limits that refuse, and when to come back.
pub(super) fn of_denied(charge: &Dues, denied: &[Denied]) -> Option<[(&'static str, String); 2]> {
    let each = denied.iter().filter_map(|one| {
        let after = one.denial.comes_back_after();
        Some((charge.dues.get(one.take)?, one.denial.standing, after))
    });
    both(each)
}

fn both<'a>(
    each: impl Iterator<Item = (&'a Due, Standing, Option<Duration>)>,
) -> Option<[(&'static str, String); 2]> {
    let (mut policy, mut limit) = (String::new(), String::new());
    for (due, standing, after) in each {
        if due.rule.scope == Scope::System || standing.limit >= MAX_AMOUNT {
            continue;
        }
        if !policy.is_empty() {
            policy.push_str(", ");
            limit.push_str(", ");
        }
        let name = &due.rule.name;
        let key = partition_key(due);
        // Writing to a `String` does not fail.
        let _ = write!(policy, "\"{name}\";q={}", standing.limit);
        if let Some(unit) = unit(due) {
            let _ = write!(policy, ";qu=\"{unit}\"");
        }
        if let Some(window) = window(&due.algorithm) {
            let _ = write!(policy, ";w={window}");
        }
        let _ = write!(policy, ";pk=:{key}:");
        let _ = write!(limit, "\"{name}\";r={}", standing.remaining);
        if let Some(after) = after {
            let _ = write!(limit, ";t={}", seconds(after));
        }
        let _ = write!(limit, ";pk=:{key}:");
    }
    (!policy.is_empty()).then_some([(POLICY, policy), (LIMIT, limit)])
}

/// Whole seconds, rounded up.
pub(super) fn seconds(span: Duration) -> u64 {
    let whole = span.as_secs();
    whole
        .saturating_add(u64::from(span.subsec_nanos() > 0))
        .min(MAX_AMOUNT)
}

/// How long a quota lasts: the time in which an empty bucket is full, or the length of the period.
fn window(algorithm: &Algorithm) -> Option<u64> {
    match algorithm {
        Algorithm::Rate(rate) => Some(seconds(rate.refill()).max(1)),
        Algorithm::Period(_, window) => Some(seconds(window.end.since(window.start)).max(1)),
        Algorithm::Concurrent(_) | Algorithm::Held(..) => None,
    }
}

/// The draft's own names of units, where it has them; `requests` is the default and left out.
fn unit(due: &Due) -> Option<&str> {
    let unit = &*due.rule.unit;
    let may_stand = |b: u8| (b' '..=b'~').contains(&b) && b != b'"' && b != b'\\';
    match unit {
        _ if due.kind == MeterKind::Concurrent => Some("concurrent-requests"),
        "requests" => None,
        "bytes" => Some("content-bytes"),
        unit => unit.bytes().all(may_stand).then_some(unit),
    }
}

/// Whose quota it is, without saying who: a part of a digest.
fn partition_key(due: &Due) -> String {
    let digest: [u8; 32] = Sha256::digest(due.holder.to_string()).into();
    STANDARD.encode(digest.first_chunk::<9>().copied().unwrap_or_default())
}
