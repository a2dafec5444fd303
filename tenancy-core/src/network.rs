//! Networks: the one form in which addresses are compared with them, and how callers are told apart before they have
//! shown a credential.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

/// The IPv4 form of a network of mapped addresses (RFC 4291 §2.5.5.2), without host bits.
pub(crate) fn canonical(network: IpNet) -> IpNet {
    match network {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => (v6.addr().to_ipv4_mapped())
            .and_then(|v4| Ipv4Net::new(v4, v6.prefix_len() - 96).ok())
            .map_or(network, IpNet::V4)
            .trunc(),
        network => network.trunc(),
    }
}

/// A caller's network: an IPv4 address, or an IPv6 /64, the smallest block one customer is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    Unknown,
    V4([u8; 4]),
    V6([u8; 8]),
}

impl From<Option<IpAddr>> for Source {
    fn from(ip: Option<IpAddr>) -> Self {
        match ip.map(|ip| ip.to_canonical()) {
            None => Self::Unknown,
            Some(IpAddr::V4(ip)) => Self::V4(ip.octets()),
            Some(IpAddr::V6(ip)) => {
                let [a, b, c, d, e, f, g, h, ..] = ip.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}
