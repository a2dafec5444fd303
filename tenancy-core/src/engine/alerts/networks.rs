//! Networks from which keys are used: learned first, and few for each key.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use quick_cache::sync::Cache;

use crate::{KeyId, Timestamp};

/// How many keys are told apart.
const KEYS: usize = 1 << 16;

/// How many networks of a key are remembered.
const NETWORKS: usize = 32;

/// A network as large as one that a customer is given: of IPv4 a /24, of IPv6 a /48.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    V4([u8; 3]),
    V6([u16; 3]),
}

impl Network {
    pub(super) fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                Self::V4([a, b, c])
            }
            IpAddr::V6(ip) => {
                let [a, b, c, ..] = ip.segments();
                Self::V6([a, b, c])
            }
        }
    }

    /// A number that no other network has, and that is not 0.
    pub(super) fn bits(self) -> u64 {
        match self {
            Self::V4([a, b, c]) => 4 << 56 | u64::from(u32::from_be_bytes([0, a, b, c])),
            Self::V6([a, b, c]) => 6 << 56 | u64::from(a) << 32 | u64::from(b) << 16 | u64::from(c),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V4([a, b, c]) => write!(f, "{}/24", Ipv4Addr::new(a, b, c, 0)),
            Self::V6([a, b, c]) => write!(f, "{}/48", Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)),
        }
    }
}

pub(super) struct Networks {
    learning: Duration,
    keys: Cache<KeyId, Arc<Mutex<Seen>>>,
}

/// Where a key was seen, the latest last.
struct Seen {
    since: Timestamp,
    networks: Vec<Network>,
}

impl Networks {
    pub(super) fn new(learning: Duration) -> Self {
        Self {
            learning,
            keys: Cache::new(KEYS),
        }
    }

    /// Whether a key was seen in this network, or is now: because its networks are still learned, or because the new one
    /// was told.
    pub(super) fn is_known(
        &self,
        key: KeyId,
        network: Network,
        now: Timestamp,
        tell: impl FnOnce(Network) -> bool,
    ) -> bool {
        let begun = || {
            Ok::<_, ()>(Arc::new(Mutex::new(Seen {
                since: now,
                networks: Vec::new(),
            })))
        };
        let Ok(seen) = self.keys.get_or_insert_with(&key, begun) else {
            return false;
        };
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = seen.networks.iter().position(|known| *known == network) {
            let known = seen.networks.remove(place);
            seen.networks.push(known);
            return true;
        }
        let is_learning = now.since(seen.since) < self.learning || seen.networks.is_empty();
        if !is_learning && !tell(network) {
            return false;
        }
        if seen.networks.len() == NETWORKS {
            seen.networks.remove(0);
        }
        seen.networks.push(network);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_told_apart_by_their_first_bits_alone() {
        let of = |ip: &str| Network::of(ip.parse().unwrap());
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.254", true),
            ("192.0.2.1", "::ffff:192.0.2.9", true),
            ("192.0.2.1", "192.0.3.1", false),
            ("2001:db8:1::1", "2001:db8:1:ffff::9", true),
            ("2001:db8:1::1", "2001:db8:2::1", false),
            ("0.0.0.0", "::", false),
        ] {
            assert_eq!(of(one) == of(other), same, "{one} {other}");
            assert_eq!(of(one).bits() == of(other).bits(), same, "{one} {other}");
            assert_ne!(of(one).bits(), 0);
        }
        assert_eq!(of("192.0.2.7").to_string(), "192.0.2.0/24");
        assert_eq!(of("2001:db8:1:2::3").to_string(), "2001:db8:1::/48");
    }

    #[test]
    fn few_networks_of_a_key_are_remembered_and_the_latest_stay() {
        let networks = Networks::new(Duration::ZERO);
        let (key, now) = (KeyId::new(), Timestamp::from_unix_seconds(1_800_000_000));
        let of = |n: usize| Network::V4([10, 0, u8::try_from(n).unwrap()]);
        let mut told = Vec::new();
        for n in 0..=NETWORKS {
            assert!(networks.is_known(key, of(n), now, |network| {
                told.push(network);
                true
            }));
            // The first stays in use.
            assert!(networks.is_known(key, of(0), now, |_| panic!("it is known")));
        }
        // The first of a key is never new.
        assert_eq!(told.len(), NETWORKS);
        let mut again = false;
        networks.is_known(key, of(1), now, |_| {
            again = true;
            true
        });
        assert!(again, "the one that was not used for longest is forgotten");
    }
}
