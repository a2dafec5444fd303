//! Which addresses may be connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Addresses of the public internet, and what the service has opened besides.
#[derive(Debug, Clone, Default)]
pub(super) struct AddressRule {
    pub(super) opened: Vec<IpNet>,
}

impl AddressRule {
    pub(super) fn admits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        is_public(address) || self.opened.iter().any(|network| network.contains(&address))
    }

    /// Whether every one of at least one address is admitted: a name that stands for a public and a
    /// private address stands for the private one whenever its owner likes.
    pub(super) fn admits_all(&self, mut addresses: impl ExactSizeIterator<Item = IpAddr>) -> bool {
        addresses.len() > 0 && addresses.all(|address| self.admits(address))
    }
}

/// Whether an address is one of the public internet, by the registries of special addresses
/// (RFC 6890) as of 2026.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = match address.octets() {
        // This network, loopback, multicast and everything reserved above it.
        [0 | 127 | 224..=255, ..] => true,
        // Carriers' own (RFC 6598).
        [100, 64..=127, ..] => true,
        // Protocol assignments, 6to4 relays, benchmarks.
        [192, 0, 0, _] | [192, 88, 99, _] | [198, 18..=19, ..] => true,
        _ => false,
    };
    !special && !address.is_private() && !address.is_link_local() && !address.is_documentation()
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // Translated by NAT64 (RFC 6052) and 6to4 (RFC 3056): the IPv4 address inside counts.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        // Protocol assignments, Teredo and ORCHID among them; documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => false,
        // Everything else that is global is here.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(opened: &[&str], address: &str) -> bool {
        let opened = opened
            .iter()
            .map(|network| network.parse().unwrap())
            .collect();
        AddressRule { opened }.admits(address.parse().unwrap())
    }

    #[test]
    fn addresses_inside_the_house_are_refused() {
        for address in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.8.8.8",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a00:1::",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "5f00::1",
        ] {
            assert!(!admits(&[], address), "{address}");
        }
    }

    #[test]
    fn addresses_of_the_internet_are_admitted() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.254",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00:1450::1",
        ] {
            assert!(admits(&[], address), "{address}");
        }
    }

    #[test]
    fn an_opened_network_is_admitted_and_its_neighbour_is_not() {
        let opened = ["10.20.0.0/16", "fd00:1::/64"];
        assert!(admits(&opened, "10.20.3.4"));
        assert!(admits(&opened, "::ffff:10.20.3.4"));
        assert!(admits(&opened, "fd00:1::5"));
        assert!(!admits(&opened, "10.21.0.1"));
        assert!(!admits(&opened, "127.0.0.1"));
    }

    #[test]
    fn a_name_with_one_private_address_is_refused() {
        let rule = AddressRule::default();
        let all = |addresses: &[&str]| {
            let addresses = addresses.iter().map(|address| address.parse().unwrap());
            rule.admits_all(addresses)
        };
        assert!(all(&["8.8.8.8", "2606:4700::1111"]));
        assert!(!all(&["8.8.8.8", "10.0.0.1"]));
        assert!(!all(&[]));
    }
}
