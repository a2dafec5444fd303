//! The keys of counters and of operations.

use std::fmt::Write as _;

use tenancy_core::quota::{Algorithm, Holder, OperationId, Take};

use super::home::Home;

/// How long the name of a limit may be to stand in a key.
const LONGEST: usize = 128;

/// The key of a counter.
pub(super) fn of_counter(take: &Take<'_>) -> String {
    let mut key = Home::of(&take.holder).start('q');
    push_holder(&mut key, &take.holder);
    key.push_str(match take.algorithm {
        Algorithm::Rate(_) => ":r:",
        Algorithm::Period(..) => ":p:",
        Algorithm::Concurrent(_) => ":c:",
        _ => ":h:",
    });
    push_name(&mut key, take.limit);
    key
}

/// The key beside it, of when each lease or reservation ends.
pub(super) fn of_ends(counter: &str) -> String {
    format!("{counter}:ends")
}

/// The key of what is remembered of an operation.
pub(super) fn of_operation(home: Home, operation: OperationId) -> String {
    let mut key = home.start('o');
    let _ = write!(key, "{:032x}", operation.as_u128());
    key
}

/// A holder without its tenant, which the key begins with.
fn push_holder(key: &mut String, holder: &Holder) {
    let start = key.len();
    let _ = write!(key, "{holder}");
    let of_tenant = key.get(start..).and_then(|text| text.find('/'));
    if let Some(slash) = of_tenant {
        key.replace_range(start..=start + slash, "");
    }
}

/// A name of a limit. What is more than a letter, a digit, `-`, `_` or `.` is written as `%` and its byte; of a long name,
/// there is `~` and half of its SHA-256.
fn push_name(key: &mut String, name: &str) {
    let start = key.len();
    let is_short = name.len() <= LONGEST;
    if is_short {
        for byte in name.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
                key.push(char::from(byte));
            } else {
                let _ = write!(key, "%{byte:02X}");
            }
        }
    }
    if !is_short || key.len() - start > LONGEST {
        key.truncate(start);
        let _ = write!(key, "~{:032x}", OperationId::of([name]).as_u128());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{collections::HashSet, time::Duration};

    use super::{Algorithm, Holder, Take, of_counter};
    use tenancy_core::{KeyId, TenantId, quota::Rate};

    fn key(holder: Holder, limit: &str) -> String {
        let rate = Rate::new(1, Duration::from_secs(1), 1).unwrap();
        of_counter(&Take::new(holder, limit, Algorithm::Rate(rate), 1))
    }

    #[test]
    fn a_name_can_t_leave_its_place() {
        let tenant = TenantId::new();
        let acme = Holder::tenant(tenant);
        assert_eq!(
            key(acme, "requests-per-minute"),
            format!("tn:{{{tenant}}}:q:tenant:r:requests-per-minute")
        );
        let of_key = KeyId::new();
        assert_eq!(
            key(Holder::key(tenant, of_key), "requests"),
            format!("tn:{{{tenant}}}:q:key/{}:r:requests", of_key.as_uuid())
        );
        assert_eq!(key(Holder::system(), "a"), "tn:{-188}:q:system:r:a");
        let (mega, other) = ("x".repeat(1 << 20), "x".repeat((1 << 20) + 1));
        let names = [
            "",
            "a",
            "a:ends",
            "a}",
            "{a",
            "{}",
            "a*",
            "a?",
            "[a]",
            "a\n",
            "a\r\n",
            "a\0",
            "a b",
            "a%",
            "%61",
            "é",
            "A",
            "~",
            mega.as_str(),
            other.as_str(),
        ];
        let start = key(acme, "");
        let keys: HashSet<_> = names.iter().map(|name| key(acme, name)).collect();
        assert_eq!(keys.len(), names.len());
        for key in keys {
            let name = key.strip_prefix(&start).unwrap();
            assert!(name.len() <= 128, "{key}");
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"%~-_.".contains(&byte);
            assert!(name.bytes().all(is_plain), "{key}");
        }
    }
}
