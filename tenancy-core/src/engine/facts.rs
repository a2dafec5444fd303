//! What a request says, read once: its credential, its hints, its project.

use std::{net::IpAddr, sync::Arc};

use zeroize::Zeroizing;

use crate::{
    AuditEntry, Credential, Principal, ProjectId, RefusalKind, Rejection, RequestView, RouteNeeds,
    TenantId, TraceId,
    cors::{Claim, OriginFault},
    engine::{Inner, credential::Found},
    identification::{Hint, HintFault, HintSource, Hints, KeyRef},
    request::Field,
};

/// The credential of a request, before or after verification.
pub(super) enum PresentedCredential<'a> {
    Nothing,
    /// More than one: which of two would count is nothing that a caller may choose.
    Several,
    Fault(Rejection),
    Text(Credential<'a>),
    OwnedText(Zeroizing<String>),
    /// Vouched for by the application's own middleware.
    Established(Arc<Principal>),
    /// Admitted before, by this engine.
    Verified(Arc<Principal>),
}

/// What a request says. Untrusted, apart from a credential that is already verified.
pub(super) struct RequestFacts<'a> {
    pub(super) presented: PresentedCredential<'a>,
    /// Where the credential stood, by position.
    pub(super) source: Option<usize>,
    /// Why a page of another site may have sent the request, where the credential forbids that.
    pub(super) cross_site: Option<OriginFault>,
    /// Whose page sent the request. A tenant's is among the hints, too.
    pub(super) origin: Result<Claim<'a>, OriginFault>,
    pub(super) hints: Result<Hints<'a>, HintFault>,
    pub(super) project: Result<Option<ProjectId>, HintFault>,
    pub(super) needs: RouteNeeds,
    pub(super) client: ClientInfo,
}

impl<'a> RequestFacts<'a> {
    pub(super) fn read(engine: &Inner, request: &'a dyn RequestView, needs: RouteNeeds) -> Self {
        let rules = &engine.identification;
        let origin = engine
            .cors
            .as_ref()
            .map_or(Ok(Claim::Unsaid), |policy| policy.claim(rules, request));
        let mut hints = rules.hints(request);
        if let (Ok(hints), Ok(Claim::Tenant(key))) = (&mut hints, &origin) {
            hints.push(Hint {
                source: HintSource::Origin,
                key: key.clone(),
            });
        }
        let Found {
            presented,
            source,
            cross_site,
        } = Found::read(engine, request, needs);
        Self {
            presented,
            source,
            cross_site,
            origin,
            hints,
            project: rules.project(request),
            needs,
            client: ClientInfo::of(engine, request),
        }
    }

    /// The facts about somebody who has been admitted before.
    pub(super) fn of_admitted(
        presented: PresentedCredential<'a>,
        tenant: TenantId,
        project: Option<ProjectId>,
        client: ClientInfo,
    ) -> Self {
        let hint = Hint {
            source: HintSource::Application,
            key: KeyRef::Id(tenant),
        };
        Self {
            presented,
            source: None,
            cross_site: None,
            origin: Ok(Claim::Unsaid),
            hints: Ok(Hints::One(hint)),
            project: Ok(project),
            needs: RouteNeeds::tenant().or_anonymous(),
            client,
        }
    }

    /// The facts about a page of this tenant, and about nothing else.
    pub(super) fn of_page(page: KeyRef<'a>) -> Self {
        Self {
            presented: PresentedCredential::Nothing,
            source: None,
            cross_site: None,
            origin: Ok(Claim::Tenant(page)),
            hints: Ok(Hints::None),
            project: Ok(None),
            needs: RouteNeeds::central(),
            client: ClientInfo::default(),
        }
    }

    /// Whether somebody from outside asks for a tenant by name.
    pub(super) fn is_from_outside(&self) -> bool {
        let from_outside = |hint: &Hint<'_>| hint.source != HintSource::Application;
        let hints = self.hints.as_deref().unwrap_or_default();
        !hints.is_empty()
            && hints.iter().all(from_outside)
            && !matches!(self.presented, PresentedCredential::Verified(_))
    }

    /// Whether the route lets a caller in as nobody in particular, rather than refuse it like this.
    pub(super) fn pardons(&self, refusal: RefusalKind) -> bool {
        match (refusal, &self.presented) {
            (_, PresentedCredential::Nothing | PresentedCredential::Several) => false,
            (RefusalKind::Unauthenticated, _) => self.needs.anonymous_if_stale,
            (RefusalKind::TenantNotFound, _) => self.needs.anonymous_if_not_member,
            _ => false,
        }
    }

    pub(super) fn into_owned(self) -> RequestFacts<'static> {
        let presented = match self.presented {
            PresentedCredential::Nothing => PresentedCredential::Nothing,
            PresentedCredential::Several => PresentedCredential::Several,
            PresentedCredential::Fault(fault) => PresentedCredential::Fault(fault),
            PresentedCredential::Text(text) => {
                PresentedCredential::OwnedText(Zeroizing::new(text.expose().to_owned()))
            }
            PresentedCredential::OwnedText(text) => PresentedCredential::OwnedText(text),
            PresentedCredential::Established(principal) => {
                PresentedCredential::Established(principal)
            }
            PresentedCredential::Verified(principal) => PresentedCredential::Verified(principal),
        };
        RequestFacts {
            presented,
            source: self.source,
            cross_site: self.cross_site,
            origin: self.origin.map(Claim::into_owned),
            hints: self.hints.map(Hints::into_owned),
            project: self.project,
            needs: self.needs,
            client: self.client,
        }
    }
}

/// Who sent a request, for the audit trail.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClientInfo {
    pub(super) ip: Option<IpAddr>,
    pub(super) user_agent: Option<Arc<str>>,
    /// The id that the service gave the request.
    pub(super) request_id: Option<Arc<str>>,
    pub(super) trace: Option<TraceId>,
}

impl ClientInfo {
    pub(super) fn of(engine: &Inner, request: &dyn RequestView) -> Self {
        let user_agent = match request.header("user-agent") {
            // Only visible ASCII arrives as text, so that any byte is a boundary.
            Field::One(agent) => agent.get(..agent.len().min(256)).map(Arc::from),
            _ => None,
        };
        Self {
            ip: engine.identification.proxies().client_ip(request),
            user_agent,
            request_id: engine.request_id(request),
            trace: match request.header("traceparent") {
                Field::One(parent) => TraceId::of_traceparent(parent),
                _ => None,
            },
        }
    }

    /// Fills in who sent the request, where the entry does not say it already.
    pub(super) fn sign(&self, entry: &mut AuditEntry) {
        let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
        entry.ip = entry.ip.or(self.ip);
        entry.trace_id = entry.trace_id.or(self.trace);
        if entry.user_agent.is_none() {
            entry.user_agent = text(&self.user_agent);
        }
        if entry.request_id.is_none() {
            entry.request_id = text(&self.request_id);
        }
    }
}

impl Inner {
    /// The id of a request, where the engine was told which header field has it: no longer than 128 bytes.
    fn request_id(&self, request: &dyn RequestView) -> Option<Arc<str>> {
        match request.header(self.request_id_header.as_deref()?) {
            // Only visible ASCII arrives as text, so that any byte is a boundary.
            Field::One(id) if !id.is_empty() => id.get(..id.len().min(128)).map(Arc::from),
            _ => None,
        }
    }
}
