//! What a request says, read once: its credential, its hints, its project.

use std::{net::IpAddr, sync::Arc};

use zeroize::Zeroizing;

use crate::{
    Credential, Identification, Principal, ProjectId, Rejection, RequestView, RouteNeeds, TenantId,
    authenticator::MAX_CREDENTIAL_LEN,
    cors::{Claim, OriginFault},
    engine::{Inner, keys::Keys},
    identification::{Hint, HintFault, HintSource, KeyRef},
    request::Field,
};

/// The credential of a request, before or after verification.
pub(super) enum Presented<'a> {
    Nothing,
    Fault(Rejection),
    Text(Credential<'a>),
    OwnedText(Zeroizing<String>),
    Verified(Arc<Principal>),
}

/// What a request says. Untrusted, apart from a credential that is already verified.
pub(super) struct Facts<'a> {
    pub(super) presented: Presented<'a>,
    /// Whose page sent the request. A tenant's is among the hints, too.
    pub(super) origin: Result<Claim<'a>, OriginFault>,
    pub(super) hints: Result<Vec<Hint<'a>>, HintFault>,
    pub(super) project: Result<Option<ProjectId>, HintFault>,
    pub(super) needs: RouteNeeds,
    pub(super) ip: Option<IpAddr>,
}

impl<'a> Facts<'a> {
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
        Self {
            presented: read_credential(engine.keys.as_ref(), request),
            origin,
            hints,
            project: rules.project(request),
            needs,
            ip: rules.proxies().client_ip(request),
        }
    }

    /// The facts about somebody who has been admitted before.
    pub(super) fn of_admitted(
        presented: Presented<'a>,
        tenant: TenantId,
        project: Option<ProjectId>,
        ip: Option<IpAddr>,
    ) -> Self {
        let hint = Hint {
            source: HintSource::Application,
            key: KeyRef::Id(tenant),
        };
        Self {
            presented,
            origin: Ok(Claim::Unsaid),
            hints: Ok(vec![hint]),
            project: Ok(project),
            needs: RouteNeeds::tenant().or_anonymous(),
            ip,
        }
    }

    /// The facts about a page of this tenant, and about nothing else.
    pub(super) fn of_page(page: KeyRef<'a>) -> Self {
        Self {
            presented: Presented::Nothing,
            origin: Ok(Claim::Tenant(page)),
            hints: Ok(Vec::new()),
            project: Ok(None),
            needs: RouteNeeds::central(),
            ip: None,
        }
    }

    pub(super) fn into_owned(self) -> Facts<'static> {
        let presented = match self.presented {
            Presented::Nothing => Presented::Nothing,
            Presented::Fault(fault) => Presented::Fault(fault),
            Presented::Text(text) => Presented::OwnedText(Zeroizing::new(text.expose().to_owned())),
            Presented::OwnedText(text) => Presented::OwnedText(text),
            Presented::Verified(principal) => Presented::Verified(principal),
        };
        Facts {
            presented,
            origin: self.origin.map(Claim::into_owned),
            hints: self
                .hints
                .map(|hints| hints.into_iter().map(Hint::into_owned).collect()),
            project: self.project,
            needs: self.needs,
            ip: self.ip,
        }
    }
}

/// Reads the credential: from `Authorization`, or from the header field of API keys if there is one.
fn read_credential<'a>(keys: Option<&Keys>, request: &'a dyn RequestView) -> Presented<'a> {
    let bearer = read_bearer(request);
    let config = keys.map(|keys| &keys.config);
    let Some((config, name)) = config.and_then(|c| Some((c, c.header.as_deref()?))) else {
        return bearer;
    };
    let text = match request.header(name) {
        Field::Absent => return bearer,
        Field::Repeated => return Presented::Fault(Rejection::new("credential-repeated")),
        Field::NotText => return Presented::Fault(Rejection::new("credential-not-text")),
        Field::One(text) => text,
    };
    match bearer {
        // Which of two would count is nothing that a caller may choose.
        Presented::Nothing if config.recognizes(text) => Presented::Text(Credential::new(text)),
        Presented::Nothing => Presented::Fault(Rejection::new("credential-malformed")),
        _ => Presented::Fault(Rejection::new("credential-repeated")),
    }
}

/// Reads `Authorization: Bearer …` (RFC 6750 §2.1).
fn read_bearer(request: &dyn RequestView) -> Presented<'_> {
    let value = match request.header("authorization") {
        Field::Absent => return Presented::Nothing,
        Field::Repeated => return Presented::Fault(Rejection::new("credential-repeated")),
        Field::NotText => return Presented::Fault(Rejection::new("credential-not-text")),
        Field::One(value) => value,
    };
    let Some((scheme, token)) = value.split_once(' ') else {
        return Presented::Fault(Rejection::new("credential-malformed"));
    };
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Presented::Fault(Rejection::new("credential-scheme-unknown"));
    }
    if token.len() > MAX_CREDENTIAL_LEN {
        return Presented::Fault(Rejection::new("credential-oversized"));
    }
    // To the end without a branch, many bytes at once: this is done for each request.
    let separators = |found, byte: &u8| found | u8::from(*byte == b' ') | u8::from(*byte == b',');
    if token.is_empty() || token.as_bytes().iter().fold(0, separators) != 0 {
        return Presented::Fault(Rejection::new("credential-malformed"));
    }
    Presented::Text(Credential::new(token))
}

/// Who sent a request, for the audit trail.
#[derive(Debug, Clone, Default)]
pub(super) struct Caller {
    pub(super) ip: Option<IpAddr>,
    pub(super) user_agent: Option<String>,
}

impl Caller {
    pub(super) fn of(rules: &Identification, request: &dyn RequestView) -> Self {
        let user_agent = match request.header("user-agent") {
            // Only visible ASCII arrives as text, so that any byte is a boundary.
            Field::One(agent) => agent.get(..agent.len().min(256)).map(str::to_owned),
            _ => None,
        };
        Self {
            ip: rules.proxies().client_ip(request),
            user_agent,
        }
    }
}
