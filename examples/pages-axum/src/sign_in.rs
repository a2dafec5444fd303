//! Who is signed in: axum-login over the accounts, and what the engine is told of it.

use axum::{
    extract::Request,
    http::HeaderMap,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use axum_login::{AuthUser, AuthnBackend};
use pages::{
    accounts::{Account, Accounts},
    forms::{self, LogIn},
    views::Bar,
};
use tenancy::{
    Clock as _, EstablishedPrincipal, Refusal, RefusalKind, SystemClock, TenantContext, Timestamp,
    UserId,
    axum::{Error, Principal},
};
use uuid::Uuid;

/// Where a session says when it began, in seconds since 1970.
const SIGNED_IN_AT: &str = "signed-in-at";

pub(crate) type AuthSession = axum_login::AuthSession<Backend>;

#[derive(Debug, Clone)]
pub(crate) struct Backend(pub(crate) Accounts);

/// Who is signed in.
#[derive(Debug, Clone)]
pub(crate) struct User(pub(crate) Account);

impl AuthUser for User {
    type Id = Uuid;

    fn id(&self) -> Uuid {
        self.0.user().as_uuid()
    }

    /// A new password ends all sessions.
    fn session_auth_hash(&self) -> &[u8] {
        self.0.password_hash.as_bytes()
    }
}

impl AuthnBackend for Backend {
    type User = User;
    type Credentials = LogIn;
    type Error = pages::Error;

    async fn authenticate(&self, form: LogIn) -> Result<Option<User>, Self::Error> {
        Ok(self.0.log_in(form).await?.map(User))
    }

    async fn get_user(&self, id: &Uuid) -> Result<Option<User>, Self::Error> {
        let account = self.0.find(UserId::from_uuid(*id)).await?;
        Ok(account.map(User))
    }
}

/// Tells the engine who is signed in: the one line between a session library and tenancy.
pub(crate) async fn establish(session: AuthSession, mut request: Request, next: Next) -> Response {
    if let Some(User(account)) = &session.user {
        match session.session.get::<i64>(SIGNED_IN_AT).await {
            Ok(Some(at)) => {
                let at = Timestamp::from_unix_seconds(at);
                let principal = EstablishedPrincipal::user(account.user(), at, "sessions");
                request.extensions_mut().insert(principal);
            }
            Ok(None) => {}
            Err(error) => return Error::internal(error).into_response(),
        }
    }
    next.run(request).await
}

/// Ends the session of whoever the engine does not know: it was taken back, or is too old. Handlers that look at the
/// session, where the engine takes a stranger for a visitor, then see nobody.
pub(crate) async fn agree(
    caller: Option<Principal>,
    mut session: AuthSession,
    mut request: Request,
    next: Next,
) -> Response {
    if caller.is_none() && session.user.is_some() {
        if let Err(error) = session.logout().await {
            return Error::internal(error).into_response();
        }
        request.extensions_mut().insert(session);
    }
    next.run(request).await
}

/// Begins a session.
pub(crate) async fn begin(session: &mut AuthSession, user: &User) -> Result<(), Error> {
    session.login(user).await.map_err(Error::internal)?;
    let at = SystemClock.now().as_unix_seconds();
    let stored = session.session.insert(SIGNED_IN_AT, at).await;
    stored.map_err(Error::internal)
}

/// The bar on top of a page.
pub(crate) async fn bar(
    session: &AuthSession,
    tenant: Option<&TenantContext>,
) -> Result<Option<Bar>, Error> {
    match &session.user {
        Some(User(account)) => Ok(Some(Bar::of(&session.backend.0, account, tenant).await?)),
        None => Ok(None),
    }
}

/// Refuses forms of other sites, on routes that also serve those who are not signed in: of them the engine asks
/// for no proof.
pub(crate) async fn own_forms(request: Request, next: Next) -> Response {
    if request.method().is_safe() || is_own(request.headers()) {
        return next.run(request).await;
    }
    let refusal = Refusal::new(RefusalKind::OriginNotAllowed, "cross-site-form");
    Error::from(refusal).into_response()
}

fn is_own(fields: &HeaderMap) -> bool {
    let field = |name| fields.get(name).and_then(|value| value.to_str().ok());
    let (origin, host) = (field("origin"), field("host"));
    forms::is_own(field("sec-fetch-site"), origin, host)
}
