//! Which proxies are believed about the host and the caller's address.

use std::{borrow::Cow, net::IpAddr};

use ipnet::IpNet;

use crate::{
    request::{Field, RequestView},
    tenant::normalize_domain,
};

/// The reverse proxies in front of the service, by address.
///
/// Only a request whose peer is listed here may speak through `X-Forwarded-Host` and
/// `X-Forwarded-For`; from anybody else these fields are ignored. The default trusts nobody.
///
/// # Security
/// Each listed proxy must *set* (not append to or pass through) `X-Forwarded-Host`; a listed proxy
/// that passes a client's field on lets the client choose the host. `X-Forwarded-For` must reach the
/// service as one field: if it is repeated, the proxy's own address is taken for the caller's.
///
/// ```
/// use tenancy_core::TrustedProxies;
///
/// let proxies: TrustedProxies = ["10.0.0.0/8".parse()?, "2001:db8::/32".parse()?]
///     .into_iter()
///     .collect();
/// assert!(proxies.trusts("::ffff:10.1.2.3".parse()?));
/// assert!(!proxies.trusts("192.0.2.1".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
}

impl FromIterator<IpNet> for TrustedProxies {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        Self {
            networks: networks.into_iter().collect(),
        }
    }
}

/// The host a request was sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host<'a> {
    /// None was named.
    Absent,
    /// A domain name in the form of [`crate::DomainName`].
    Domain(Cow<'a, str>),
    /// An IP address, or a single label such as `localhost`: never a tenant's.
    Local,
}

/// A host that can't be made out: repeated, contradicting or malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HostFault(pub(crate) &'static str);

impl TrustedProxies {
    /// Whether a peer with this address is one of the proxies.
    #[must_use]
    pub fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.networks.iter().any(|network| network.contains(&peer))
    }

    /// The caller's address: the peer, or the last address that a trusted proxy did not add.
    #[must_use]
    pub fn client_ip(&self, request: &dyn RequestView) -> Option<IpAddr> {
        let peer = request.peer()?.to_canonical();
        if self.networks.is_empty() || !self.trusts(peer) {
            return Some(peer);
        }
        let Field::One(chain) = request.header("x-forwarded-for") else {
            return Some(peer);
        };
        let mut nearest = peer;
        for hop in chain.rsplit(',') {
            let Ok(address) = hop.trim().parse::<IpAddr>() else {
                return Some(nearest);
            };
            nearest = address.to_canonical();
            if !self.trusts(nearest) {
                break;
            }
        }
        Some(nearest)
    }

    /// The host the request was sent to.
    pub(crate) fn host<'a>(&self, request: &'a dyn RequestView) -> Result<Host<'a>, HostFault> {
        let forwarded =
            !self.networks.is_empty() && request.peer().is_some_and(|peer| self.trusts(peer));
        if forwarded {
            match request.header("x-forwarded-host") {
                Field::Absent => {}
                Field::One(host) => return read_host(host),
                Field::Repeated => return Err(HostFault("forwarded-host-repeated")),
                Field::NotText => return Err(HostFault("forwarded-host-not-text")),
            }
        }
        let target = request.authority();
        match (request.header("host"), target) {
            (Field::Absent, None) => Ok(Host::Absent),
            (Field::Absent, Some(host)) => read_host(host),
            (Field::One(host), None) => read_host(host),
            (Field::One(field), Some(target)) => {
                let (field, target) = (read_host(field)?, read_host(target)?);
                if field == target {
                    Ok(target)
                } else {
                    Err(HostFault("host-contradicts-target"))
                }
            }
            (Field::Repeated, _) => Err(HostFault("host-repeated")),
            (Field::NotText, _) => Err(HostFault("host-not-text")),
        }
    }
}

/// Reads `host[:port]`.
fn read_host(text: &str) -> Result<Host<'_>, HostFault> {
    const FAULT: HostFault = HostFault("host-malformed");
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or(FAULT)?;
        let port_ok = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return match address.parse::<std::net::Ipv6Addr>() {
            Ok(_) if port_ok => Ok(Host::Local),
            _ => Err(FAULT),
        };
    }
    let name = match text.split_once(':') {
        Some((name, port)) if is_port(port) => name,
        Some(_) => return Err(FAULT),
        None => text,
    };
    if let Some(domain) = normalize_domain(name) {
        return Ok(Host::Domain(domain));
    }
    let single_label = !name.is_empty()
        && name.len() <= 63
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if single_label || name.parse::<std::net::Ipv4Addr>().is_ok() {
        Ok(Host::Local)
    } else {
        Err(FAULT)
    }
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.len() <= 5 && text.parse::<u16>().is_ok() && !text.starts_with('+')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeRequest;
    use proptest::prelude::*;

    fn domain(name: &str) -> Result<Host<'_>, HostFault> {
        Ok(Host::Domain(name.into()))
    }

    fn proxies() -> TrustedProxies {
        [IpNet::from(IpAddr::from([10, 0, 0, 1]))]
            .into_iter()
            .collect()
    }

    #[test]
    fn a_host_is_read_in_one_form() {
        for (text, want) in [
            ("acme.example.com", domain("acme.example.com")),
            ("ACME.Example.com:8080", domain("acme.example.com")),
            ("acme.example.com.", domain("acme.example.com")),
            ("localhost:3000", Ok(Host::Local)),
            ("127.0.0.1:3000", Ok(Host::Local)),
            ("[::1]:3000", Ok(Host::Local)),
        ] {
            assert_eq!(read_host(text), want, "{text}");
        }
        for text in [
            "",
            ":80",
            "a.example:",
            "a.example:x",
            "a.example:99999",
            "a@b.example",
            "[::1",
            "[x]",
            "a.example:80:80",
            "a b.example",
            "a.example/x",
            "[::1]x",
        ] {
            assert!(read_host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_forwarded_host_counts_only_from_a_trusted_peer() {
        let request = FakeRequest::new("/")
            .header("host", "inner.example.com")
            .header("x-forwarded-host", "acme.example.com");
        let from = |ip: [u8; 4]| request.clone().peer(IpAddr::from(ip));
        assert_eq!(
            proxies().host(&from([10, 0, 0, 1])),
            domain("acme.example.com")
        );
        assert_eq!(
            proxies().host(&from([10, 0, 0, 2])),
            domain("inner.example.com")
        );
        assert_eq!(proxies().host(&request), domain("inner.example.com"));
        let nobody = TrustedProxies::default();
        assert_eq!(
            nobody.host(&from([10, 0, 0, 1])),
            domain("inner.example.com")
        );
    }

    #[test]
    fn two_hosts_are_none() {
        let twice = FakeRequest::new("/")
            .header("host", "a.example")
            .header("host", "b.example");
        assert!(TrustedProxies::default().host(&twice).is_err());
        let differs = FakeRequest::new("/")
            .header("host", "a.example")
            .authority("b.example");
        assert!(TrustedProxies::default().host(&differs).is_err());
        let list = FakeRequest::new("/")
            .peer(IpAddr::from([10, 0, 0, 1]))
            .header("x-forwarded-host", "a.example, b.example");
        assert!(proxies().host(&list).is_err());
    }

    #[test]
    fn the_client_is_the_last_address_no_trusted_proxy_added() {
        let request = |chain: &str| {
            FakeRequest::new("/")
                .peer(IpAddr::from([10, 0, 0, 1]))
                .header("x-forwarded-for", chain)
        };
        for (chain, want) in [
            ("192.0.2.7", "192.0.2.7"),
            ("198.51.100.1, 192.0.2.7", "192.0.2.7"),
            ("192.0.2.7, 10.0.0.1", "192.0.2.7"),
            ("junk", "10.0.0.1"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
        ] {
            let client = proxies().client_ip(&request(chain));
            assert_eq!(client, Some(want.parse().unwrap()), "{chain}");
        }
        let untrusted = request("192.0.2.7").peer(IpAddr::from([192, 0, 2, 99]));
        assert_eq!(
            proxies().client_ip(&untrusted),
            Some(IpAddr::from([192, 0, 2, 99]))
        );
    }

    proptest! {
        #[test]
        fn any_host_is_read_without_panic(text in "\\PC{0,80}") {
            if let Ok(Host::Domain(name)) = read_host(&text) {
                prop_assert_eq!(read_host(&name), Ok(Host::Domain(name.clone())));
            }
        }
    }
}
