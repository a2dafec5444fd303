//! What a tenant can be looked up by: id, slug, custom domain, external id.

use std::{
    borrow::Cow,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{TenantId, id::parse_uuid};

/// A tenant's short name, as it stands in a subdomain or a path.
///
/// One DNS label (RFC 1035 §2.3.1): 1 to 63 of `a-z`, `0-9` and `-`, no hyphen at either end.
/// A text in the form of a UUID is refused, because a header that takes ids and slugs must be
/// able to tell them apart, and so is a label that starts with `xn--`.
///
/// ```
/// use tenancy_core::Slug;
///
/// let slug: Slug = "acme-ltd".parse()?;
/// assert_eq!(slug.as_str(), "acme-ltd");
/// assert!("Acme Ltd".parse::<Slug>().is_err());
/// assert!("6f1ab7c4-0c0a-4f5c-8d0e-0e6a2f1b3c4d".parse::<Slug>().is_err(), "an id is no slug");
/// # Ok::<(), tenancy_core::InvalidSlug>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slug(Box<str>);

/// A text that is not a [`Slug`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a slug; use 1 to 63 lowercase letters, digits and hyphens, \
     no hyphen at either end, not starting with `xn--`, not a UUID"
)]
pub struct InvalidSlug(String);

impl Slug {
    /// How long a slug rests that a tenant has let go of: 90 days. Until then no other tenant may take it.
    pub const REST: Duration = Duration::from_secs(90 * 24 * 60 * 60);

    /// How many slugs of one tenant may rest at a time: 10. So nobody reserves names by taking one after the other.
    pub const MAX_RESTING: usize = 10;

    /// Whether `text` is a slug as it stands.
    pub(crate) fn is_valid(text: &str) -> bool {
        let bytes = text.as_bytes();
        let label = (1..=63).contains(&bytes.len())
            && bytes
                .iter()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && !text.starts_with('-')
            && !text.ends_with('-')
            && !text.starts_with("xn--");
        label && uuid::Uuid::try_parse(text).is_err()
    }

    /// The slug as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Slug {
    type Err = InvalidSlug;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if Self::is_valid(text) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidSlug(text.chars().take(64).collect()))
        }
    }
}

impl TryFrom<String> for Slug {
    type Error = InvalidSlug;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Slug> for String {
    fn from(slug: Slug) -> Self {
        slug.0.into()
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A tenant's own domain, in lower-case ASCII form without port or trailing dot.
///
/// International names are kept in their `xn--` form (UTS #46, strict ASCII rules).
///
/// ```
/// use tenancy_core::DomainName;
///
/// let domain: DomainName = "Notes.Acme.Example.".parse()?;
/// assert_eq!(domain.as_str(), "notes.acme.example");
/// assert!("localhost".parse::<DomainName>().is_err());
/// # Ok::<(), tenancy_core::InvalidDomain>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DomainName(Box<str>);

/// A text that is not a [`DomainName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a domain name; expected at least two labels, such as `app.example.com`")]
pub struct InvalidDomain(String);

impl DomainName {
    /// The domain as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Brings a host name into the one form in which domains are compared, or refuses it.
pub(crate) fn normalize_domain(host: &str) -> Option<Cow<'_, str>> {
    let host = host.strip_suffix('.').unwrap_or(host);
    if is_simple_domain(host.as_bytes()) || is_plain_domain(host) {
        return Some(Cow::Borrowed(host));
    }
    // Upper case, international names, and what is no domain at all.
    let name = idna::domain_to_ascii_strict(host).ok()?;
    is_domain(&name).then_some(Cow::Owned(name))
}

/// Whether it is [`is_plain_domain`] and has no two hyphens in a row, as nearly all are. In one pass,
/// because it is done for each request.
fn is_simple_domain(host: &[u8]) -> bool {
    const LONGEST_LABEL: usize = 63;
    let (mut labels, mut length, mut is_number, mut before) = (1, 0, true, b'.');
    for &byte in host {
        length += 1;
        match byte {
            b'a'..=b'z' => is_number = false,
            b'0'..=b'9' => {}
            b'-' if before != b'.' && before != b'-' => is_number = false,
            b'.' if before != b'.' && before != b'-' && length <= LONGEST_LABEL + 1 => {
                (labels, length, is_number) = (labels + 1, 0, true);
            }
            _ => return false,
        }
        before = byte;
    }
    let complete = before != b'.' && before != b'-' && length <= LONGEST_LABEL;
    complete && labels >= 2 && !is_number && host.len() <= 253
}

/// A domain that is in its form already and has no `xn--` label that would have to be checked.
fn is_plain_domain(host: &str) -> bool {
    is_domain(host) && !host.split('.').any(|label| label.starts_with("xn--"))
}

/// At least two labels of lower-case letters, digits and inner hyphens, the last not a number: that
/// would be an IPv4 address in the making (WHATWG URL, "ends in a number").
fn is_domain(name: &str) -> bool {
    let (mut labels, mut last_is_number) = (0, true);
    for label in name.split('.') {
        let bytes = label.as_bytes();
        let plain = (1..=63).contains(&bytes.len())
            && bytes.first() != Some(&b'-')
            && bytes.last() != Some(&b'-')
            && bytes
                .iter()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if !plain {
            return false;
        }
        labels += 1;
        last_is_number = bytes.iter().all(u8::is_ascii_digit);
    }
    name.len() <= 253 && labels >= 2 && !last_is_number
}

impl FromStr for DomainName {
    type Err = InvalidDomain;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        normalize_domain(text)
            .map(|name| Self(name.into()))
            .ok_or_else(|| InvalidDomain(text.chars().take(64).collect()))
    }
}

impl TryFrom<String> for DomainName {
    type Error = InvalidDomain;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<DomainName> for String {
    fn from(name: DomainName) -> Self {
        name.0.into()
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A handle by which a directory finds a tenant.
///
/// ```
/// use tenancy_core::{TenantId, TenantKey};
///
/// let id = TenantId::new();
/// assert_eq!(TenantKey::id_or_slug(&id.to_string())?, TenantKey::Id(id));
/// assert_eq!(TenantKey::id_or_slug("acme")?, TenantKey::Slug("acme".parse()?));
/// let installation = TenantKey::External { provider: "github".into(), id: "4711".into() };
/// # drop(installation);
/// # Ok::<(), tenancy_core::InvalidSlug>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TenantKey {
    /// The tenant's id.
    Id(TenantId),
    /// The tenant's slug.
    Slug(Slug),
    /// A custom domain that the directory has bound to the tenant.
    Domain(DomainName),
    /// The id under which another system knows the tenant, such as an installation id.
    External {
        /// The other system, such as `github`.
        provider: Box<str>,
        /// The tenant's id there.
        id: Box<str>,
    },
}

impl TenantKey {
    /// Reads an id or, where the text is none, a slug.
    ///
    /// # Errors
    /// [`InvalidSlug`] if the text is neither.
    pub fn id_or_slug(text: &str) -> Result<Self, InvalidSlug> {
        match parse_uuid(text) {
            Some(id) => Ok(Self::Id(TenantId::from_uuid(id))),
            None => text.parse().map(Self::Slug),
        }
    }
}

/// Written out so that a key that still borrows from a request hashes alike.
impl Hash for TenantKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Id(id) => {
                state.write_u8(0);
                id.hash(state);
            }
            Self::Slug(slug) => Self::hash_text(1, &slug.0, state),
            Self::Domain(domain) => Self::hash_text(2, &domain.0, state),
            Self::External { provider, id } => {
                Self::hash_text(3, provider, state);
                id.hash(state);
            }
        }
    }
}

impl TenantKey {
    /// Whether it names this tenant; `None` if the record does not tell, as with domains and other systems' ids.
    pub(crate) fn names(&self, tenant: &super::TenantRecord) -> Option<bool> {
        match self {
            Self::Id(id) => Some(*id == tenant.id),
            Self::Slug(slug) => Some(*slug == tenant.slug),
            Self::Domain(_) | Self::External { .. } => None,
        }
    }

    /// The bytes that it has on the heap.
    pub(crate) fn heap(&self) -> usize {
        match self {
            Self::Id(_) => 0,
            Self::Slug(slug) => slug.0.len(),
            Self::Domain(domain) => domain.0.len(),
            Self::External { provider, id } => provider.len() + id.len(),
        }
    }

    /// Hashes a key of the kind `tag` that consists of one text.
    pub(crate) fn hash_text<H: Hasher>(tag: u8, text: &str, state: &mut H) {
        state.write_u8(tag);
        text.hash(state);
    }
}

impl fmt::Display for TenantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "id:{id}"),
            Self::Slug(slug) => write!(f, "slug:{slug}"),
            Self::Domain(domain) => write!(f, "domain:{domain}"),
            Self::External { provider, id } => write!(f, "{provider}:{id}"),
        }
    }
}

impl From<TenantId> for TenantKey {
    fn from(id: TenantId) -> Self {
        Self::Id(id)
    }
}

impl From<Slug> for TenantKey {
    fn from(slug: Slug) -> Self {
        Self::Slug(slug)
    }
}

impl From<DomainName> for TenantKey {
    fn from(domain: DomainName) -> Self {
        Self::Domain(domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn slugs_are_dns_labels_and_nothing_else() {
        for good in ["a", "acme", "acme-2", "0x", &"a".repeat(63)] {
            assert!(good.parse::<Slug>().is_ok(), "{good}");
        }
        let id = TenantId::new();
        for bad in [
            "",
            "-a",
            "a-",
            "Acme",
            "a.b",
            "a_b",
            "xn--mnchen-3ya",
            "ä",
            " a",
            "a\n",
            &"a".repeat(64),
            &id.to_string(),
            &id.as_uuid().simple().to_string(),
        ] {
            assert!(bad.parse::<Slug>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn domains_are_compared_in_one_form() {
        let form = |text: &str| text.parse::<DomainName>().map(|d| d.to_string());
        assert_eq!(form("App.Example.COM."), Ok("app.example.com".into()));
        assert_eq!(form("bücher.example"), Ok("xn--bcher-kva.example".into()));
        assert_eq!(
            form("xn--bcher-kva.example"),
            Ok("xn--bcher-kva.example".into())
        );
        for bad in [
            "",
            ".",
            "localhost",
            "a..b",
            "a b.c",
            "-a.b",
            "127.0.0.1",
            "[::1]",
            "a.b:80",
            "a.example.1",
            "a_b.example",
            "xn--a.example",
            "a\0.example",
            "a/b.example",
        ] {
            assert!(bad.parse::<DomainName>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn one_pass_finds_nothing_plain_that_several_would_not(
            labels in prop::collection::vec("[a-z0-9-]{0,5}|[a-z]{62,65}|[0-9]{1,3}|xn--[a-z]{2}|[A-Z_ä]", 0..5),
            longer in 0_usize..6,
        ) {
            let mut labels = labels;
            labels.extend(std::iter::repeat_n("x".repeat(60), longer));
            let host = labels.join(".");
            if is_simple_domain(host.as_bytes()) {
                prop_assert!(is_plain_domain(&host), "{}", host);
            } else {
                prop_assert!(!is_plain_domain(&host) || host.contains("--"), "{}", host);
            }
        }

        #[test]
        fn a_domain_is_a_fixed_point(text in ".{0,40}") {
            if let Ok(domain) = text.parse::<DomainName>() {
                prop_assert_eq!(domain.as_str().parse::<DomainName>().unwrap(), domain);
            }
        }

        #[test]
        fn an_id_is_never_read_as_a_slug(bytes in any::<[u8; 16]>()) {
            let id = uuid::Uuid::from_bytes(bytes).to_string();
            let is_slug = matches!(TenantKey::id_or_slug(&id), Ok(TenantKey::Slug(_)));
            prop_assert!(!is_slug);
        }
    }
}
