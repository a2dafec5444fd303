//! What an engine needs to know about operators.

use std::{fmt, sync::Arc};

use crate::{
    Authenticator, ConfigError, CredentialSource, Identification, ImpersonationPolicy,
    ImpersonationStore, ImpersonationToken, OperatorStore, PermissionRegistry, StoreError,
    StoreErrorKind,
    engine::{Authenticating, keys::Keys, sources::Sources},
    impersonation::CheckedPolicy,
};

/// The operators of a service: where they are kept, who vouches for them, and whether they may act as users.
///
/// Given to [`TenancyBuilder::operators`](crate::TenancyBuilder::operators). Operators have issuers of their own. A
/// credential of one of those is refused on tenants' routes, and every other one on operators' routes. A process that
/// serves tenants only names the issuers, and has the policy if impersonations are to count there.
///
/// ```
/// use tenancy_core::{
///     ImpersonationPolicy, MemoryDirectory, Operators, Tenancy,
///     jwt::{Algorithm, JwtAuthenticator, SubjectMapping, VerificationKey}, key::Pepper,
/// };
///
/// let users = VerificationKey::hmac(Algorithm::HS256, b"0123456789abcdef0123456789abcdef")?;
/// let staff = VerificationKey::hmac(Algorithm::HS256, b"another key, for the staff alone")?;
/// let directory = MemoryDirectory::new();
/// let operators = Operators::new(directory.clone())
///     .authenticator(
///         JwtAuthenticator::builder("https://staff.example", "console")
///             .subject(SubjectMapping::PerIssuer)
///             .key(staff)
///             .build()?,
///     )
///     .impersonation(ImpersonationPolicy::new(Pepper::new(1, [0x5c; 32])?));
/// let tenancy = Tenancy::builder(directory)
///     .authenticator(JwtAuthenticator::builder("https://login.example", "notes").key(users).build()?)
///     .operators(operators)
///     .build()?;
/// # let _ = tenancy;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub struct Operators {
    store: Arc<dyn OperatorStore>,
    impersonations: Arc<dyn ImpersonationStore>,
    authenticators: Vec<Authenticating>,
    issuers: Vec<Arc<str>>,
    policy: Option<ImpersonationPolicy>,
}

/// What the parts of an engine are that operators must agree with.
pub(in crate::engine) struct EngineParts<'a> {
    pub(in crate::engine) permissions: &'a PermissionRegistry,
    pub(in crate::engine) identification: &'a Identification,
    pub(in crate::engine) keys: Option<&'a Keys>,
    pub(in crate::engine) authenticators: &'a [Authenticating],
}

/// Operators of an engine, checked.
pub(in crate::engine) struct Configured {
    store: Arc<dyn OperatorStore>,
    impersonations: Arc<dyn ImpersonationStore>,
    pub(super) authenticators: Vec<Box<dyn Authenticator>>,
    pub(super) sources: Sources,
    issuers: Vec<Arc<str>>,
    policy: Option<Arc<CheckedPolicy>>,
}

impl Operators {
    /// Operators, impersonations and tenants' consent are kept here.
    pub fn new<S: OperatorStore + ImpersonationStore + 'static>(store: S) -> Self {
        let store = Arc::new(store);
        Self {
            store: Arc::clone(&store) as Arc<dyn OperatorStore>,
            impersonations: store,
            authenticators: Vec::new(),
            issuers: Vec::new(),
            policy: None,
        }
    }

    /// Adds an authenticator of operators. It reads where it [says](Authenticator::sources) that its credentials
    /// stand; its issuers are those that it [says](Authenticator::issuers), and those that are
    /// [named](Self::issuer).
    pub fn authenticator(self, authenticator: impl Authenticator + 'static) -> Self {
        let sources = authenticator.sources();
        self.authenticator_from(sources, authenticator)
    }

    /// The same for one that reads these places, and no others: a cookie of the console.
    pub fn authenticator_from(
        mut self,
        sources: impl IntoIterator<Item = CredentialSource>,
        authenticator: impl Authenticator + 'static,
    ) -> Self {
        self.issuers.extend(authenticator.issuers());
        self.authenticators.push(Authenticating {
            authenticator: Box::new(authenticator),
            sources: sources.into_iter().collect(),
        });
        self
    }

    /// Names an issuer of the staff: one of an authenticator that does not say it, or one whose operators another
    /// process serves.
    pub fn issuer(mut self, issuer: impl Into<Arc<str>>) -> Self {
        self.issuers.push(issuer.into());
        self
    }

    /// Lets operators act as users, under these conditions. Default: nobody may.
    pub fn impersonation(mut self, policy: ImpersonationPolicy) -> Self {
        self.policy = Some(policy);
        self
    }

    pub(in crate::engine) fn checked(
        self,
        engine: &EngineParts<'_>,
    ) -> Result<Configured, ConfigError> {
        if self.issuers.is_empty() {
            return Err(ConfigError::new(
                "no issuer of the operators is known, so that nobody could tell their credentials from users'; \
                 name it with `Operators::issuer`",
            ));
        }
        for users in engine.authenticators {
            let of_users = users.authenticator.issuers();
            if let Some(both) = of_users.iter().find(|one| self.issuers.contains(one)) {
                return Err(ConfigError::new(format!(
                    "the issuer `{both}` would vouch for operators and for users; give the staff an issuer of \
                     its own"
                )));
            }
        }
        let policy = match self.policy {
            Some(policy) => Some(Arc::new(policy.checked(engine.permissions)?)),
            None => None,
        };
        let sample = format!("{}{}", ImpersonationToken::PREFIX, "0".repeat(64));
        let is_key = |keys: &Keys| keys.config.recognizes(&sample);
        if policy.is_some() && engine.keys.is_some_and(is_key) {
            return Err(ConfigError::new(format!(
                "API keys begin as tokens of impersonations do, with `{}`; give the keys another brand",
                ImpersonationToken::PREFIX
            )));
        }
        let sources = Sources::checked(
            &self.authenticators,
            None,
            None,
            engine.identification,
            None,
        )?;
        let authenticators = self.authenticators.into_iter();
        Ok(Configured {
            store: self.store,
            impersonations: self.impersonations,
            authenticators: authenticators.map(|one| one.authenticator).collect(),
            sources,
            issuers: self.issuers,
            policy,
        })
    }
}

impl Configured {
    /// Whether an issuer vouches for operators.
    pub(in crate::engine) fn has_issuer(&self, issuer: &str) -> bool {
        self.issuers.iter().any(|one| **one == *issuer)
    }

    pub(in crate::engine) fn store(&self) -> &dyn OperatorStore {
        &*self.store
    }

    pub(in crate::engine) fn impersonations(&self) -> &dyn ImpersonationStore {
        &*self.impersonations
    }

    pub(in crate::engine) fn shared_impersonations(&self) -> Arc<dyn ImpersonationStore> {
        Arc::clone(&self.impersonations)
    }

    pub(in crate::engine) fn shared_policy(&self) -> Option<Arc<CheckedPolicy>> {
        self.policy.clone()
    }

    /// The conditions of impersonations.
    pub(super) fn policy(&self) -> Result<&CheckedPolicy, StoreError> {
        self.policy.as_deref().ok_or_else(|| {
            StoreError::new(
                StoreErrorKind::ReadOnly,
                "nobody may act as a user here; give the operators a policy with `Operators::impersonation`",
            )
        })
    }
}

impl fmt::Debug for Operators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operators")
            .field("issuers", &self.issuers)
            .field("authenticators", &self.authenticators.len())
            .field("impersonation", &self.policy.is_some())
            .finish_non_exhaustive()
    }
}
