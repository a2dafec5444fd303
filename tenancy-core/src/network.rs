//! Networks in the one form in which addresses are compared with them.

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
