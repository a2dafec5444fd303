//! Names of keys and channels: public, and versioned with this crate.
//!
//! | name | what |
//! |---|---|
//! | `tn:{<tenant>}:q:<holder>:<kind>:<limit>` | a counter; its kind is `r`, `p`, `c` or `h` |
//! | `tn:{<tenant>}:q:<holder>:<kind>:<limit>:ends` | when each lease or reservation of a counter ends |
//! | `tn:{<tenant>}:o:<operation>` | an operation that is remembered |
//! | `tn:{<tenant>}:e` | the epoch of a tenant's data: the moment of the first write, or of the last flush, in microseconds |
//! | `tn:{<tenant>}:d:<epoch>:<key>` | data of the application |
//! | `tn:{<tenant>}:l:<lock>` | a lock of the application, and its last fencing number |
//! | `tn:{<tenant>}:p:<channel>` | a channel of the application |
//! | `tn:{<tenant>}:s:<digest>` | a session of a browser at a tenant, by the SHA-256 of its id |
//! | `tn:{s<part of digest>}:s:<digest>` | a session of a browser at the service |
//! | `tn:{c<part of digest>}:c:<digest>` | an answer of a directory, by the digest of the question; of short life |
//! | `tn:{-}:n` | the channel on which engines tell each other that something has changed |
//!
//! A counter that belongs to no tenant has `-` and a number for the tenant, by its holder: `tn:{-17}:q:…`. So callers without a
//! tenant and their addresses are spread over the slots of a cluster. The tenant is the hash tag, so that all of a tenant's keys are in one
//! slot of a cluster, and one script can change several.

use std::fmt::Display;

use tenancy_core::TenantId;

/// Where an answer to a question of this digest is. They are spread over the slots of a cluster.
pub(crate) fn answer(digest: &str) -> String {
    let part = digest.get(..4).unwrap_or_default();
    format!("{ALL}c{part}}}:c:{digest}")
}

/// Where a session of this digest is. They are spread over the slots of a cluster.
#[cfg(any(feature = "actix-session", feature = "tower-sessions"))]
pub(crate) fn session(digest: &str) -> String {
    let part = digest.get(..4).unwrap_or_default();
    format!("{ALL}s{part}}}:s:{digest}")
}

/// The channel of news.
pub(crate) const NEWS: &str = "tn:{-}:n";

/// The start of every name.
pub(crate) const ALL: &str = "tn:{";

/// The start of all names of a tenant.
pub(crate) fn of_tenant(tenant: TenantId, area: impl Display) -> String {
    format!("{ALL}{tenant}}}:{area}:")
}

/// The start of those names of nobody that have this number.
pub(crate) fn of_nobody(number: u8, area: impl Display) -> String {
    format!("{ALL}-{number}}}:{area}:")
}

/// The start of everything that a tenant has.
pub(crate) fn all_of(tenant: TenantId) -> String {
    format!("{ALL}{tenant}}}:")
}

/// Where the epoch of a tenant's data is.
pub(crate) fn epoch_of(tenant: TenantId) -> String {
    format!("{ALL}{tenant}}}:e")
}

#[cfg(test)]
mod tests {
    use super::{of_nobody, of_tenant};
    use tenancy_core::TenantId;

    #[test]
    fn the_hash_tag_is_the_tenant() {
        let tenant = TenantId::new();
        assert_eq!(of_tenant(tenant, 'q'), format!("tn:{{{tenant}}}:q:"));
        assert_eq!(of_nobody(17, 'q'), "tn:{-17}:q:");
    }
}
