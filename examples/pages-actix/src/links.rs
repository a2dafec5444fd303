//! Pages behind the links of mails: an invitation, and the confirmation of an address. A link names no organization.

use actix_session::Session;
use actix_web::{
    HttpRequest, HttpResponse, dev::HttpServiceFactory, http::StatusCode, middleware::from_fn, web,
};
use pages::{
    HOME,
    accounts::{Account, Accounts},
    invitations, views,
};
use tenancy::{
    Refusal, RefusalKind, Tenancy,
    actix::{Error, TenancyMiddleware},
};

use crate::{
    reply::{page, redirect},
    sign_in::{self, bar},
};

pub(crate) fn routes(tenancy: &Tenancy) -> impl HttpServiceFactory + use<> {
    let page = |path: &'static str| {
        web::resource(path)
            .wrap(
                TenancyMiddleware::new(tenancy)
                    .central()
                    .or_anonymous_if_stale(),
            )
            .wrap(from_fn(sign_in::own_forms))
    };
    (
        page("/invitations/{token}")
            .route(web::get().to(invitation))
            .route(web::post().to(join)),
        page("/confirm").route(web::post().to(mail_link)),
        page("/confirm/{token}")
            .route(web::get().to(confirm_form))
            .route(web::post().to(confirm)),
    )
}

async fn invitation(
    request: HttpRequest,
    session: Session,
    accounts: web::Data<Accounts>,
    token: web::Path<String>,
) -> Result<HttpResponse, Error> {
    show(&request, &session, &accounts, &token, None).await
}

async fn join(
    request: HttpRequest,
    session: Session,
    accounts: web::Data<Accounts>,
    token: web::Path<String>,
) -> Result<HttpResponse, Error> {
    let account = signed_in(&session, &accounts).await?;
    match invitations::accept(&accounts, &token, &account).await? {
        Ok(to) => Ok(redirect(&to)),
        Err(fault) => show(&request, &session, &accounts, &token, Some(fault)).await,
    }
}

async fn show(
    request: &HttpRequest,
    session: &Session,
    accounts: &Accounts,
    token: &str,
    fault: Option<&'static str>,
) -> Result<HttpResponse, Error> {
    let from = request.peer_addr().map(|peer| peer.ip());
    let status = match fault {
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
        None => StatusCode::OK,
    };
    let view = views::Invitation {
        bar: bar(session, accounts, None).await?,
        preview: invitations::preview(accounts, token, from).await?,
        path: format!("/invitations/{token}"),
        fault,
    };
    page(status, &view)
}

async fn mail_link(session: Session, accounts: web::Data<Accounts>) -> Result<HttpResponse, Error> {
    let account = signed_in(&session, &accounts).await?;
    accounts.mail_link(&account).await?;
    Ok(redirect(HOME))
}

async fn confirm_form(
    session: Session,
    accounts: web::Data<Accounts>,
    token: web::Path<String>,
) -> Result<HttpResponse, Error> {
    let view = views::Confirm {
        bar: bar(&session, &accounts, None).await?,
        path: format!("/confirm/{token}"),
    };
    page(StatusCode::OK, &view)
}

async fn confirm(
    session: Session,
    accounts: web::Data<Accounts>,
    token: web::Path<String>,
) -> Result<HttpResponse, Error> {
    let account = signed_in(&session, &accounts).await?;
    accounts.confirm(&account, &token).await?;
    Ok(redirect(HOME))
}

/// The account of the session, which the engine has agreed to.
async fn signed_in(session: &Session, accounts: &Accounts) -> Result<Account, Error> {
    let account = sign_in::account(session, accounts).await?;
    let nobody = || Refusal::new(RefusalKind::Unauthenticated, "nobody-signed-in");
    Ok(account.ok_or_else(nobody)?)
}
