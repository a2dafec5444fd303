//! Reading the one credential of a request, wherever it stands.

use zeroize::Zeroizing;

use super::{
    Inner,
    facts::PresentedCredential,
    sources::{Source, Sources},
};
use crate::{
    CorsPolicy, Credential, Identification, Rejection, RequestView, RouteNeeds,
    authenticator::MAX_CREDENTIAL_LEN,
    cors::{OriginFault, same_origin},
    credential_source::Place,
    request::Field,
};

/// The credential of a request, and where it stood.
pub(super) struct Found<'a> {
    pub(super) presented: PresentedCredential<'a>,
    /// The source by position; `None` if it is none of them.
    pub(super) source: Option<usize>,
    /// Why it can't be taken from a request that a page of another site may have sent.
    pub(super) cross_site: Option<OriginFault>,
}

impl<'a> Found<'a> {
    pub(super) const fn of(presented: PresentedCredential<'a>) -> Self {
        Self {
            presented,
            source: None,
            cross_site: None,
        }
    }

    /// Reads a request for a tenant, or for none.
    pub(super) fn read(engine: &Inner, request: &'a dyn RequestView, needs: RouteNeeds) -> Self {
        Self::read_from(
            &engine.sources,
            engine.cors.as_ref(),
            engine,
            request,
            needs,
        )
    }

    /// Reads a request of an operator. No policy for pages of others counts for it.
    pub(super) fn of_operator(
        sources: &Sources,
        engine: &Inner,
        request: &'a dyn RequestView,
    ) -> Self {
        Self::read_from(sources, None, engine, request, RouteNeeds::central())
    }

    fn read_from(
        sources: &Sources,
        policy: Option<&CorsPolicy>,
        engine: &Inner,
        request: &'a dyn RequestView,
        needs: RouteNeeds,
    ) -> Self {
        let mut found = authorization(sources, request);
        for (index, source) in sources.iter() {
            if let Some(presented) = read(source, &engine.identification, request) {
                let presented = engine.recognized(source, presented);
                found = Some(match found {
                    None => (Some(index), presented),
                    Some(_) => (None, PresentedCredential::Several),
                });
            }
        }
        let mut needs_same_origin = found
            .as_ref()
            .and_then(|(index, _)| sources.get((*index)?))
            .is_some_and(|source| source.from.needs_same_origin);
        if let Some(taken) = sources.established
            && let Some(established) = request.established()
        {
            needs_same_origin = taken.needs_same_origin;
            found = Some(match found {
                None => (
                    None,
                    PresentedCredential::Established(established.into_principal()),
                ),
                Some(_) => (None, PresentedCredential::Several),
            });
        }
        let Some((source, presented)) = found else {
            return Self::of(PresentedCredential::Nothing);
        };
        let cross_site = if needs_same_origin {
            same_origin(policy, &engine.identification, request, needs).err()
        } else {
            None
        };
        Self {
            presented,
            source,
            cross_site,
        }
    }
}

impl Inner {
    /// A field that only keys stand in has nothing else in it.
    fn recognized<'a>(
        &self,
        source: &Source,
        presented: PresentedCredential<'a>,
    ) -> PresentedCredential<'a> {
        let text = match &presented {
            PresentedCredential::Text(text) => *text,
            _ => return presented,
        };
        let only_keys = source.keys && source.authenticators.is_empty();
        let is_key = |keys: &super::Keys| keys.config.recognizes(text.expose());
        if only_keys && !self.keys.as_ref().is_some_and(is_key) {
            return fault("credential-malformed");
        }
        presented
    }
}

const fn fault<'a>(reason: &'static str) -> PresentedCredential<'a> {
    PresentedCredential::Fault(Rejection::new(reason))
}

/// Reads `Authorization`, which is a credential whatever its scheme.
fn authorization<'a>(
    sources: &Sources,
    request: &'a dyn RequestView,
) -> Option<(Option<usize>, PresentedCredential<'a>)> {
    let value = match request.header("authorization") {
        Field::Absent => return None,
        Field::Repeated => return Some((None, PresentedCredential::Several)),
        Field::NotText => return Some((None, fault("credential-not-text"))),
        Field::One(value) => value,
    };
    // The scheme is short: a search of many bytes at once takes longer to begin.
    let space = value.bytes().position(|byte| byte == b' ');
    let split = space.and_then(|at| Some((value.get(..at)?, value.get(at + 1..)?)));
    let Some((scheme, text)) = split else {
        return Some((None, fault("credential-malformed")));
    };
    let named = |source: &Source| match &source.from.place {
        Place::Scheme { name, .. } => name.eq_ignore_ascii_case(scheme),
        _ => false,
    };
    let mut all = sources.iter();
    let Some((index, _)) = all.find(|(_, source)| named(source)) else {
        return Some((None, fault("credential-scheme-unknown")));
    };
    let presented = if scheme.eq_ignore_ascii_case("bearer") {
        bearer(text)
    } else {
        whole(text.trim_start())
    };
    Some((Some(index), presented))
}

/// Reads what follows `Bearer` (RFC 6750 §2.1).
fn bearer(token: &str) -> PresentedCredential<'_> {
    // To the end without a branch, many bytes at once: this is done for each request.
    let separators = |found, byte: &u8| found | u8::from(*byte == b' ') | u8::from(*byte == b',');
    match whole(token) {
        PresentedCredential::Text(_) if token.as_bytes().iter().fold(0, separators) != 0 => {
            fault("credential-malformed")
        }
        presented => presented,
    }
}

/// Takes a text for a credential.
fn whole(text: &str) -> PresentedCredential<'_> {
    if text.len() > MAX_CREDENTIAL_LEN {
        fault("credential-oversized")
    } else if text.is_empty() {
        fault("credential-malformed")
    } else {
        PresentedCredential::Text(Credential::new(text))
    }
}

/// Reads the credential at any other place than `Authorization`; `None` if there is none.
fn read<'a>(
    source: &Source,
    rules: &Identification,
    request: &'a dyn RequestView,
) -> Option<PresentedCredential<'a>> {
    match &source.from.place {
        Place::Scheme { .. } => None,
        Place::Header(name) => field(request.header(name)),
        Place::Cookie(name) => cookie(request, name),
        Place::ClientCertificate(name) => match field(request.header(name)) {
            Some(_) if !rules.proxies().sent(request) => {
                Some(fault("certificate-from-untrusted-peer"))
            }
            // Proxies write an empty field where there was no certificate.
            Some(_) if request.header(name) == Field::One("") => None,
            presented => presented,
        },
        Place::Request { read, .. } => match read(request) {
            Ok(None) => None,
            Ok(Some(text)) if text.is_empty() => Some(fault("credential-malformed")),
            Ok(Some(text)) if text.len() > MAX_CREDENTIAL_LEN => {
                Some(fault("credential-oversized"))
            }
            Ok(Some(text)) => Some(PresentedCredential::OwnedText(Zeroizing::new(text))),
            Err(rejection) => Some(PresentedCredential::Fault(rejection)),
        },
    }
}

fn field(field: Field<'_>) -> Option<PresentedCredential<'_>> {
    match field {
        Field::Absent => None,
        Field::One(text) => Some(whole(text)),
        Field::Repeated => Some(PresentedCredential::Several),
        Field::NotText => Some(fault("credential-not-text")),
    }
}

/// Reads a cookie (RFC 6265 §4.2), which may stand in any line of `Cookie` (RFC 9113 §8.2.3).
///
/// Other cookies are other people's, and need not be text.
fn cookie<'a>(request: &'a dyn RequestView, name: &str) -> Option<PresentedCredential<'a>> {
    let mut found = None;
    for line in request.lines("cookie") {
        for pair in line.split(|byte| *byte == b';') {
            let pair = pair.trim_ascii_start();
            let Some(value) = pair
                .strip_prefix(name.as_bytes())
                .and_then(|rest| rest.strip_prefix(b"="))
            else {
                continue;
            };
            if found.is_some() {
                return Some(PresentedCredential::Several);
            }
            let value = std::str::from_utf8(value.trim_ascii_end());
            found = Some(match value {
                Ok(text) if text.bytes().all(|b| matches!(b, b' '..=b'~')) => whole(text),
                _ => fault("credential-not-text"),
            });
        }
    }
    found
}
