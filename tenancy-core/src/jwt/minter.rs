//! Short-lived tokens that a service issues to services: for a job, a worker, the next service.

use std::{fmt, time::Duration};

use serde_json::json;
use zeroize::Zeroizing;

use super::{
    actor::ServiceMapping,
    builder::JwtAuthenticatorBuilder,
    error::{JwtConfigError, JwtConfigErrorKind as Kind},
    header::is_key_id,
    key::VerificationKey,
    signing::SigningKey,
    validator::JwtAuthenticator,
};
use crate::{PermissionRegistry, PermissionSet, ServiceId, TenantId, Timestamp};

const LONGEST: Duration = Duration::from_secs(15 * 60);
const DEFAULT: Duration = Duration::from_secs(5 * 60);

/// Issues tokens for service accounts, each for one tenant, a scope and a few minutes.
///
/// ```
/// use tenancy_core::{
///     Authenticator, Clock, Credential, PermissionRegistry, ServiceId, SystemClock, SystemRole,
///     TenantId, Verdict,
///     jwt::{Algorithm, SigningKey, TokenMinter, VerificationKey},
/// };
///
/// let permissions = PermissionRegistry::builder()
///     .permission("notes:read", SystemRole::Viewer)
///     .permission("notes:write", SystemRole::Member)
///     .build()?;
/// let secret = [0x5c; 32]; // from your secret store
///
/// let minter = TokenMinter::new(
///     "https://jobs.example.com",
///     "https://api.example.com",
///     SigningKey::hmac(Algorithm::HS256, secret)?,
/// )?;
/// let (exporter, acme, now) = (ServiceId::new(), TenantId::new(), SystemClock.now());
/// let scope = permissions.scope(["notes:read"]);
/// let token = minter.mint(exporter, acme, &permissions, scope, now)?;
///
/// // In the service that is called:
/// let tokens = TokenMinter::verifier(
///     "https://jobs.example.com",
///     "https://api.example.com",
///     VerificationKey::hmac(Algorithm::HS256, secret)?,
///     &permissions,
/// )
/// .build()?;
/// let verdict = tokens.probe(Credential::new(token.expose()), now);
/// assert!(matches!(verdict, Verdict::Verified(_)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # The token
/// `typ` is [`TOKEN_TYPE`](Self::TOKEN_TYPE); `iss`, `aud`, `sub` (the service's id), `tenant` (the
/// tenant's id), `scope` (names of permissions, separated by spaces), `iat`, `exp` and `jti`.
///
/// # Security
/// - An authenticator accepts this type only where it is asked for, as [`verifier`](Self::verifier)
///   does; that one accepts no other. So no user's token passes for a service's, nor the reverse.
/// - Issue them under a name of their own: the `iss` decides which authenticator looks at a token.
/// - A scope of all permissions is written as the names that exist; it never grows later.
#[derive(Debug, Clone)]
pub struct TokenMinter {
    issuer: Box<str>,
    audience: Box<str>,
    key: SigningKey,
    lifetime: Duration,
}

impl TokenMinter {
    /// The `typ` of the tokens.
    pub const TOKEN_TYPE: &'static str = "tenancy-service+jwt";

    /// Issues tokens that hold for 5 minutes.
    ///
    /// # Errors
    /// [`JwtConfigError`] if the issuer or the audience is empty, or if the key has an id that no
    /// token can name.
    pub fn new(
        issuer: impl Into<String>,
        audience: impl Into<String>,
        key: SigningKey,
    ) -> Result<Self, JwtConfigError> {
        let (issuer, audience) = (issuer.into(), audience.into());
        if issuer.is_empty() || audience.is_empty() {
            let message = "the issuer or the audience is empty; name both";
            return Err(JwtConfigError::new(Kind::EmptyName, message));
        }
        if key.id().is_some_and(|id| !is_key_id(id)) {
            let message = "a key id is 1 to 256 printable ASCII characters";
            return Err(JwtConfigError::new(Kind::KeyIdInvalid, message));
        }
        Ok(Self {
            issuer: issuer.into(),
            audience: audience.into(),
            key,
            lifetime: DEFAULT,
        })
    }

    /// Issues tokens that hold so long.
    ///
    /// # Errors
    /// [`JwtConfigError`] if it is less than a second or more than 15 minutes.
    pub fn lifetime(mut self, lifetime: Duration) -> Result<Self, JwtConfigError> {
        if !(Duration::from_secs(1)..=LONGEST).contains(&lifetime) {
            let message =
                format!("a lifetime of {lifetime:?} is not within 1 second and {LONGEST:?}");
            return Err(JwtConfigError::new(Kind::MintLifetime, message));
        }
        self.lifetime = lifetime;
        Ok(self)
    }

    /// Issues a token for a service account, one tenant, and at most these permissions.
    ///
    /// # Errors
    /// [`MintError`] if the permissions are so many that the token would be longer than any
    /// authenticator reads, or if the key does not sign.
    pub fn mint(
        &self,
        service: ServiceId,
        tenant: TenantId,
        permissions: &PermissionRegistry,
        scope: PermissionSet,
        now: Timestamp,
    ) -> Result<MintedToken, MintError> {
        let mut header = json!({
            "typ": Self::TOKEN_TYPE,
            "alg": self.key.algorithm().as_str(),
        });
        if let (Some(id), Some(members)) = (self.key.id(), header.as_object_mut()) {
            members.insert("kid".into(), id.into());
        }
        let issued = now.as_unix_seconds();
        let expires_at = Timestamp::from_unix_seconds(issued) + self.lifetime;
        let scope: Vec<_> = permissions.names(scope).collect();
        let claims = json!({
            "iss": self.issuer,
            "aud": self.audience,
            "sub": service,
            "tenant": tenant,
            "scope": scope.join(" "),
            "iat": issued,
            "exp": expires_at.as_unix_seconds(),
            "jti": uuid::Uuid::now_v7(),
        });
        let token = self.key.token(&header, &claims);
        let token = token.ok_or(MintError::SIGNATURE)?;
        if token.len() > crate::MAX_CREDENTIAL_LEN {
            return Err(MintError::TOO_LONG);
        }
        Ok(MintedToken {
            text: Zeroizing::new(token),
            expires_at,
        })
    }

    /// Starts an authenticator that accepts the tokens of such a minter and no others.
    ///
    /// Several keys, during a rotation, are added by
    /// [`key`](JwtAuthenticatorBuilder::key); each then needs an id.
    pub fn verifier(
        issuer: impl Into<String>,
        audience: impl Into<String>,
        key: VerificationKey,
        permissions: &PermissionRegistry,
    ) -> JwtAuthenticatorBuilder {
        JwtAuthenticator::builder(issuer, audience)
            .key(key)
            .token_type(Self::TOKEN_TYPE)
            .max_lifetime(LONGEST)
            .tenant_claim("tenant")
            .scope_claim("scope", permissions)
            .services(ServiceMapping::Always)
    }
}

/// A token that was issued. `Debug` does not show it; its memory is overwritten when it is dropped.
pub struct MintedToken {
    text: Zeroizing<String>,
    expires_at: Timestamp,
}

impl MintedToken {
    /// The secret text, for `Authorization: Bearer …`.
    ///
    /// # Security
    /// Never log it, never put it in an error.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The moment from which it no longer holds.
    #[must_use]
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

impl fmt::Debug for MintedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MintedToken")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A token that could not be issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct MintError {
    message: &'static str,
}

impl MintError {
    pub(super) const SIGNATURE: Self = Self {
        message: "the key does not sign",
    };
    const TOO_LONG: Self = Self {
        message: "the token would be longer than 8 KiB; give it fewer permissions",
    };
}
