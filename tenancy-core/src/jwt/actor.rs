//! From claims to who acts: a user or a service account, through which application.

use serde_json::{Map, Value};

use super::{mapping::SubjectMapping, reason};
use crate::{Actor, Rejection, ServiceId, UserId};

/// Which tokens are those of service accounts, which act in their own name
/// ([`Actor::Service`]). Every other token is a user's.
///
/// ```
/// use tenancy_core::jwt::{Algorithm, JwtAuthenticator, ServiceMapping, VerificationKey};
/// # use tenancy_core::{PermissionRegistry, SystemRole};
///
/// # let permissions =
/// #     PermissionRegistry::builder().permission("notes:read", SystemRole::Viewer).build()?;
/// # let key = VerificationKey::hmac(Algorithm::HS256, [7; 32])?;
/// // What a service account may do is in its token's `scope`.
/// let tokens = JwtAuthenticator::builder("https://login.example", "notes")
///     .key(key)
///     .services(ServiceMapping::Claim {
///         name: "gty".into(),
///         value: "client-credentials".into(),
///     })
///     .scope_claim("scope", &permissions)
///     .build()?;
/// # drop(tokens);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServiceMapping {
    /// All of them: the issuer knows no users.
    Always,
    /// Those whose `sub` is also their `client_id` or `azp`, as RFC 9068 §2.2 has it for a client
    /// that no user stands behind.
    SubjectIsClient,
    /// Those with this claim on the top level, such as `gty` = `client-credentials` (Auth0) or
    /// `idtyp` = `app` (Microsoft Entra ID).
    Claim {
        /// The claim's name.
        name: String,
        /// Its value, a text.
        value: String,
    },
}

impl ServiceMapping {
    fn is_service(&self, claims: &Map<String, Value>, subject: &str) -> bool {
        let says = |name: &str, text: &str| claims.get(name).is_some_and(|value| value == text);
        match self {
            Self::Always => true,
            Self::SubjectIsClient => says("client_id", subject) || says("azp", subject),
            Self::Claim { name, value } => says(name, value),
        }
    }
}

/// Who a token may stand for.
#[derive(Debug, Default)]
pub(super) struct ActorRule {
    pub(super) subject: SubjectMapping,
    pub(super) services: Option<ServiceMapping>,
    /// A claim, and the applications that it may name.
    pub(super) applications: Option<(String, Vec<String>)>,
}

impl ActorRule {
    pub(super) fn actor(
        &self,
        issuer: &str,
        subject: &str,
        claims: &Map<String, Value>,
    ) -> Result<Actor, Rejection> {
        if let Some((name, allowed)) = &self.applications {
            let named = claims.get(name).and_then(Value::as_str);
            if !named.is_some_and(|named| allowed.iter().any(|one| one == named)) {
                return Err(reason::APPLICATION);
            }
        }
        let id: UserId = self.subject.user(issuer, subject)?;
        let services = self.services.as_ref();
        if services.is_some_and(|services| services.is_service(claims, subject)) {
            return Ok(Actor::Service(ServiceId::from_uuid(id.as_uuid())));
        }
        Ok(Actor::User(id))
    }
}
