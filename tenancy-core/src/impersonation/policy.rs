//! What the service asks of impersonations.

use std::time::Duration;

use crate::{ConfigError, CredentialSource, PermissionRegistry, PermissionSet, key::Pepper};

/// The longest time for which an impersonation may go on.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// How long one goes on, unless something else is asked for.
const DEFAULT: Duration = Duration::from_secs(30 * 60);

/// What nobody does as somebody else, unless the policy is told otherwise.
const MASKED: [&str; 4] = ["keys:*", "members:*", "billing:*", "passwords:*"];

/// Under which conditions an operator may act as a user of a tenant.
///
/// Default: 30 minutes, 60 at most; three at once for each operator; no consent and no second operator is asked for;
/// the permissions `keys:*`, `members:*`, `billing:*` and `passwords:*` are not there.
///
/// ```
/// use tenancy_core::{ImpersonationPolicy, key::Pepper};
///
/// let pepper = Pepper::new(1, [0x5c; 32])?; // from your secret store
/// let policy = ImpersonationPolicy::new(pepper)
///     .require_consent()
///     .break_glass()
///     .not_while_impersonating(["exports:*"]);
/// # let _ = policy;
/// # Ok::<(), tenancy_core::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct ImpersonationPolicy {
    pepper: Pepper,
    ttl: Duration,
    most: u32,
    consent: bool,
    break_glass: bool,
    two_operators: bool,
    masked: Vec<String>,
    sources: Vec<CredentialSource>,
}

/// A policy that an engine can use.
#[derive(Debug)]
pub(crate) struct CheckedPolicy {
    pub(crate) pepper: Pepper,
    pub(crate) ttl: Duration,
    pub(crate) longest: Duration,
    pub(crate) most: u32,
    pub(crate) consent: bool,
    pub(crate) break_glass: bool,
    pub(crate) two_operators: bool,
    /// What an operator may do at most as somebody else.
    pub(crate) scope: PermissionSet,
    pub(crate) sources: Vec<CredentialSource>,
}

impl ImpersonationPolicy {
    /// A policy with the defaults. Tokens are stored as an HMAC under this pepper; each process that serves tenants
    /// needs the same one. To replace it ends every impersonation.
    pub fn new(pepper: Pepper) -> Self {
        Self {
            pepper,
            ttl: DEFAULT,
            most: 3,
            consent: false,
            break_glass: false,
            two_operators: false,
            masked: MASKED.map(str::to_owned).into(),
            sources: vec![CredentialSource::bearer()],
        }
    }

    /// For how long one goes on where nothing else is asked for; 60 minutes at most.
    pub const fn default_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// How many an operator may have at once. Default: 3.
    pub const fn at_once(mut self, most: u32) -> Self {
        self.most = most;
        self
    }

    /// Only in tenants that have [agreed](crate::Admin::grant_support_access), and only for as long. Default: in all.
    pub const fn require_consent(mut self) -> Self {
        self.consent = true;
        self
    }

    /// Where consent is required and missing, a second operator may [approve](crate::OperatorContext::approve) in its
    /// place. Default: it is refused.
    pub const fn break_glass(mut self) -> Self {
        self.break_glass = true;
        self
    }

    /// A second operator has to [approve](crate::OperatorContext::approve) each of them. Default: none has to.
    pub const fn two_operators(mut self) -> Self {
        self.two_operators = true;
        self
    }

    /// Permissions that nobody has as somebody else, beside those that are left out by default. `build` refuses a pattern
    /// that covers no declared permission. One of the defaults that covers none is told of by a warning in the log.
    pub fn not_while_impersonating<'a>(
        mut self,
        permissions: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        self.masked
            .extend(permissions.into_iter().map(str::to_owned));
        self
    }

    /// Where requests have the token, in the place of `Authorization: Bearer`: a cookie, for pages.
    ///
    /// A request with the token and another credential is refused: two credentials have no precedence.
    pub fn sources(mut self, sources: impl IntoIterator<Item = CredentialSource>) -> Self {
        self.sources = sources.into_iter().collect();
        self
    }

    pub(crate) fn checked(
        self,
        permissions: &PermissionRegistry,
    ) -> Result<CheckedPolicy, ConfigError> {
        if self.ttl < Duration::from_secs(1) || self.ttl > LONGEST {
            return Err(ConfigError::new(
                "an impersonation goes on for 1 second to 60 minutes; give `default_ttl` something in between",
            ));
        }
        if self.most == 0 {
            return Err(ConfigError::new(
                "with none `at_once`, no impersonation could begin; leave the policy out instead",
            ));
        }
        if self.break_glass && !self.consent {
            return Err(ConfigError::new(
                "`break_glass` takes the place of consent, which is not required; add `require_consent`, or \
                 have each approved with `two_operators`",
            ));
        }
        let covers_nothing = |one: &&str| permissions.scope([*one]).is_empty();
        let added = self.masked.iter().map(String::as_str);
        for one in added.filter(|one| !MASKED.contains(one)) {
            one.parse::<crate::Grant>()
                .map_err(|error| ConfigError::new(format!("`not_while_impersonating`: {error}")))?;
            if covers_nothing(&one) {
                return Err(ConfigError::new(format!(
                    "`not_while_impersonating`: `{one}` covers no permission that is declared, so that it would keep \
                     nothing back; name one that is"
                )));
            }
        }
        let idle: Vec<_> = MASKED.iter().copied().filter(covers_nothing).collect();
        if !idle.is_empty() {
            tracing::warn!(
                patterns = idle.join(", "),
                "what nobody does as somebody else by default covers no permission that is declared; if yours have other \
                 names, add them with `ImpersonationPolicy::not_while_impersonating`"
            );
        }
        let masked = permissions.scope(self.masked.iter().map(String::as_str));
        Ok(CheckedPolicy {
            pepper: self.pepper,
            ttl: self.ttl,
            longest: LONGEST,
            most: self.most,
            consent: self.consent,
            break_glass: self.break_glass,
            two_operators: self.two_operators,
            scope: permissions.all().difference(masked),
            sources: self.sources,
        })
    }
}
