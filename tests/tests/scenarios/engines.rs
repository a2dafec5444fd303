//! The engines behind a service: one for most shapes, and one for each shape that needs its own.

use std::{collections::HashMap, sync::Arc};

use tenancy_core::{CorsPolicy, CredentialSource, ManualClock, Tenancy, TenancyBuilder};
use tenancy_tests::notes::{self, Notes};

use crate::{
    issuers,
    key_server::KeyServer,
    keys,
    scenario::Shape,
    sessions::{self, Sessions},
    sign_ons,
};

/// The origin of the application's own pages.
pub(crate) const APPLICATION: &str = "https://app.example";

/// The engine, and one that is built alike and is another.
#[derive(Clone)]
pub(crate) struct Engines {
    pub(crate) tenancy: Tenancy,
    pub(crate) other: Tenancy,
}

/// The engines of the shapes that can't do with the suites' own.
pub(crate) fn by_shape(
    notes: &Notes,
    other: &Tenancy,
    clock: &Arc<ManualClock>,
    key_server: &KeyServer,
) -> anyhow::Result<HashMap<Shape, Engines>> {
    let built = |options: &dyn Fn(TenancyBuilder) -> TenancyBuilder| {
        let engine = notes::builder(notes.directory.clone())?
            .shared_audit(notes.audit.clone())
            .clock(clock.clone());
        let tenancy = options(engine).build()?;
        let other = other.clone();
        anyhow::Ok(Engines { tenancy, other })
    };
    let rules = notes::identification().trusted_proxies(["127.0.0.1/32".parse()?]);
    let behind_proxy = built(&|engine| engine.identification(rules.clone()))?;
    let with_keys = built(&|engine| engine.keys(keys::configured(notes)))?;
    let policy = CorsPolicy::new().origin(APPLICATION).credentials(true);
    let for_pages = built(&|engine| {
        let engine = engine.cors(policy.clone());
        engine.keys(keys::configured(notes))
    })?;
    let issuers = issuers::configured(key_server, notes.acme.id)?;
    let sign_ons = sign_ons::configured(notes.app_options())?;
    let with_tokens = built(&|engine| {
        let engine = engine.authenticator(issuers.clone());
        engine.authenticator(sign_ons.clone())
    })?;
    let sources = [
        CredentialSource::cookie(sessions::COOKIE),
        CredentialSource::scheme("Token"),
        CredentialSource::header("x-session"),
        CredentialSource::header("x-old-session"),
        CredentialSource::client_certificate(sessions::CERTIFICATE),
    ];
    let with_sessions = built(&|engine| {
        let engine = engine.identification(rules.clone());
        let engine = engine.authenticator_from(sources.clone(), Sessions);
        engine.established_principals()
    })?;
    let rules = notes::identification().trusted_proxies(["10.0.0.0/8".parse()?]);
    let certificate = CredentialSource::client_certificate(sessions::CERTIFICATE);
    let with_cookies_of_pages = built(&|engine| {
        let engine = engine.authenticator(Sessions);
        engine.cors(policy.clone())
    })?;
    let with_cookies = Tenancy::builder(notes.directory.clone())
        .identification(rules)
        .permissions(notes::permissions()?)
        .authenticator(Sessions)
        .authenticator_from([certificate], Sessions)
        .shared_audit(notes.audit.clone())
        .clock(clock.clone())
        .build()?;
    let with_cookies = Engines {
        tenancy: with_cookies,
        other: other.clone(),
    };
    Ok(HashMap::from([
        (Shape::Cookies, with_cookies),
        (Shape::CookiesOfPages, with_cookies_of_pages),
        (Shape::Sessions, with_sessions),
        (Shape::BehindProxy, behind_proxy),
        (Shape::Keys, with_keys),
        (Shape::Pages, for_pages),
        (Shape::Tokens, with_tokens),
    ]))
}
