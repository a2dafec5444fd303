//! The pages of the service as a whole: signing in and out, and the organizations of an account.

use actix_session::Session;
use actix_web::{HttpResponse, http::StatusCode, middleware::from_fn, web};
use pages::{
    HOME,
    accounts::Accounts,
    forms::{self, NewOrganization, Next},
    organizations, views,
};
use tenancy::{
    Tenancy,
    actix::{Error, Principal, TenancyMiddleware},
    postgres::TenantPool,
};

use crate::{
    reply::{page, redirect},
    sign_in::{self, bar},
};

/// What a form with a fault is answered with.
const AGAIN: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;

pub(crate) fn routes(config: &mut web::ServiceConfig, tenancy: &Tenancy) {
    let signed_in = web::resource("/organizations")
        .route(web::get().to(list))
        .route(web::post().to(create))
        .wrap(TenancyMiddleware::new(tenancy).central());
    // A browser goes on sending the cookie of a session that has ended: here it counts as none.
    let open = web::scope("")
        .route("/", web::get().to(welcome))
        .route("/login", web::get().to(log_in_form))
        .route("/login", web::post().to(log_in))
        .route("/sign-up", web::get().to(sign_up_form))
        .route("/sign-up", web::post().to(sign_up))
        .route("/logout", web::post().to(log_out))
        .wrap(
            TenancyMiddleware::new(tenancy)
                .central()
                .or_anonymous_if_stale(),
        )
        .wrap(from_fn(sign_in::own_forms));
    config.service(signed_in).service(open);
}

async fn welcome(session: Session, accounts: web::Data<Accounts>) -> Result<HttpResponse, Error> {
    let bar = bar(&session, &accounts, None).await?;
    page(StatusCode::OK, &views::Welcome { bar })
}

async fn log_in_form(query: web::Query<Next>) -> Result<HttpResponse, Error> {
    let form = views::LogIn {
        next: query.into_inner().next,
        ..Default::default()
    };
    page(StatusCode::OK, &form)
}

async fn log_in(
    session: Session,
    accounts: web::Data<Accounts>,
    form: web::Form<forms::LogIn>,
) -> Result<HttpResponse, Error> {
    let form = form.into_inner();
    let (email, next) = (form.email.clone(), form.next.clone());
    let Some(account) = accounts.log_in(form).await? else {
        let again = views::LogIn {
            email,
            next,
            fault: Some("Email or password is wrong."),
            ..Default::default()
        };
        return page(AGAIN, &again);
    };
    sign_in::begin(&session, &account)?;
    Ok(redirect(forms::next(&next)))
}

async fn sign_up_form(query: web::Query<Next>) -> Result<HttpResponse, Error> {
    let form = views::SignUp {
        next: query.into_inner().next,
        ..Default::default()
    };
    page(StatusCode::OK, &form)
}

async fn sign_up(
    session: Session,
    accounts: web::Data<Accounts>,
    form: web::Form<forms::SignUp>,
) -> Result<HttpResponse, Error> {
    let form = form.into_inner();
    let mut again = views::SignUp {
        next: form.next.clone(),
        email: form.email.clone(),
        name: form.name.clone(),
        fault: form.fault(),
        ..Default::default()
    };
    if again.fault.is_none() {
        if let Some(account) = accounts.sign_up(form).await? {
            sign_in::begin(&session, &account)?;
            return Ok(redirect(forms::next(&again.next)));
        }
        again.fault = Some("This email has an account already.");
    }
    page(AGAIN, &again)
}

async fn log_out(session: Session) -> HttpResponse {
    session.purge();
    redirect("/")
}

async fn list(
    _: Principal,
    session: Session,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, Error> {
    let view = views::Organizations {
        bar: bar(&session, &accounts, None).await?,
        name: String::new(),
        slug: String::new(),
        fault: None,
    };
    page(StatusCode::OK, &view)
}

async fn create(
    pool: web::Data<TenantPool>,
    caller: Principal,
    session: Session,
    accounts: web::Data<Accounts>,
    form: web::Form<NewOrganization>,
) -> Result<HttpResponse, Error> {
    let form = form.into_inner();
    let Some(user) = caller.user() else {
        return Ok(redirect(HOME));
    };
    let Err(fault) = organizations::create(pool.tenancy(), user, &form).await? else {
        return Ok(redirect(&format!("/o/{}/notes", form.slug.trim())));
    };
    let again = views::Organizations {
        bar: bar(&session, &accounts, None).await?,
        name: form.name,
        slug: form.slug,
        fault: Some(fault),
    };
    page(AGAIN, &again)
}
