//! Hints as they are found: untrusted text that remembers who said it.

use std::{borrow::Cow, hash::Hash};

use quick_cache::Equivalent;

use super::HintSource;
use crate::{TenantId, TenantKey};

/// A tenant named by a request: untrusted, and it remembers who said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hint<'a> {
    pub(crate) source: HintSource,
    pub(crate) key: KeyRef<'a>,
}

impl Hint<'_> {
    pub(crate) fn into_owned(self) -> Hint<'static> {
        Hint {
            source: self.source,
            key: KeyRef::Owned(self.key.to_key()),
        }
    }
}

/// A hint that can't be read. Refused like an unknown tenant; the reason is audited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HintFault {
    pub(crate) source: HintSource,
    pub(crate) reason: &'static str,
}

/// A [`TenantKey`] that may still borrow from the request, so that a cache hit allocates nothing.
///
/// The texts have been validated where they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyRef<'a> {
    Id(TenantId),
    Slug(Cow<'a, str>),
    Domain(Cow<'a, str>),
    Owned(TenantKey),
}

impl KeyRef<'_> {
    /// The slug, if it is one.
    pub(crate) fn slug(&self) -> Option<&str> {
        match self {
            Self::Slug(slug) => Some(slug),
            Self::Owned(TenantKey::Slug(slug)) => Some(slug.as_str()),
            _ => None,
        }
    }

    /// Whether it is a custom domain, which is a tenant's only if the directory says so.
    pub(crate) fn is_domain(&self) -> bool {
        matches!(self, Self::Domain(_) | Self::Owned(TenantKey::Domain(_)))
    }

    pub(crate) fn to_key(&self) -> TenantKey {
        // The texts passed their checks in `Identification`; if one did not, no tenant has the nil id.
        let nowhere = || TenantKey::Id(TenantId::from_uuid(uuid::Uuid::nil()));
        match self {
            Self::Id(id) => TenantKey::Id(*id),
            Self::Slug(slug) => slug.parse().map_or_else(|_| nowhere(), TenantKey::Slug),
            Self::Domain(name) => name.parse().map_or_else(|_| nowhere(), TenantKey::Domain),
            Self::Owned(key) => key.clone(),
        }
    }
}

/// Hashes as the [`TenantKey`] it stands for.
impl Hash for KeyRef<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        match self {
            Self::Id(id) => TenantKey::Id(*id).hash(state),
            Self::Slug(slug) => TenantKey::hash_text(1, slug, state),
            Self::Domain(domain) => TenantKey::hash_text(2, domain, state),
            Self::Owned(key) => key.hash(state),
        }
    }
}

impl Equivalent<TenantKey> for KeyRef<'_> {
    fn equivalent(&self, key: &TenantKey) -> bool {
        match (self, key) {
            (Self::Id(id), TenantKey::Id(other)) => id == other,
            (Self::Slug(slug), TenantKey::Slug(other)) => slug == other.as_str(),
            (Self::Domain(domain), TenantKey::Domain(other)) => domain == other.as_str(),
            (Self::Owned(own), other) => own == other,
            _ => false,
        }
    }
}
