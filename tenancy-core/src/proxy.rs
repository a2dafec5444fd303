//! Which proxies are believed about the host and the caller's address.

use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
};

use ipnet::IpNet;

use crate::{
    network::canonical,
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
/// that passes a client's field on lets the client choose the host. It must *append* to
/// `X-Forwarded-For` the address that it was called from, as one more item or one more line.
///
/// Items are read from the last one backwards, over all lines, as `192.0.2.7`, `192.0.2.7:4711`,
/// `2001:db8::7` or `[2001:db8::7]:4711`. If one of them can't be read before the caller's is found,
/// nobody knows the caller's address: it is none, and a list of addresses, such as that of an
/// [API key](crate::key::KeyNetworks), refuses the caller.
///
/// A network of IPv4-mapped IPv6 addresses, such as `::ffff:10.0.0.0/104`, is the IPv4 network.
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
            networks: networks.into_iter().map(canonical).collect(),
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
    /// An IP address, or a single label such as `localhost`: never a tenant's. In one form:
    /// lower case, IPv6 in brackets and shortened (RFC 5952).
    Local(Cow<'a, str>),
}

impl Host<'_> {
    /// Whether browsers lead it to the machine that they run on, and so take it for as safe as `https`: `localhost`,
    /// what is below it, and addresses of the loopback network (W3C Secure Contexts §3.1).
    pub(crate) fn is_loopback(&self) -> bool {
        match self {
            Self::Local(name) => {
                let address = name.trim_start_matches('[').trim_end_matches(']');
                let address = address.parse::<IpAddr>();
                &**name == "localhost"
                    || address.is_ok_and(|address| address.to_canonical().is_loopback())
            }
            Self::Domain(name) => name.ends_with(".localhost"),
            Self::Absent => false,
        }
    }
}

/// Where a request was sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    pub(crate) host: Host<'a>,
    /// As written; the default port of the scheme goes unsaid.
    pub(crate) port: Option<u16>,
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

    pub(crate) fn are_none(&self) -> bool {
        self.networks.is_empty()
    }

    /// Whether this request comes from one of the proxies.
    pub(crate) fn sent(&self, request: &dyn RequestView) -> bool {
        !self.are_none() && request.peer().is_some_and(|peer| self.trusts(peer))
    }

    /// The caller's address: the peer, or the last address that a trusted proxy did not add; `None`
    /// if a trusted proxy says something that can't be read.
    #[must_use]
    pub fn client_ip(&self, request: &dyn RequestView) -> Option<IpAddr> {
        let peer = request.peer()?.to_canonical();
        if self.networks.is_empty() || !self.trusts(peer) {
            return Some(peer);
        }
        match request.header("x-forwarded-for") {
            Field::Absent => Some(peer),
            Field::One(chain) => self.last_stranger(chain.rsplit(',').map(Some), peer),
            Field::NotText => None,
            Field::Repeated => {
                let lines = request.lines("x-forwarded-for").into_iter().rev();
                let items = lines.flat_map(|line| line.rsplit(|byte| *byte == b','));
                self.last_stranger(items.map(|item| std::str::from_utf8(item).ok()), peer)
            }
        }
    }

    /// The first address that is no proxy's, going away from the service; the farthest proxy if all
    /// are.
    fn last_stranger<'a>(
        &self,
        hops: impl Iterator<Item = Option<&'a str>>,
        peer: IpAddr,
    ) -> Option<IpAddr> {
        let mut nearest = peer;
        for hop in hops {
            nearest = read_address(hop?.trim())?.to_canonical();
            if !self.trusts(nearest) {
                break;
            }
        }
        Some(nearest)
    }

    /// The host the request was sent to.
    pub(crate) fn host<'a>(&self, request: &'a dyn RequestView) -> Result<Host<'a>, HostFault> {
        self.target(request).map(|target| target.host)
    }

    /// The host and port the request was sent to.
    pub(crate) fn target<'a>(&self, request: &'a dyn RequestView) -> Result<Target<'a>, HostFault> {
        if self.sent(request) {
            match request.header("x-forwarded-host") {
                Field::Absent => {}
                Field::One(host) => return read_target(host),
                Field::Repeated => return Err(HostFault("forwarded-host-repeated")),
                Field::NotText => return Err(HostFault("forwarded-host-not-text")),
            }
        }
        let target = request.authority();
        match (request.header("host"), target) {
            (Field::Absent, None) => Ok(Target {
                host: Host::Absent,
                port: None,
            }),
            (Field::Absent, Some(host)) => read_target(host),
            (Field::One(host), None) => read_target(host),
            (Field::One(field), Some(target)) => {
                let (field, target) = (read_target(field)?, read_target(target)?);
                if field.host == target.host {
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

/// Reads an address with or without a port.
fn read_address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(with_port)
}

/// Reads `host[:port]`.
pub(crate) fn read_target(text: &str) -> Result<Target<'_>, HostFault> {
    const FAULT: HostFault = HostFault("host-malformed");
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or(FAULT)?;
        let port = match port.strip_prefix(':') {
            Some(port) => Some(read_port(port).ok_or(FAULT)?),
            None if port.is_empty() => None,
            None => return Err(FAULT),
        };
        let address: std::net::Ipv6Addr = address.parse().map_err(|_| FAULT)?;
        let host = Host::Local(format!("[{address}]").into());
        return Ok(Target { host, port });
    }
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, Some(read_port(port).ok_or(FAULT)?)),
        None => (text, None),
    };
    if let Some(domain) = normalize_domain(name) {
        let host = Host::Domain(domain);
        return Ok(Target { host, port });
    }
    let single_label = !name.is_empty()
        && name.len() <= 63
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !single_label && name.parse::<std::net::Ipv4Addr>().is_err() {
        return Err(FAULT);
    }
    let host = Host::Local(if name.bytes().any(|b| b.is_ascii_uppercase()) {
        name.to_ascii_lowercase().into()
    } else {
        name.into()
    });
    Ok(Target { host, port })
}

fn read_port(text: &str) -> Option<u16> {
    let plain = (1..=5).contains(&text.len()) && !text.starts_with('+');
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeRequest;
    use proptest::prelude::*;

    fn read_host(text: &str) -> Result<Host<'_>, HostFault> {
        read_target(text).map(|target| target.host)
    }

    fn local(name: &str) -> Result<Host<'_>, HostFault> {
        Ok(Host::Local(name.into()))
    }

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
            ("LocalHost:3000", local("localhost")),
            ("127.0.0.1:3000", local("127.0.0.1")),
            ("[0:0::1]:3000", local("[::1]")),
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
    fn a_port_is_kept_as_written() {
        for (text, want) in [
            ("a.example", None),
            ("a.example:443", Some(443)),
            ("localhost:65535", Some(65535)),
            ("[::1]", None),
            ("[::1]:8080", Some(8080)),
        ] {
            assert_eq!(read_target(text).unwrap().port, want, "{text}");
        }
        for text in ["a.example:65536", "a.example:+80", "a.example:000080"] {
            assert!(read_target(text).is_err(), "{text}");
        }
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
        let bare = FakeRequest::new("/")
            .header("host", "localhost")
            .authority("127.0.0.1");
        assert!(TrustedProxies::default().host(&bare).is_err());
        let list = FakeRequest::new("/")
            .peer(IpAddr::from([10, 0, 0, 1]))
            .header("x-forwarded-host", "a.example, b.example");
        assert!(proxies().host(&list).is_err());
    }

    fn forwarded(lines: &[&[u8]]) -> FakeRequest {
        let request = FakeRequest::new("/").peer(IpAddr::from([10, 0, 0, 1]));
        let add = |request: FakeRequest, line: &&[u8]| request.header("x-forwarded-for", line);
        lines.iter().fold(request, add)
    }

    #[test]
    fn the_client_is_the_last_address_no_trusted_proxy_added() {
        for (chain, want) in [
            ("192.0.2.7", "192.0.2.7"),
            ("198.51.100.1, 192.0.2.7", "192.0.2.7"),
            ("192.0.2.7, 10.0.0.1", "192.0.2.7"),
            ("junk, 192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("192.0.2.7:4711, 10.0.0.1:80", "192.0.2.7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("2001:db8::7", "2001:db8::7"),
            ("10.0.0.1", "10.0.0.1"),
        ] {
            let client = proxies().client_ip(&forwarded(&[chain.as_bytes()]));
            assert_eq!(client, Some(want.parse().unwrap()), "{chain}");
        }
        let untrusted = forwarded(&[b"192.0.2.7"]).peer(IpAddr::from([192, 0, 2, 99]));
        assert_eq!(
            proxies().client_ip(&untrusted),
            Some(IpAddr::from([192, 0, 2, 99]))
        );
        let direct = forwarded(&[]);
        assert_eq!(proxies().client_ip(&direct), RequestView::peer(&direct));
    }

    /// M10.
    #[test]
    fn several_lines_of_addresses_are_one_list() {
        for (lines, want) in [
            (&[&b"192.0.2.7"[..], b"198.51.100.1"][..], "198.51.100.1"),
            (&[b"198.51.100.1", b"192.0.2.7, 10.0.0.1"], "192.0.2.7"),
            (&[b"198.51.100.1, 192.0.2.7", b"10.0.0.1"], "192.0.2.7"),
            (&[b"caf\xe9", b"192.0.2.7"], "192.0.2.7"),
        ] {
            let client = proxies().client_ip(&forwarded(lines));
            assert_eq!(client, Some(want.parse().unwrap()), "{lines:?}");
        }
    }

    /// M10: the proxy's own address would be taken for the caller's, and a key for the proxy's network
    /// would admit anybody.
    #[test]
    fn an_address_that_can_not_be_read_is_nobodys() {
        for lines in [
            &[&b"junk"[..]][..],
            &[b""],
            &[b"192.0.2.7,"],
            &[b"192.0.2.7, unknown"],
            &[b"192.0.2.7, junk, 10.0.0.1"],
            &[b"192.0.2.7:port"],
            &[b"[2001:db8::7]"],
            &[b"caf\xe9"],
            &[b"192.0.2.7", b"junk"],
            &[b"192.0.2.7", b"caf\xe9"],
            &[b"192.0.2.7", b""],
        ] {
            assert_eq!(proxies().client_ip(&forwarded(lines)), None, "{lines:?}");
        }
    }

    /// M18.
    #[test]
    fn a_network_of_mapped_addresses_is_the_ipv4_network() {
        let proxies = |network: &str| -> TrustedProxies {
            [network.parse::<IpNet>().unwrap()].into_iter().collect()
        };
        let mapped = proxies("::ffff:10.0.0.0/104");
        assert_eq!(mapped, proxies("10.0.0.0/8"));
        for peer in ["10.1.2.3", "::ffff:10.1.2.3"] {
            assert!(mapped.trusts(peer.parse().unwrap()), "{peer}");
        }
        assert!(!mapped.trusts("11.0.0.1".parse().unwrap()));
        assert_eq!(proxies("10.9.9.9/8"), proxies("10.0.0.0/8"));
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
