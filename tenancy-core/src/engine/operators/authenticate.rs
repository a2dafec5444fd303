//! From a request to an operator: the staff's credential, and the record as it is now.

use std::{fmt, sync::Arc};

use super::{Configured, OperatorContext};
use crate::{
    Actor, Credential, Operator, Principal, Refusal, RefusalKind, RequestView, Tenancy,
    TokenSubject, Verdict,
    engine::{
        credential::Found,
        facts::{ClientInfo, PresentedCredential},
        refusal_log::Refused,
        token_revocations::issuer,
    },
};

/// An operator's request that is yet to be decided: made by
/// [`Tenancy::authenticate_operator`](crate::Tenancy::authenticate_operator).
///
/// ```
/// # use tenancy_core::{OperatorContext, Refusal, RequestView, Tenancy};
/// async fn operator(tenancy: &Tenancy, request: &dyn RequestView) -> Result<OperatorContext, Refusal> {
///     tenancy.authenticate_operator(request).resolve().await
/// }
/// # let _ = operator;
/// ```
#[must_use]
pub struct PendingOperator {
    engine: Tenancy,
    presented: Result<Presented, Refused>,
    client: ClientInfo,
}

/// A credential, and the authenticators that may know it.
struct Presented {
    text: zeroize::Zeroizing<String>,
    authenticators: Vec<usize>,
}

impl Tenancy {
    /// Asks which operator sends a request. Adapters call this for operators' routes.
    ///
    /// # Security
    /// Only the authenticators of [`Operators`](crate::Operators) are asked: users' tokens, API keys and tokens of
    /// impersonations are refused like credentials that nobody knows. The operator's record is read each time, so that
    /// whoever is disabled is refused at once in each process.
    pub fn authenticate_operator(&self, request: &dyn RequestView) -> PendingOperator {
        PendingOperator {
            engine: self.clone(),
            presented: presented(self, request),
            client: ClientInfo::of(self.inner(), request),
        }
    }
}

fn presented(engine: &Tenancy, request: &dyn RequestView) -> Result<Presented, Refused> {
    let refused = |reason| Err(Refused::new(RefusalKind::Unauthenticated, reason));
    let Some(operators) = &engine.inner().operators else {
        tracing::error!(
            "a route of operators has no operators; give the engine some with `TenancyBuilder::operators`"
        );
        return Err(Refused::new(RefusalKind::Misconfigured, "no-operators"));
    };
    let found = Found::of_operator(&operators.sources, engine.inner(), request);
    if let Some(fault) = &found.cross_site {
        return Err(Refused::of_page(fault));
    }
    let text = match found.presented {
        PresentedCredential::Text(text) => zeroize::Zeroizing::new(text.expose().to_owned()),
        PresentedCredential::OwnedText(text) => text,
        PresentedCredential::Nothing => return refused("credential-absent"),
        PresentedCredential::Several => return refused("credential-repeated"),
        PresentedCredential::Fault(fault) => return refused(fault.reason()),
        PresentedCredential::Established(_) | PresentedCredential::Verified(_) => {
            return refused("credential-unknown-kind");
        }
    };
    let source = found.source.and_then(|index| operators.sources.get(index));
    Ok(Presented {
        text,
        authenticators: source.map_or_else(Vec::new, |source| source.authenticators.clone()),
    })
}

impl PendingOperator {
    /// Decides.
    ///
    /// # Errors
    /// The [`Refusal`] to answer with: 401 where the credential is none of an operator, and 503 where the store did
    /// not answer. It is recorded as `operator.authenticate`.
    pub async fn resolve(self) -> Result<OperatorContext, Refusal> {
        let inner = self.engine.inner();
        let refusals = &inner.refusals;
        let record = |refused| refusals.record("operator.authenticate", refused, &self.client);
        let presented = self.presented.map_err(record)?;
        let Some(operators) = &inner.operators else {
            return Err(Refusal::new(RefusalKind::Misconfigured, "no-operators"));
        };
        let unavailable = |error: &dyn fmt::Display, reason| {
            tracing::warn!(%error, "an operator's request could not be decided");
            refusals.add(Refusal::new(RefusalKind::Unavailable, reason))
        };
        let principal = match verified(&self.engine, operators, &presented).await {
            Ok(Ok(principal)) => principal,
            Ok(Err(refused)) => return Err(record(refused)),
            Err(error) => return Err(unavailable(&error, "credential-lookup-unavailable")),
        };
        match current(&self.engine, &principal).await {
            Ok(Some(operator)) => Ok(OperatorContext::new(
                self.engine.clone(),
                Arc::new(operator),
                principal,
                self.client,
            )),
            Ok(None) => {
                let mut refused = Refused::new(RefusalKind::Unauthenticated, "operator-unknown");
                refused.note_caller(&principal);
                Err(record(refused))
            }
            Err(error) => Err(unavailable(&error, "directory-unavailable")),
        }
    }
}

/// The principal of a credential of the staff.
async fn verified(
    engine: &Tenancy,
    operators: &Configured,
    presented: &Presented,
) -> Result<Result<Arc<Principal>, Refused>, crate::LookupError> {
    let refused = |reason| Ok(Err(Refused::new(RefusalKind::Unauthenticated, reason)));
    let now = engine.inner().now();
    let credential = Credential::new(&presented.text);
    for index in &presented.authenticators {
        let Some(authenticator) = operators.authenticators.get(*index) else {
            continue;
        };
        let verdict = match authenticator.probe(credential, now) {
            Verdict::NeedsLookup => authenticator.verify(credential, now).await?,
            verdict => verdict,
        };
        return match verdict {
            Verdict::NotMine | Verdict::NeedsLookup => continue,
            Verdict::Rejected(rejection) => refused(rejection.reason()),
            Verdict::Verified(principal) if !operators.has_issuer(&principal.issuer) => {
                tracing::error!(
                    issuer = %principal.issuer,
                    "an authenticator of operators has an issuer that was not named; name it with \
                     `Operators::issuer`"
                );
                refused("issuer-not-of-operators")
            }
            Verdict::Verified(principal) if !matches!(principal.actor, Actor::User(_)) => {
                refused("credential-actor")
            }
            Verdict::Verified(principal) if !principal.holds_at(now) => {
                refused("credential-expired")
            }
            Verdict::Verified(principal) => Ok(Ok(principal)),
        };
    }
    refused("credential-unknown-kind")
}

/// The operator for whom a principal of the staff speaks, as the store has it now; `None` if it is none, is disabled,
/// or its credential was taken back.
pub(super) async fn current(
    engine: &Tenancy,
    principal: &Principal,
) -> Result<Option<Operator>, crate::DirectoryError> {
    let inner = engine.inner();
    let (Some(operators), Some(subject)) = (&inner.operators, principal.user()) else {
        return Ok(None);
    };
    let of = [issuer(principal), TokenSubject::User(subject)];
    let revoked = inner.directory.find_token_revocation(&of).await?;
    if !revoked.admits(principal.issued_at) {
        return Ok(None);
    }
    let store = operators.store();
    let found = store.find_operator(&principal.issuer, subject).await?;
    // A store that answers with another's record must not open anything.
    Ok(found.filter(|found| {
        !found.disabled && found.subject == subject && *found.issuer == *principal.issuer
    }))
}

impl fmt::Debug for PendingOperator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingOperator").finish_non_exhaustive()
    }
}
