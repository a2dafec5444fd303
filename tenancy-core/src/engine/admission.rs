//! Admission: the answer to a request, at once or after I/O.

use std::{fmt, sync::Arc};

use super::{
    Tenancy,
    decide::{Interrupt, decide},
    facts::{PresentedCredential, RequestFacts},
    load::{Load, LoadContext, LoadError, Loaded},
    refusal_log::Refused,
};
use crate::{Credential, Principal, Refusal, RefusalKind, TenantContext};

/// The answer to [`Tenancy::admit`].
///
/// An adapter asks and waits only where it has to:
///
/// ```
///
/// use tenancy_core::{Admission, Admitted, RequestView, RouteNeeds, Refusal, Tenancy};
///
/// async fn admit(tenancy: &Tenancy, request: &dyn RequestView) -> Result<Admitted, Refusal> {
///     match tenancy.admit(request, RouteNeeds::tenant()) {
///         Admission::Ready(decided) => decided,
///         Admission::Pending(pending) => pending.resolve().await,
///     }
/// }
/// ```
#[derive(Debug)]
#[must_use]
#[allow(
    clippy::exhaustive_enums,
    reason = "an answer is there or is not; adapters match on both"
)]
pub enum Admission {
    /// Decided from memory.
    Ready(Result<Admitted, Refusal>),
    /// Something must be loaded first.
    Pending(PendingAdmission),
}

/// An admitted request.
#[derive(Debug, Clone)]
#[allow(
    clippy::exhaustive_enums,
    reason = "a request has a tenant or has none"
)]
pub enum Admitted {
    /// The request is one tenant's.
    Tenant(TenantContext),
    /// The request has no tenant, as its route allows; there may be a verified credential.
    NoTenant(Option<Arc<Principal>>),
}

/// A decision that waits for a store.
#[must_use]
pub struct PendingAdmission {
    engine: Tenancy,
    facts: Box<RequestFacts<'static>>,
    load: Option<Load>,
}

/// Every kind of thing is loaded at most once, so that a decision ends long before this.
const MAX_LOADS: usize = 64;

impl PendingAdmission {
    pub(super) fn new(engine: Tenancy, facts: RequestFacts<'static>, load: Load) -> Self {
        Self {
            engine,
            facts: Box::new(facts),
            load: Some(load),
        }
    }

    pub(super) fn begin(engine: Tenancy, facts: RequestFacts<'static>) -> Self {
        Self {
            engine,
            facts: Box::new(facts),
            load: None,
        }
    }

    /// Loads what is missing and decides.
    ///
    /// Safe to drop at any point: nothing is left half done.
    ///
    /// # Errors
    /// The [`Refusal`] to answer with.
    pub async fn resolve(self) -> Result<Admitted, Refusal> {
        match settle(&self.engine, &self.facts, self.load).await {
            Ok(admitted) => Ok(admitted),
            Err(Unsettled::Refused(refused)) => {
                let inner = self.engine.inner();
                let is_unknown = refused.kind() == RefusalKind::TenantNotFound;
                if let (true, Some(actor)) = (is_unknown, refused.actor())
                    && self.facts.is_from_outside()
                {
                    inner.unknown_names.add(actor, inner.now());
                }
                Err(inner.refusals.record_admission(refused, &self.facts.client))
            }
            Err(Unsettled::Failed(refusal)) => Err(self.engine.inner().refusals.add(refusal)),
        }
    }
}

/// Why a decision did not admit.
pub(super) enum Unsettled {
    Refused(Refused),
    /// A store did not answer.
    Failed(Refusal),
}

/// Loads what is missing and decides, until there is an answer. Records nothing.
pub(super) async fn settle(
    engine: &Tenancy,
    facts: &RequestFacts<'_>,
    mut load: Option<Load>,
) -> Result<Admitted, Unsettled> {
    let mut loaded = Loaded::default();
    for _ in 0..MAX_LOADS {
        if let Some(load) = load.take() {
            let context = LoadContext {
                engine,
                credential: match &facts.presented {
                    PresentedCredential::OwnedText(text) => Some(Credential::new(text)),
                    _ => None,
                },
                now: engine.inner().now(),
            };
            if let Err(error) = load.run(context, &mut loaded).await {
                return Err(Unsettled::Failed(unavailable(&error)));
            }
        }
        match decide(engine, facts, &loaded, engine.inner().now()) {
            Ok(admitted) => return Ok(admitted),
            Err(Interrupt::Refused(refused)) => return Err(Unsettled::Refused(refused)),
            Err(Interrupt::Load(next)) => load = Some(next),
        }
    }
    tracing::error!("a decision did not end; please report this");
    let refusal = Refusal::new(RefusalKind::Internal, "decision-did-not-end");
    Err(Unsettled::Failed(refusal))
}

fn unavailable(error: &LoadError) -> Refusal {
    let (reason, retry_after) = match error {
        LoadError::Directory(_) => ("directory-unavailable", None),
        LoadError::Credential(lookup) => ("credential-lookup-unavailable", lookup.retry_after()),
    };
    let refusal = Refusal::new(RefusalKind::Unavailable, reason);
    match retry_after {
        // Not an outage: a caller has to wait, and chooses how often this happens.
        Some(wait) => {
            tracing::debug!(%error, "a request can't be decided yet");
            refusal.with_retry_after(wait)
        }
        None => {
            tracing::warn!(%error, "a request could not be decided");
            refusal
        }
    }
}

impl fmt::Debug for PendingAdmission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingAdmission")
            .field("load", &self.load)
            .finish_non_exhaustive()
    }
}
