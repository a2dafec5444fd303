//! From verified claims to the user and the tenants they stand for.

use serde_json::{Map, Value};

use super::{
    error::{JwtConfigError, JwtConfigErrorKind as Kind},
    reason,
};
use crate::{AllowedTenants, Rejection, TenantKey, UserId};

/// The most tenants that one token may list.
const MAX_TENANTS: usize = 256;

/// The claims of RFC 7519 §4.1, which have a meaning of their own.
pub(super) const REGISTERED: [&str; 7] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];

/// How the `sub` of a token names a user.
///
/// ```
/// use tenancy_core::jwt::{Algorithm, JwtAuthenticator, SubjectMapping, VerificationKey};
///
/// # let key = VerificationKey::hmac(Algorithm::HS256, [7; 32])?;
/// // Takes subjects such as `auth0|42`.
/// let tokens = JwtAuthenticator::builder("https://login.example", "notes")
///     .key(key)
///     .subject(SubjectMapping::PerIssuer)
///     .build()?;
/// # drop(tokens);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum SubjectMapping {
    /// It is the user's id, as a hyphenated UUID; any other subject is rejected. The default, for
    /// issuers that know your users by your ids.
    #[default]
    Uuid,
    /// It is the issuer's own name for the user, who gets the id
    /// [`UserId::derive(issuer, sub)`](UserId::derive). For outside identity providers.
    PerIssuer,
}

impl SubjectMapping {
    pub(super) fn user(self, issuer: &str, subject: &str) -> Result<UserId, Rejection> {
        match self {
            Self::Uuid => subject.parse().map_err(|_| reason::SUBJECT),
            Self::PerIssuer => Ok(UserId::derive(issuer, subject)),
        }
    }
}

/// Which claims say which tenants a token may name.
#[derive(Debug, Default)]
pub(super) struct TenantClaims {
    pub(super) bound: Option<String>,
    pub(super) set: Option<String>,
    pub(super) default: Option<String>,
    /// The one tenant that the issuer speaks for.
    pub(super) issuer: Option<TenantKey>,
}

impl TenantClaims {
    pub(super) fn check(&self) -> Result<(), JwtConfigError> {
        let error = |message: String| Err(JwtConfigError::new(Kind::ClaimName, message));
        for name in [&self.bound, &self.set, &self.default]
            .into_iter()
            .flatten()
        {
            if name.is_empty() {
                return error("the name of a tenant claim is empty".into());
            }
            if REGISTERED.contains(&name.as_str()) {
                return error(format!(
                    "`{name}` has a meaning of its own; name another claim"
                ));
            }
        }
        if self.bound.is_some() && (self.set.is_some() || self.default.is_some()) {
            return error("a token is bound to one tenant or lists several; configure one".into());
        }
        if matches!(
            self.issuer,
            Some(TenantKey::Domain(_) | TenantKey::External { .. })
        ) {
            let message = "an issuer is bound to a tenant by its id or slug";
            return Err(JwtConfigError::new(Kind::TenantName, message));
        }
        if self.set.is_some() && self.set == self.default {
            return error("the list of tenants and the default tenant need two claims".into());
        }
        Ok(())
    }

    /// What the token reaches: what its claims say, within what the issuer may say.
    pub(super) fn allowed_tenants(
        &self,
        claims: &Map<String, Value>,
    ) -> Result<AllowedTenants, Rejection> {
        let Some(own) = &self.issuer else {
            return self.claimed(claims);
        };
        let names = [&self.bound, &self.set, &self.default];
        if names
            .into_iter()
            .flatten()
            .any(|name| claims.contains_key(name))
        {
            let within = match self.claimed(claims)? {
                AllowedTenants::Bound(tenant) => tenant == *own,
                AllowedTenants::Set { tenants, default } => {
                    tenants.contains(own) && default.is_none_or(|default| default == *own)
                }
                AllowedTenants::Memberships => true,
            };
            if !within {
                return Err(reason::TENANT_FOREIGN);
            }
        }
        Ok(AllowedTenants::Bound(own.clone()))
    }

    /// What the claims say. One that is there and can't be read is never passed over.
    fn claimed(&self, claims: &Map<String, Value>) -> Result<AllowedTenants, Rejection> {
        if let Some(name) = &self.bound {
            let claim = claims.get(name).ok_or(reason::TENANT_MISSING)?;
            return tenant(claim).map(AllowedTenants::Bound);
        }
        if self.set.is_none() && self.default.is_none() {
            return Ok(AllowedTenants::Memberships);
        }
        let find = |name: &Option<String>| name.as_ref().and_then(|name| claims.get(name));
        let default = find(&self.default).map(tenant).transpose()?;
        let tenants = match (find(&self.set), &default) {
            (Some(list), _) => tenants(list)?,
            (None, Some(only)) => vec![only.clone()],
            (None, None) => return Err(reason::TENANT_MISSING),
        };
        match &default {
            Some(default) if !tenants.contains(default) => Err(reason::TENANT_MALFORMED),
            _ => Ok(AllowedTenants::Set { tenants, default }),
        }
    }
}

fn tenant(claim: &Value) -> Result<TenantKey, Rejection> {
    let text = claim.as_str().ok_or(reason::TENANT_MALFORMED)?;
    TenantKey::id_or_slug(text).map_err(|_| reason::TENANT_MALFORMED)
}

fn tenants(claim: &Value) -> Result<Vec<TenantKey>, Rejection> {
    match claim {
        Value::Array(list) if (1..=MAX_TENANTS).contains(&list.len()) => {
            list.iter().map(tenant).collect()
        }
        _ => Err(reason::TENANT_MALFORMED),
    }
}
