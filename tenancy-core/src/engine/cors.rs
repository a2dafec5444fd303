//! The answer to a cross-origin request, for the layer that stands outside of admission.

use std::{fmt, net::IpAddr, time::Duration};

mod budget;

pub(super) use budget::Budget;

use super::{
    Inner, Tenancy,
    admission::{Unsettled, settle},
    decide::{Interrupt, decide},
    facts::{ClientInfo, RequestFacts},
    feed::Poller,
    load::{Load, Loaded},
    refusal_log::Refused,
};
use crate::{
    CorsPolicy, Refusal, RefusalKind, RequestView, TenantKey,
    cors::{Claim, OriginFault, is_preflight},
    identification::KeyRef,
};

/// The answer to [`Tenancy::cors`].
#[derive(Debug)]
#[must_use]
#[allow(
    clippy::exhaustive_enums,
    reason = "an answer is there or is not; adapters match on both"
)]
pub enum CorsAnswer {
    /// Decided from memory.
    Ready(CorsDecision),
    /// A custom domain must be looked up first.
    Pending(PendingCors),
}

/// Whether the page that sent a request may make it, and read the response.
#[derive(Debug, Clone)]
#[must_use]
#[allow(
    clippy::exhaustive_enums,
    reason = "an adapter that overlooks an answer must not compile"
)]
pub enum CorsDecision {
    /// No page of another origin is concerned, or there is no policy: pass the request on, and
    /// leave the response alone.
    NotCors,
    /// The page may. Answer the preflight, or add the fields of CORS to the response;
    /// `Access-Control-Allow-Origin` is the request's `Origin` as it was sent.
    Allowed,
    /// The page may not. Answer a preflight with this refusal. Pass any other request on, and add
    /// no field of CORS to its response: a route of the tenancy refuses it by itself.
    Refused(Refusal),
}

/// A decision about an origin that waits for the directory.
#[must_use]
pub struct PendingCors {
    engine: Tenancy,
    facts: Box<RequestFacts<'static>>,
    load: Load,
    /// Who sent the preflight; `None` if it is none.
    preflight: Option<ClientInfo>,
    ip: Option<IpAddr>,
}

/// Decides about the pages that send requests, for one engine.
pub(super) struct CorsCheck<'a> {
    engine: &'a Tenancy,
}

impl<'a> CorsCheck<'a> {
    pub(super) const fn of(engine: &'a Tenancy) -> Self {
        Self { engine }
    }

    fn inner(&self) -> &'a Inner {
        self.engine.inner()
    }

    /// The answer, or what has to be looked up for it.
    pub(super) fn answer(&self, request: &dyn RequestView, method: &str) -> CorsAnswer {
        let Some(policy) = self.engine.cors_policy() else {
            return CorsAnswer::Ready(CorsDecision::NotCors);
        };
        let rules = &self.inner().identification;
        let claim = policy.claim(rules, request);
        if claim == Ok(Claim::Unsaid) {
            return CorsAnswer::Ready(CorsDecision::NotCors);
        }
        let preflight =
            is_preflight(request, method).then(|| ClientInfo::of(self.inner(), request));
        let page = match self.page(policy, claim, request, preflight.is_some()) {
            Ok(Some(page)) => page,
            Ok(None) => return CorsAnswer::Ready(CorsDecision::Allowed),
            Err(refused) => {
                let refusal = self.refuse_page(refused, preflight.as_ref());
                return CorsAnswer::Ready(CorsDecision::Refused(refusal));
            }
        };
        let now = self.inner().now();
        Poller::of(self.engine).poll_if_due(now);
        let facts = RequestFacts::of_page(page);
        match decide(self.engine, &facts, &Loaded::default(), now) {
            Ok(_) => CorsAnswer::Ready(CorsDecision::Allowed),
            Err(Interrupt::Refused(refused)) => {
                let refusal = self.refuse_page(refused, preflight.as_ref());
                CorsAnswer::Ready(CorsDecision::Refused(refusal))
            }
            Err(Interrupt::Load(load)) => CorsAnswer::Pending(PendingCors {
                engine: self.engine.clone(),
                facts: Box::new(facts.into_owned()),
                load,
                preflight,
                ip: rules.proxies().client_ip(request),
            }),
        }
    }

    /// Whether the directory may be asked about this page now. Whoever sends an origin has shown no
    /// credential, and can make up as many domains as it likes. Else for how long not.
    fn may_ask_about(&self, page: &TenantKey, ip: Option<IpAddr>) -> Result<(), Duration> {
        let inner = self.inner();
        if (inner.caches.tenants).has_heard_of(page, inner.versions.of_any()) {
            return Ok(());
        }
        inner.origin_look_ups.take(ip, inner.clock.now())
    }

    /// The custom domain that must be a tenant's for the page to be allowed; `None` if it is
    /// allowed anyway.
    fn page<'p>(
        &self,
        policy: &CorsPolicy,
        claim: Result<Claim<'p>, OriginFault>,
        request: &dyn RequestView,
        preflight: bool,
    ) -> Result<Option<KeyRef<'p>>, Refused> {
        let refused = |reason| Refused::new(RefusalKind::OriginNotAllowed, reason);
        let claim = claim.map_err(|fault| Refused::of_page(&fault))?;
        if preflight {
            policy.check_preflight(request).map_err(refused)?;
        }
        let Claim::Tenant(page) = claim else {
            return Ok(None);
        };
        let about = |reason| refused(reason).target(format!("origin={}", page.to_key()));
        let named = self
            .inner()
            .identification
            .url_hints(request)
            .map_err(|fault| about(fault.reason))?;
        // A tenant has one slug. What else names it, the directory would have to tell.
        let another = named.iter().any(
            |hint| matches!((hint.key.slug(), page.slug()), (Some(one), Some(other)) if one != other),
        );
        if another {
            return Err(about("origin-of-another-tenant"));
        }
        Ok(page.is_domain().then_some(page))
    }

    fn refuse_page(&self, refused: Refused, preflight: Option<&ClientInfo>) -> Refusal {
        let refusal = match preflight {
            Some(caller) => (self.inner().refusals).record("cors.preflight", refused, caller),
            None => refused.into_refusal(),
        };
        tracing::debug!(reason = refusal.reason(), "a page may not make its request");
        refusal
    }
}

impl PendingCors {
    /// Looks the domain up and decides.
    ///
    /// If the directory does not answer, the decision is a refusal of the kind
    /// [`Unavailable`](RefusalKind::Unavailable). So it is where callers have asked about too many domains
    /// that are nobody's: 64 from one source at once, and then as many in 10 s, or 512 from all. A domain that has been a tenant's
    /// is looked up all the same. Safe to drop at any point: nothing is left half
    /// done.
    pub async fn resolve(self) -> CorsDecision {
        let engine = &self.engine;
        if let Ok(Claim::Tenant(page)) = &self.facts.origin
            && let Err(wait) = CorsCheck::of(engine).may_ask_about(&page.to_key(), self.ip)
        {
            let refusal = Refusal::new(RefusalKind::Unavailable, "origin-look-ups-spent");
            let refusal = refusal.with_retry_after(wait);
            return CorsDecision::Refused(match self.preflight {
                Some(_) => engine.inner().refusals.add(refusal),
                None => refusal,
            });
        }
        CorsDecision::Refused(match settle(engine, &self.facts, Some(self.load)).await {
            Ok(_) => return CorsDecision::Allowed,
            Err(Unsettled::Refused(refused)) => {
                CorsCheck::of(engine).refuse_page(refused, self.preflight.as_ref())
            }
            Err(Unsettled::Failed(refusal)) if self.preflight.is_some() => {
                engine.inner().refusals.add(refusal)
            }
            Err(Unsettled::Failed(refusal)) => refusal,
        })
    }
}

impl fmt::Debug for PendingCors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingCors")
            .field("load", &self.load)
            .finish_non_exhaustive()
    }
}
