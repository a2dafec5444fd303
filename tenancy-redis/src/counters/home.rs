//! Where counters are together: in one slot of a cluster, so that one script reaches all of them.

use std::fmt::Write as _;

use tenancy_core::{TenantId, quota::Holder};

use crate::layout;

/// A tenant's slot, or one of those for holders that belong to none. Tenants come first in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Home {
    Tenant(TenantId),
    /// By its holder: addresses come in any number, and one slot for all of them would be one master's work.
    Nobody(u8),
}

impl Home {
    pub(super) fn of(holder: &Holder) -> Self {
        match holder.home() {
            Some(tenant) => Self::Tenant(tenant),
            None => Self::Nobody(number_of(holder)),
        }
    }

    /// The start of the names that are in it.
    pub(super) fn start(self, area: char) -> String {
        match self {
            Self::Tenant(tenant) => layout::of_tenant(tenant, area),
            Self::Nobody(number) => layout::of_nobody(number, area),
        }
    }
}

/// The same in every process and every release: FNV-1a of what the holder is called, folded to a byte.
fn number_of(holder: &Holder) -> u8 {
    struct Folded(u32);

    impl std::fmt::Write for Folded {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            for byte in text.bytes() {
                self.0 = (self.0 ^ u32::from(byte)).wrapping_mul(0x0100_0193);
            }
            Ok(())
        }
    }

    let mut folded = Folded(0x811c_9dc5);
    // It takes whatever is written.
    let _ = write!(folded, "{holder}");
    folded
        .0
        .to_be_bytes()
        .into_iter()
        .fold(0, |all, byte| all ^ byte)
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, net::Ipv4Addr};

    use super::*;

    #[test]
    fn a_tenants_holders_are_together_and_addresses_are_spread() {
        let tenant = TenantId::new();
        assert_eq!(Home::of(&Holder::tenant(tenant)), Home::Tenant(tenant));
        let system = Home::of(&Holder::system());
        assert_eq!(system.start('q'), "tn:{-188}:q:");
        let mut of_each: HashMap<Home, usize> = HashMap::new();
        for number in 0..10_000_u32 {
            let ip = Ipv4Addr::from(0xc000_0000 + number);
            let holder = Holder::caller(None, None, Some(ip.into()));
            *of_each.entry(Home::of(&holder)).or_default() += 1;
        }
        assert_eq!(of_each.len(), 256);
        // 39 of each on average.
        assert!(of_each.values().all(|count| *count < 120), "{of_each:?}");
    }
}
