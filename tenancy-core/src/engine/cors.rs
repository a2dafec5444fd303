//! The answer to a cross-origin request, for the layer that stands outside of admission.

use std::{fmt, net::IpAddr};

mod budget;

pub(super) use budget::Budget;

use super::{
    Tenancy,
    admission::{Unsettled, settle},
    decide::Interrupt,
    facts::{ClientInfo, RequestFacts},
    load::{Load, Loaded},
    refused::Refused,
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
    /// The page may. Let the framework's middleware answer the preflight, or add its fields to the
    /// response; `Access-Control-Allow-Origin` is the request's `Origin` as it was sent.
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

impl Tenancy {
    /// The policy for pages of other origins, checked and complete; `None` if none was given, and
    /// then an adapter's layer for CORS should fail to be built.
    #[must_use]
    pub fn cors_policy(&self) -> Option<&CorsPolicy> {
        self.inner().cors.as_ref()
    }

    /// Decides whether the page that sent a request may make it: at once, but for custom domains
    /// that are not in memory.
    ///
    /// Adapters call this with the request's method, in a layer outside of the router: preflights
    /// have no credential, and never reach [`admit`](Self::admit). Of a preflight the method and
    /// header fields that it announces are checked as well.
    ///
    /// What is asked is whether an origin is one of the service's. Whether it is the tenant's whose
    /// data is asked for is left to admission, apart from what the texts alone tell: a page of
    /// `globex.example.com` that calls `acme.example.com` or `/t/acme` is refused here.
    ///
    /// Refused preflights are counted, and audited as `cors.preflight` like other refusals of
    /// callers without a credential: once per source and reason in 10 s. Other requests are
    /// counted and audited by admission.
    ///
    /// # Security
    /// Not an authorization: whoever is no browser sends what it likes as `Origin`. The answer
    /// reveals which custom domains are served, and nothing about subdomains: see [`CorsPolicy`].
    ///
    /// # Example: in an adapter
    /// ```
    /// # use tenancy_core::{
    /// #     CorsAnswer, CorsDecision, CorsPolicy, Identification, MemoryDirectory, Tenancy,
    /// #     jwt::{Algorithm, JwtAuthenticator, VerificationKey}, testing::FakeRequest,
    /// # };
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let key = VerificationKey::hmac(Algorithm::HS256, b"0123456789abcdef0123456789abcdef")?;
    /// # let tenancy = Tenancy::builder(MemoryDirectory::new())
    /// #     .identification(Identification::new().subdomains_of("example.com"))
    /// #     .authenticator(JwtAuthenticator::builder("https://login.example", "x").key(key).build()?)
    /// #     .cors(CorsPolicy::new())
    /// #     .build()?;
    /// # let request = FakeRequest::new("/notes")
    /// #     .header("host", "api.example.net")
    /// #     .header("origin", "https://acme.example.com");
    /// let decision = match tenancy.cors(&request, "GET") {
    ///     CorsAnswer::Ready(decision) => decision,
    ///     CorsAnswer::Pending(pending) => pending.resolve().await,
    /// };
    /// assert!(matches!(decision, CorsDecision::Allowed));
    /// # Ok(())
    /// # }
    /// ```
    pub fn cors(&self, request: &dyn RequestView, method: &str) -> CorsAnswer {
        let Some(policy) = self.cors_policy() else {
            return CorsAnswer::Ready(CorsDecision::NotCors);
        };
        let rules = &self.inner().identification;
        let claim = policy.claim(rules, request);
        if claim == Ok(Claim::Unsaid) {
            return CorsAnswer::Ready(CorsDecision::NotCors);
        }
        let preflight = is_preflight(request, method).then(|| ClientInfo::of(rules, request));
        let page = match self.page(policy, claim, request, preflight.is_some()) {
            Ok(Some(page)) => page,
            Ok(None) => return CorsAnswer::Ready(CorsDecision::Allowed),
            Err(refused) => {
                let refusal = self.refuse_page(refused, preflight.as_ref());
                return CorsAnswer::Ready(CorsDecision::Refused(refusal));
            }
        };
        let now = self.now();
        self.poll_if_due(now);
        let facts = RequestFacts::of_page(page);
        match self.decide(&facts, &Loaded::default(), now) {
            Ok(_) => CorsAnswer::Ready(CorsDecision::Allowed),
            Err(Interrupt::Refused(refused)) => {
                let refusal = self.refuse_page(refused, preflight.as_ref());
                CorsAnswer::Ready(CorsDecision::Refused(refusal))
            }
            Err(Interrupt::Load(load)) => CorsAnswer::Pending(PendingCors {
                engine: self.clone(),
                facts: Box::new(facts.into_owned()),
                load,
                preflight,
                ip: rules.proxies().client_ip(request),
            }),
        }
    }

    /// Whether the directory may be asked about this page now. Whoever sends an origin has shown no
    /// credential, and can make up as many domains as it likes.
    fn may_ask_about(&self, page: &TenantKey, ip: Option<IpAddr>) -> bool {
        let inner = self.inner();
        let is_known = (inner.caches.tenants).has_heard_of(page, inner.versions.of_any());
        is_known || inner.origin_look_ups.take(ip, inner.clock.now())
    }

    /// The custom domain that must be a tenant's for the page to be allowed; `None` if it is
    /// allowed anyway.
    fn page<'a>(
        &self,
        policy: &CorsPolicy,
        claim: Result<Claim<'a>, OriginFault>,
        request: &dyn RequestView,
        preflight: bool,
    ) -> Result<Option<KeyRef<'a>>, Refused> {
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
            Some(caller) => self.record_refused("cors.preflight", refused, caller),
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
    /// that are nobody's: 64 from one source in 10 s, or 512 from all. A domain that has been a tenant's
    /// is looked up all the same. Safe to drop at any point: nothing is left half
    /// done.
    pub async fn resolve(self) -> CorsDecision {
        let engine = &self.engine;
        if let Ok(Claim::Tenant(page)) = &self.facts.origin
            && !engine.may_ask_about(&page.to_key(), self.ip)
        {
            let refusal = Refusal::new(RefusalKind::Unavailable, "origin-look-ups-spent");
            let refusal = refusal.with_retry_after(budget::WINDOW);
            return CorsDecision::Refused(match self.preflight {
                Some(_) => engine.count_failure(refusal),
                None => refusal,
            });
        }
        CorsDecision::Refused(match settle(engine, &self.facts, Some(self.load)).await {
            Ok(_) => return CorsDecision::Allowed,
            Err(Unsettled::Refused(refused)) => {
                engine.refuse_page(refused, self.preflight.as_ref())
            }
            Err(Unsettled::Failed(refusal)) if self.preflight.is_some() => {
                engine.count_failure(refusal)
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
