//! The authenticator of impersonations: a token is looked up for each request that presents one.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    Actor, AllowedTenants, Authenticator, Credential, CredentialSource, Impersonation,
    ImpersonationDigest, ImpersonationLookup, ImpersonationState, ImpersonationStore,
    ImpersonationToken, LookupError, Principal, Rejection, TenantKey, Timestamp, Verdict,
    impersonation::CheckedPolicy,
};

/// Takes the tokens of impersonations.
pub(in crate::engine) struct ImpersonationTokens {
    store: Arc<dyn ImpersonationStore>,
    policy: Arc<CheckedPolicy>,
}

impl ImpersonationTokens {
    pub(in crate::engine) const fn new(
        store: Arc<dyn ImpersonationStore>,
        policy: Arc<CheckedPolicy>,
    ) -> Self {
        Self { store, policy }
    }

    /// The operator, with the rights of the user, in the one tenant, for the time that is left.
    fn principal(&self, found: Impersonation) -> Principal {
        let tenant = AllowedTenants::Bound(TenantKey::Id(found.tenant));
        let actor = Actor::Operator(found.operator);
        // So each entry of the trail leads to the one that has the reason.
        let mut principal = Principal::new(actor, tenant, format!("impersonation:{}", found.id));
        principal.on_behalf_of = Some(found.user);
        principal.issued_at = Some(found.started_at);
        principal.expires_at = Some(found.until);
        principal.scope = self.policy.scope;
        principal.impersonation = Some(Arc::new(found));
        principal
    }
}

/// Why an impersonation does not count at this moment; `None` if it does.
pub(in crate::engine) fn reason_of(
    found: Option<&Impersonation>,
    now: Timestamp,
) -> Option<&'static str> {
    match found.map(|found| found.state(now)) {
        Some(ImpersonationState::Live) => None,
        Some(ImpersonationState::Waiting) => Some("impersonation-not-approved"),
        Some(ImpersonationState::Ended) => Some("impersonation-ended"),
        None => Some("impersonation-unknown"),
    }
}

#[async_trait]
impl Authenticator for ImpersonationTokens {
    fn sources(&self) -> Vec<CredentialSource> {
        self.policy.sources.clone()
    }

    fn probe(&self, credential: Credential<'_>, _: Timestamp) -> Verdict {
        let text = credential.expose();
        if !text.starts_with(ImpersonationToken::PREFIX) {
            return Verdict::NotMine;
        }
        if text.len() == ImpersonationToken::LEN {
            Verdict::NeedsLookup
        } else {
            Verdict::Rejected(Rejection::new("impersonation-malformed"))
        }
    }

    /// What is no token of an impersonation never becomes one, and what is one is asked about each time.
    fn version(&self, issuer: Option<&str>, _: Timestamp) -> Option<u128> {
        issuer.is_none().then_some(0)
    }

    /// The store is asked each time: what has ended counts nowhere from then on.
    async fn verify(
        &self,
        credential: Credential<'_>,
        now: Timestamp,
    ) -> Result<Verdict, LookupError> {
        let digest = ImpersonationDigest::of(credential.expose(), &self.policy.pepper);
        let by = ImpersonationLookup::Token(digest);
        let found = self.store.find_impersonation(&by).await;
        let found = found.map_err(LookupError::new)?;
        Ok(match (reason_of(found.as_ref(), now), found) {
            (None, Some(found)) => Verdict::Verified(Arc::new(self.principal(found))),
            (reason, _) => {
                Verdict::Rejected(Rejection::new(reason.unwrap_or("impersonation-unknown")))
            }
        })
    }
}

impl std::fmt::Debug for ImpersonationTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImpersonationTokens")
            .finish_non_exhaustive()
    }
}
