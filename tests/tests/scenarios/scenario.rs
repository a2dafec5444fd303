//! A scenario: what is sent, and everything that must come of it.

use serde_json::Value;

/// What is sent, and everything that must come of it.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    /// The route it is about, as [`name`](crate::routes::name) calls it; none for unknown paths.
    pub(crate) route: Option<&'static str>,
    pub(crate) service: Shape,
    pub(crate) request: Request,
    pub(crate) wanted: Wanted,
}

/// How the service is put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Shape {
    /// Area by area.
    Areas,
    /// Area by area, with the framework's path normalisation outside.
    Normalized,
    /// One layer around the whole service.
    Covered,
    /// Area by area, with every caller taken for a trusted proxy.
    BehindProxy,
    /// Area by area, with API keys beside tokens.
    Keys,
    /// Area by area, with tokens of issuers that publish their keys.
    Tokens,
    /// Area by area, with a policy for pages of other origins, and security headers outside.
    Pages,
    /// Area by area, with sessions in a cookie and elsewhere, and a middleware of the application's own
    /// that establishes principals; every caller is taken for a trusted proxy.
    Sessions,
    /// Area by area, with sessions in a cookie and no tokens, the same middleware, and an engine that
    /// takes no established principal; callers are no proxies.
    Cookies,
    /// Area by area, with sessions in a cookie, and a policy that lets pages of other origins send it.
    CookiesOfPages,
}

impl Shape {
    pub(crate) const ALL: [Self; 10] = [
        Self::Areas,
        Self::Normalized,
        Self::Covered,
        Self::BehindProxy,
        Self::Keys,
        Self::Tokens,
        Self::Pages,
        Self::Sessions,
        Self::Cookies,
        Self::CookiesOfPages,
    ];
}

/// What is sent.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) http2: bool,
    pub(crate) method: &'static str,
    /// The target; `{acme}` stands for a tenant's id, `{acme:1}` for a note's.
    pub(crate) target: String,
    pub(crate) host: Option<&'static str>,
    pub(crate) credential: Option<Credential>,
    /// Further fields, in this order; values as in the target.
    pub(crate) fields: Vec<(&'static str, Vec<u8>)>,
    pub(crate) body: Body,
}

/// What follows the head.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Nothing,
    Json(Value),
    /// This length is announced, and not one byte of it sent.
    Announced(u64),
}

/// What is sent as a credential.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Credential {
    /// A good token of this user.
    Of(&'static str),
    /// A token that has expired.
    Expired(&'static str),
    /// A token of another issuer.
    OfAnotherIssuer(&'static str),
    /// A token that somebody else signed.
    Forged(&'static str),
    /// Text instead of a token.
    Text(&'static str),
    /// The token of this name, of an issuer that publishes its keys.
    Token(&'static str),
    /// The API key of this name.
    Key(&'static str),
    /// The same, in `X-Api-Key`.
    KeyField(&'static str),
    /// The same, with one character of its secret changed and a checksum that fits.
    Guess(&'static str),
    /// Two good tokens.
    Twice(&'static str),
    /// An open session of this user.
    Session(Place, &'static str),
    /// The cookie of a session of this user that has ended.
    Ended(&'static str),
}

/// Where a session's credential stands.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    Cookie,
    /// `Authorization: Token`.
    Scheme,
    Field(&'static str),
    /// What a proxy says of a client certificate.
    Certificate,
    /// Where the application's own middleware finds it.
    Application,
}

/// What must come of it.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// The status, or one of several where the frameworks differ; none: the connection is closed
    /// without an answer.
    pub(crate) status: Vec<u16>,
    pub(crate) body: WantedBody,
    pub(crate) fields: Vec<(&'static str, Option<&'static str>)>,
    /// The audit entries, as `action reason actor tenant`.
    pub(crate) audit: Vec<&'static str>,
    /// Whether, instead of these, the tenancy's refusal may be audited: where the server may have
    /// been quicker.
    pub(crate) may_audit: bool,
    /// How many notes `acme` and `globex` have afterwards.
    pub(crate) rows: (i64, i64),
    /// Whose notes have been overwritten.
    pub(crate) overwritten: Vec<&'static str>,
    /// What an error in the log must name, and no other error may be there.
    pub(crate) logged: Vec<&'static str>,
}

/// The body that must come.
#[derive(Debug, Clone)]
pub(crate) enum WantedBody {
    /// The framework's own words, if any. Such answers are not compared between frameworks.
    Any,
    Empty,
    Json(Value),
    /// A problem of this type, and the permission it names.
    Problem(&'static str, Option<&'static str>),
}

/// How many notes the two tenants have before each scenario.
pub(crate) const ROWS: (i64, i64) = (3, 5);

/// A request that names no tenant and has no credential, and is answered with 200.
pub(crate) fn send(method: &'static str, target: &str) -> Scenario {
    Scenario {
        name: String::new(),
        route: None,
        service: Shape::Areas,
        request: Request {
            http2: false,
            method,
            target: target.to_owned(),
            host: Some("localhost"),
            credential: None,
            fields: Vec::new(),
            body: Body::Nothing,
        },
        wanted: Wanted {
            status: vec![200],
            body: WantedBody::Any,
            fields: Vec::new(),
            audit: Vec::new(),
            may_audit: false,
            rows: ROWS,
            overwritten: Vec::new(),
            logged: Vec::new(),
        },
    }
}

/// A request to a route without parameters.
pub(crate) fn get(path: &'static str) -> Scenario {
    send("GET", path)
}

impl Scenario {
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// The row of the table, where it is not the method and the target.
    pub(crate) fn about(mut self, route: &'static str) -> Self {
        self.route = Some(route);
        self
    }

    pub(crate) fn on(mut self, service: Shape) -> Self {
        self.service = service;
        self
    }

    /// At a tenant's subdomain.
    pub(crate) fn at(mut self, host: &'static str) -> Self {
        self.request.host = Some(host);
        self
    }

    pub(crate) fn without_host(mut self) -> Self {
        self.request.host = None;
        self
    }

    pub(crate) fn by(self, user: &'static str) -> Self {
        self.with(Credential::Of(user))
    }

    pub(crate) fn with(mut self, credential: Credential) -> Self {
        self.request.credential = Some(credential);
        self
    }

    pub(crate) fn field(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.request.fields.push((name, value.as_ref().to_vec()));
        self
    }

    pub(crate) fn json(mut self, body: Value) -> Self {
        self.request.body = Body::Json(body);
        self
    }

    pub(crate) fn announcing(mut self, length: u64) -> Self {
        self.request.body = Body::Announced(length);
        self
    }

    pub(crate) fn over_http2(mut self) -> Self {
        self.request.http2 = true;
        self
    }

    /// Answered with 200 and this.
    pub(crate) fn says(self, body: Value) -> Self {
        self.answers(200, WantedBody::Json(body))
    }

    pub(crate) fn answers(mut self, status: u16, body: WantedBody) -> Self {
        self.wanted.status = vec![status];
        self.wanted.body = body;
        self
    }

    /// Answered with a problem.
    pub(crate) fn refused(self, status: u16, problem: &'static str) -> Self {
        let challenge = (status == 401).then_some("Bearer");
        self.answers(status, WantedBody::Problem(problem, None))
            .answering("content-type", Some("application/problem+json"))
            .answering("cache-control", Some("no-store"))
            .answering("www-authenticate", challenge)
    }

    /// Status 401 names these schemes.
    pub(crate) fn challenged(mut self, schemes: Option<&'static str>) -> Self {
        let of_challenge = |(name, _): &(&str, _)| *name == "www-authenticate";
        self.wanted.fields.retain(|field| !of_challenge(field));
        self.answering("www-authenticate", schemes)
    }

    /// Refused because this permission is not held.
    pub(crate) fn denied(mut self, permission: &'static str) -> Self {
        self = self.refused(403, "permission-denied");
        self.wanted.body = WantedBody::Problem("permission-denied", Some(permission));
        self
    }

    /// Refused because the service is put together wrongly; the log names each of these.
    pub(crate) fn misconfigured(mut self, logged: &[&'static str]) -> Self {
        self = self.refused(500, "internal");
        self.wanted.logged = logged.to_vec();
        self
    }

    /// Answered by the framework's own, which is one of these.
    pub(crate) fn one_of(mut self, statuses: &[u16]) -> Self {
        self.wanted.status = statuses.to_vec();
        self.wanted.body = WantedBody::Any;
        self
    }

    /// Answered as GET would be, without the body.
    pub(crate) fn refused_to_head(self, status: u16) -> Self {
        self.answers(status, WantedBody::Empty)
            .answering("content-type", Some("application/problem+json"))
            .answering("cache-control", Some("no-store"))
    }

    pub(crate) fn target(mut self, target: &str) -> Self {
        self.request.target = target.to_owned();
        self
    }

    pub(crate) fn closes(mut self) -> Self {
        self.wanted.status = Vec::new();
        self
    }

    pub(crate) fn answering(mut self, field: &'static str, value: Option<&'static str>) -> Self {
        self.wanted.fields.push((field, value));
        self
    }

    pub(crate) fn audited(mut self, entry: &'static str) -> Self {
        self.wanted.audit.push(entry);
        self
    }

    /// The framework's server may refuse it before the library sees it.
    pub(crate) fn auditing_only_refusals(mut self) -> Self {
        self.wanted.may_audit = true;
        self
    }

    pub(crate) fn leaves(mut self, acme: i64, globex: i64) -> Self {
        self.wanted.rows = (acme, globex);
        self
    }

    pub(crate) fn overwrites(mut self, tenant: &'static str) -> Self {
        self.wanted.overwritten = vec![tenant];
        self
    }

    pub(crate) fn logging(mut self, text: &'static str) -> Self {
        self.wanted.logged.push(text);
        self
    }

    /// The row of the table that it is about.
    pub(crate) fn route(&self) -> String {
        match self.route {
            Some(route) => route.to_owned(),
            None => format!("{} {}", self.request.method, self.request.target),
        }
    }
}
