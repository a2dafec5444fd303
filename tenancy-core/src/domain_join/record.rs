//! `DomainJoin`: which domain leads into which tenant, and how.

use std::fmt;

use crate::{DomainName, RoleName, TenantId};

/// Domains at which anybody has an address.
const PUBLIC: &[&str] = &[
    "126.com",
    "163.com",
    "aol.com",
    "daum.net",
    "fastmail.com",
    "free.fr",
    "gmail.com",
    "gmx.at",
    "gmx.ch",
    "gmx.com",
    "gmx.de",
    "gmx.net",
    "googlemail.com",
    "hanmail.net",
    "hey.com",
    "hotmail.co.uk",
    "hotmail.com",
    "hotmail.de",
    "hotmail.fr",
    "icloud.com",
    "laposte.net",
    "libero.it",
    "live.com",
    "mac.com",
    "mail.com",
    "mail.ru",
    "me.com",
    "msn.com",
    "naver.com",
    "orange.fr",
    "outlook.com",
    "outlook.de",
    "outlook.fr",
    "pm.me",
    "posteo.de",
    "proton.me",
    "protonmail.com",
    "qq.com",
    "rocketmail.com",
    "sina.com",
    "t-online.de",
    "tuta.io",
    "tutanota.com",
    "web.de",
    "yahoo.co.jp",
    "yahoo.co.uk",
    "yahoo.com",
    "yahoo.de",
    "yahoo.fr",
    "yandex.com",
    "yandex.ru",
    "ymail.com",
    "zoho.com",
];

/// A domain of which somebody vouches that the tenant in question owns it.
///
/// ```
/// use tenancy_core::domain_join::VerifiedDomain;
///
/// let domain = VerifiedDomain::vouched_by_application("Acme.Example".parse()?)?;
/// assert_eq!(domain.name().as_str(), "acme.example");
/// assert!(VerifiedDomain::vouched_by_application("gmail.com".parse()?).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedDomain(DomainName);

/// A domain at which anybody can have an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is a public mail provider's, so that anybody could join; take a domain that the tenant owns"
)]
pub struct PublicMailDomain(DomainName);

impl VerifiedDomain {
    /// A domain that the application has verified: the tenant's people have written a record into its DNS, say.
    ///
    /// # Errors
    /// [`PublicMailDomain`] for well-known providers of mail.
    ///
    /// # Security
    /// Whoever calls this vouches for it. That somebody has an address at a domain is no proof of owning it.
    pub fn vouched_by_application(name: DomainName) -> Result<Self, PublicMailDomain> {
        if PUBLIC.binary_search(&name.as_str()).is_ok() {
            return Err(PublicMailDomain(name));
        }
        Ok(Self(name))
    }

    /// The domain.
    #[must_use]
    pub const fn name(&self) -> &DomainName {
        &self.0
    }
}

/// What happens to whoever has a verified address at a domain.
///
/// ```
/// use tenancy_core::domain_join::JoinMode;
///
/// assert_eq!(JoinMode::from_stored("suggested"), Some(JoinMode::Suggested));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JoinMode {
    /// They are told of the tenant, and may join. Several tenants may do so with one domain.
    Suggested,
    /// They join. Where several tenants have a domain so, people join the one that has had it so for longest and is
    /// [served](crate::TenantStatus::is_served), and are told of the others.
    Automatic,
}

impl JoinMode {
    /// The name under which it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Suggested => "suggested",
            Self::Automatic => "automatic",
        }
    }

    /// Reads a stored name.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        [Self::Suggested, Self::Automatic]
            .into_iter()
            .find(|mode| mode.as_str() == text)
    }
}

impl fmt::Display for JoinMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A tenant's rule for one domain. The module [`domain_join`](super) has an example.
///
/// ```
/// use tenancy_core::{TenantId, domain_join::{DomainJoin, JoinMode, VerifiedDomain}};
///
/// let domain = VerifiedDomain::vouched_by_application("acme.example".parse()?)?;
/// let rule = DomainJoin::new(TenantId::new(), domain, JoinMode::Suggested, "viewer".parse()?);
/// assert_eq!(rule.domain.as_str(), "acme.example");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DomainJoin {
    /// The tenant.
    pub tenant: TenantId,
    /// The domain, which has to match exactly.
    pub domain: DomainName,
    /// What happens.
    pub mode: JoinMode,
    /// The role that it gives.
    pub role: RoleName,
}

impl DomainJoin {
    /// A rule for a domain that is the tenant's.
    #[must_use]
    pub fn new(tenant: TenantId, domain: VerifiedDomain, mode: JoinMode, role: RoleName) -> Self {
        Self::from_stored(tenant, domain.0, mode, role)
    }

    /// A rule as a store has it.
    #[must_use]
    pub const fn from_stored(
        tenant: TenantId,
        domain: DomainName,
        mode: JoinMode,
        role: RoleName,
    ) -> Self {
        Self {
            tenant,
            domain,
            mode,
            role,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_providers_is_sorted_and_in_the_form_of_domains() {
        assert!(PUBLIC.is_sorted());
        for name in PUBLIC {
            let domain: DomainName = name.parse().unwrap();
            assert_eq!(domain.as_str(), *name);
            assert!(VerifiedDomain::vouched_by_application(domain).is_err());
        }
    }
}
