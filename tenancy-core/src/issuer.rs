//! Issuers of tokens that tenants bring along: their records, and where they are kept.

use async_trait::async_trait;
use serde_json::Value;

use crate::{ChangeRecord, DirectoryError, StoreError, StoreErrorKind, TenantId};

/// An issuer that one tenant trusts, such as its single sign-on.
///
/// What is needed to check its tokens is the application's: a public key, an audience, the mapping of claims. It is in
/// [`config`](Self::config), which the library stores and does not read.
///
/// ```
/// use tenancy_core::{IssuerRecord, TenantId};
///
/// let acme = TenantId::new();
/// let config = serde_json::json!({ "audience": "https://api.example.com" });
/// let sign_on = IssuerRecord::new("https://sso.acme.example", acme, config);
/// assert_eq!(sign_on.tenant, acme);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IssuerRecord {
    /// The name, as it stands in the claim `iss`.
    pub issuer: String,
    /// The tenant that trusts it.
    pub tenant: TenantId,
    /// What the application needs to check its tokens, 64 KiB of JSON at most.
    ///
    /// # Security
    /// It is in plain text in the database and in listings: no secret of an issuer belongs here.
    pub config: Value,
}

impl IssuerRecord {
    /// The longest name of an issuer, in bytes.
    pub const MAX_ISSUER_LEN: usize = 512;

    /// The most that a configuration may be, in bytes of JSON.
    pub const MAX_CONFIG_LEN: usize = 65_536;

    /// An issuer of this name, of this tenant.
    #[must_use]
    pub fn new(issuer: impl Into<String>, tenant: TenantId, config: Value) -> Self {
        Self {
            issuer: issuer.into(),
            tenant,
            config,
        }
    }

    /// Whether this can be stored: a name that tokens of it can be looked up by, and no more JSON than allowed.
    ///
    /// # Errors
    /// [`StoreErrorKind::Invalid`] otherwise.
    pub fn check(&self) -> Result<(), StoreError> {
        let invalid = |message: String| Err(StoreError::new(StoreErrorKind::Invalid, message));
        let name = &self.issuer;
        if !(1..=Self::MAX_ISSUER_LEN).contains(&name.len()) || name.chars().any(char::is_control) {
            return invalid(format!(
                "the name of an issuer has 1 to {} bytes and no control characters",
                Self::MAX_ISSUER_LEN
            ));
        }
        if self.config.to_string().len() > Self::MAX_CONFIG_LEN {
            return invalid(format!(
                "the configuration of an issuer has at most {} bytes of JSON",
                Self::MAX_CONFIG_LEN
            ));
        }
        Ok(())
    }
}

/// Finds issuers that tenants bring along.
///
/// An [`IssuerSource`](crate::jwt::IssuerSource) of the application calls this, and makes an authenticator of
/// what it finds.
#[async_trait]
pub trait IssuerDirectory: Send + Sync {
    /// The issuer of exactly this name; `None` if no tenant trusts it.
    ///
    /// # Security
    /// The name comes from a token that nobody has verified yet. It is compared byte for byte.
    ///
    /// # Errors
    /// A [`DirectoryError`] if the store did not answer; never for what is not there.
    async fn find_issuer(&self, issuer: &str) -> Result<Option<IssuerRecord>, DirectoryError>;
}

/// Writes and lists the issuers that tenants bring along.
///
/// Each call is one transaction, with its record, as in a [`TenantStore`](crate::TenantStore). It moves no
/// generation: see [`Admin::put_issuer`](crate::Admin::put_issuer) for when it counts.
#[async_trait]
pub trait IssuerStore: Send + Sync {
    /// Adds an issuer, or replaces the configuration of one that is the tenant's already. One that is
    /// another tenant's is a [`Conflict`](StoreErrorKind::Conflict).
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn put_issuer(
        &self,
        issuer: &IssuerRecord,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// Removes an issuer of this tenant. One of another tenant stays as it is.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn remove_issuer(
        &self,
        tenant: TenantId,
        issuer: &str,
        record: &ChangeRecord,
    ) -> Result<(), StoreError>;

    /// A tenant's issuers in the order of the bytes of their names, at most `limit`, beginning behind `after`.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer, or may not list this.
    async fn list_issuers(
        &self,
        tenant: TenantId,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<IssuerRecord>, StoreError>;
}
