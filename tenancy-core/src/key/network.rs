//! Networks: from where a key may be used.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::network::canonical;

/// The networks from which a key may be used; empty for any.
///
/// An IPv4 network is the same as its IPv4-mapped IPv6 form, `::ffff:192.0.2.0/120`
/// (RFC 4291 §2.5.5.2), and so are addresses.
///
/// ```
/// use tenancy_core::key::KeyNetworks;
///
/// let office: KeyNetworks = ["192.0.2.0/24".parse()?, "2001:db8::/32".parse()?]
///     .into_iter()
///     .collect();
/// assert!(office.admit(Some("192.0.2.7".parse()?)));
/// assert!(office.admit(Some("::ffff:192.0.2.7".parse()?)));
/// assert!(!office.admit(Some("198.51.100.1".parse()?)));
/// assert!(!office.admit(None), "an unknown address is in no network");
/// assert!(KeyNetworks::default().admit(None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyNetworks(Vec<IpNet>);

impl KeyNetworks {
    /// How many networks a key may list.
    pub const MAX: usize = 64;

    /// Whether any address is admitted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The networks, without host bits and in IPv4 form where they have one.
    #[must_use]
    pub fn as_slice(&self) -> &[IpNet] {
        &self.0
    }

    /// Whether a caller with this address may use the key.
    ///
    /// # Security
    /// The address has to be the caller's: behind a proxy it is known only if the proxy is listed
    /// in [`TrustedProxies`](crate::TrustedProxies).
    #[must_use]
    pub fn admit(&self, ip: Option<IpAddr>) -> bool {
        self.0.is_empty()
            || ip.is_some_and(|ip| {
                let ip = ip.to_canonical();
                self.0.iter().any(|network| network.contains(&ip))
            })
    }
}

impl FromIterator<IpNet> for KeyNetworks {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        Self(networks.into_iter().map(canonical).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(list: &[&str]) -> KeyNetworks {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// Unkey's list is a map of strings, in which `10.0.0.0/8` matches no address.
    #[test]
    fn a_cidr_entry_admits_its_whole_network_and_nothing_beside() {
        let list = networks(&["10.0.0.0/8", "2001:db8::/32", "192.0.2.1/32"]);
        for (ip, admitted) in [
            ("10.0.0.0", true),
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("9.255.255.255", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::1", false),
            ("192.0.2.1", true),
            ("192.0.2.2", false),
        ] {
            assert_eq!(list.admit(Some(ip.parse().unwrap())), admitted, "{ip}");
        }
    }

    #[test]
    fn ipv4_mapped_ipv6_is_ipv4_in_lists_and_addresses() {
        let ips = ["10.1.2.3", "::ffff:10.1.2.3", "::ffff:a01:203"];
        for list in ["10.0.0.0/8", "::ffff:10.0.0.0/104", "::ffff:10.9.9.9/104"] {
            let list = networks(&[list]);
            for ip in ips {
                assert!(list.admit(Some(ip.parse().unwrap())), "{list:?} {ip}");
            }
            assert!(!list.admit(Some("::ffff:11.0.0.1".parse().unwrap())));
            assert_eq!(list, networks(&["10.0.0.0/8"]), "one form");
        }
    }

    #[test]
    fn a_missing_client_ip_with_a_list_is_refused() {
        assert!(!networks(&["0.0.0.0/0", "::/0"]).admit(None));
        assert!(networks(&[]).admit(None));
    }

    #[test]
    fn host_bits_do_not_matter() {
        assert_eq!(networks(&["10.1.2.3/8"]), networks(&["10.0.0.0/8"]));
    }
}
