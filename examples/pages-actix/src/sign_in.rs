//! Who is signed in: a cookie that actix-session encrypts, the accounts, and what the engine is told of it.

use actix_session::{
    Session, SessionExt as _, SessionMiddleware,
    config::{CookieContentSecurity, PersistentSession, TtlExtensionPolicy},
    storage::CookieSessionStore,
};
use actix_web::{
    HttpMessage as _, ResponseError as _,
    body::{EitherBody, MessageBody},
    cookie::{Key, SameSite, time},
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
};
use pages::{
    accounts::{Account, Accounts},
    forms,
    views::Bar,
};
use tenancy::{
    Clock as _, EstablishedPrincipal, Refusal, RefusalKind, SystemClock, TenantContext, Timestamp,
    UserId,
    actix::{Error, MaybePrincipal},
};
use uuid::Uuid;

/// Who signed in, and when, in seconds since 1970.
const SIGNED_IN: &str = "signed-in";

type Outcome<B> = Result<ServiceResponse<EitherBody<B>>, actix_web::Error>;

/// The sessions' middleware. All of a session is in its cookie, encrypted; no other host can set a cookie of this
/// name, nor read this one.
pub(crate) fn sessions(key: Key) -> SessionMiddleware<CookieSessionStore> {
    let kept = PersistentSession::default()
        .session_ttl(time::Duration::days(14))
        .session_ttl_extension_policy(TtlExtensionPolicy::OnStateChanges);
    SessionMiddleware::builder(CookieSessionStore::default(), key)
        .cookie_name("__Host-session".to_owned())
        .cookie_content_security(CookieContentSecurity::Private)
        .cookie_same_site(SameSite::Lax)
        .session_lifecycle(kept)
        .build()
}

/// Who the session says is signed in, and since when.
fn signed_in(session: &Session) -> Option<(UserId, Timestamp)> {
    // What can't be read is a session of an older release, and counts as none.
    let (user, at): (Uuid, i64) = session.get(SIGNED_IN).ok()??;
    Some((UserId::from_uuid(user), Timestamp::from_unix_seconds(at)))
}

/// Tells the engine who is signed in: the one line between a session library and tenancy.
pub(crate) async fn establish<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    if let Some((user, at)) = signed_in(&request.get_session()) {
        let principal = EstablishedPrincipal::user(user, at, "sessions");
        request.extensions_mut().insert(principal);
    }
    next.call(request).await
}

/// Ends the session of whoever the engine does not know: it was taken back, or is too old. Handlers that look at the
/// session, where the engine takes a stranger for a visitor, then see nobody.
pub(crate) async fn agree<B: MessageBody>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let MaybePrincipal(caller) = request.extract::<MaybePrincipal>().await?;
    let session = request.get_session();
    if caller.is_none() && signed_in(&session).is_some() {
        session.clear();
    }
    next.call(request).await
}

/// Begins a session.
pub(crate) fn begin(session: &Session, account: &Account) -> Result<(), Error> {
    session.renew();
    let at = SystemClock.now().as_unix_seconds();
    let signed_in = (account.user().as_uuid(), at);
    session
        .insert(SIGNED_IN, signed_in)
        .map_err(Error::internal)
}

/// Who is signed in.
pub(crate) async fn account(
    session: &Session,
    accounts: &Accounts,
) -> Result<Option<Account>, Error> {
    match signed_in(session) {
        Some((user, _)) => Ok(accounts.find(user).await?),
        None => Ok(None),
    }
}

/// The bar on top of a page.
pub(crate) async fn bar(
    session: &Session,
    accounts: &Accounts,
    tenant: Option<&TenantContext>,
) -> Result<Option<Bar>, Error> {
    match account(session, accounts).await? {
        Some(account) => Ok(Some(Bar::of(accounts, &account, tenant).await?)),
        None => Ok(None),
    }
}

/// Refuses forms of other sites, on routes that also serve those who are not signed in: of them the engine asks
/// for no proof.
pub(crate) async fn own_forms<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Outcome<B> {
    let field = |name| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let is_own = forms::is_own(field("sec-fetch-site"), field("origin"), field("host"));
    if request.method().is_safe() || is_own {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    let refusal = Refusal::new(RefusalKind::OriginNotAllowed, "cross-site-form");
    let response = Error::from(refusal).error_response();
    Ok(request.into_response(response).map_into_right_body())
}
