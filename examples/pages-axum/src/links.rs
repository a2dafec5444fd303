//! Pages behind the links of mails: an invitation, and the confirmation of an address. A link names no organization.

use std::net::SocketAddr;

use axum::{
    Router,
    extract::{ConnectInfo, Path, State},
    http::StatusCode,
    middleware::from_fn,
    response::{IntoResponse as _, Redirect, Response},
    routing::{get, post},
};
use pages::{HOME, accounts::Account, invitations, views};
use tenancy::{
    Refusal, RefusalKind, Tenancy,
    axum::{Error, TenancyLayer},
};

use crate::{
    App,
    reply::page,
    sign_in::{self, AuthSession, User, bar},
};

pub(crate) fn routes(tenancy: &Tenancy) -> Router<App> {
    Router::new()
        .route("/invitations/{token}", get(invitation).post(join))
        .route("/confirm", post(mail_link))
        .route("/confirm/{token}", get(confirm_form).post(confirm))
        .layer(TenancyLayer::new(tenancy).central().or_anonymous_if_stale())
        .layer(from_fn(sign_in::own_forms))
}

async fn invitation(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    session: AuthSession,
    Path(token): Path<String>,
) -> Result<Response, Error> {
    show(&app, from, &session, &token, None).await
}

async fn join(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    session: AuthSession,
    Path(token): Path<String>,
) -> Result<Response, Error> {
    let account = signed_in(&session)?;
    match invitations::accept(&app.accounts, &token, account).await? {
        Ok(to) => Ok(Redirect::to(&to).into_response()),
        Err(fault) => {
            let again = show(&app, from, &session, &token, Some(fault)).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, again).into_response())
        }
    }
}

async fn show(
    app: &App,
    from: SocketAddr,
    session: &AuthSession,
    token: &str,
    fault: Option<&'static str>,
) -> Result<Response, Error> {
    page(&views::Invitation {
        bar: bar(session, None).await?,
        preview: invitations::preview(&app.accounts, token, Some(from.ip())).await?,
        path: format!("/invitations/{token}"),
        fault,
    })
}

async fn mail_link(State(app): State<App>, session: AuthSession) -> Result<Redirect, Error> {
    app.accounts.mail_link(signed_in(&session)?).await?;
    Ok(Redirect::to(HOME))
}

async fn confirm_form(session: AuthSession, Path(token): Path<String>) -> Result<Response, Error> {
    page(&views::Confirm {
        bar: bar(&session, None).await?,
        path: format!("/confirm/{token}"),
    })
}

async fn confirm(
    State(app): State<App>,
    session: AuthSession,
    Path(token): Path<String>,
) -> Result<Redirect, Error> {
    app.accounts.confirm(signed_in(&session)?, &token).await?;
    Ok(Redirect::to(HOME))
}

/// The account of the session, which the engine has agreed to.
fn signed_in(session: &AuthSession) -> Result<&Account, Refusal> {
    match &session.user {
        Some(User(account)) => Ok(account),
        None => Err(Refusal::new(
            RefusalKind::Unauthenticated,
            "nobody-signed-in",
        )),
    }
}
