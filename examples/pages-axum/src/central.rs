//! The pages of the service as a whole: signing in and out, and the organizations of an account.

use axum::{
    Form, Router,
    extract::{Query, State},
    http::StatusCode,
    middleware::from_fn,
    response::{IntoResponse as _, Redirect, Response},
    routing::{get, post},
};
use pages::{
    HOME,
    forms::{self, NewOrganization, Next},
    organizations, views,
};
use tenancy::{
    Tenancy,
    axum::{Error, Principal, TenancyLayer},
};

use crate::{
    App,
    reply::page,
    sign_in::{self, AuthSession, User, bar},
};

pub(crate) fn routes(tenancy: &Tenancy) -> Router<App> {
    // A browser goes on sending the cookie of a session that has ended: here it counts as none.
    let everybody = TenancyLayer::new(tenancy).central().or_anonymous_if_stale();
    let open = Router::new()
        .route("/", get(welcome))
        .route("/login", get(log_in_form).post(log_in))
        .route("/sign-up", get(sign_up_form).post(sign_up))
        .route("/logout", post(log_out))
        .layer(everybody)
        .layer(from_fn(sign_in::own_forms));
    let signed_in = Router::new()
        .route("/organizations", get(list).post(create))
        .layer(TenancyLayer::new(tenancy).central());
    open.merge(signed_in)
}

async fn welcome(session: AuthSession) -> Result<Response, Error> {
    let bar = bar(&session, None).await?;
    page(&views::Welcome { bar })
}

async fn log_in_form(Query(query): Query<Next>) -> Result<Response, Error> {
    page(&views::LogIn {
        next: query.next,
        ..Default::default()
    })
}

async fn log_in(
    mut session: AuthSession,
    Form(form): Form<forms::LogIn>,
) -> Result<Response, Error> {
    let (email, next) = (form.email.clone(), form.next.clone());
    let Some(user) = session.authenticate(form).await.map_err(Error::internal)? else {
        let again = page(&views::LogIn {
            email,
            next,
            fault: Some("Email or password is wrong."),
            ..Default::default()
        });
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, again?).into_response());
    };
    sign_in::begin(&mut session, &user).await?;
    Ok(Redirect::to(forms::next(&next)).into_response())
}

async fn sign_up_form(Query(query): Query<Next>) -> Result<Response, Error> {
    page(&views::SignUp {
        next: query.next,
        ..Default::default()
    })
}

async fn sign_up(
    mut session: AuthSession,
    Form(form): Form<forms::SignUp>,
) -> Result<Response, Error> {
    let mut again = views::SignUp {
        next: form.next.clone(),
        email: form.email.clone(),
        name: form.name.clone(),
        fault: form.fault(),
        ..Default::default()
    };
    if again.fault.is_none() {
        if let Some(account) = session.backend.0.sign_up(form).await? {
            sign_in::begin(&mut session, &User(account)).await?;
            return Ok(Redirect::to(forms::next(&again.next)).into_response());
        }
        again.fault = Some("This email has an account already.");
    }
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page(&again)?).into_response())
}

async fn log_out(mut session: AuthSession) -> Result<Redirect, Error> {
    session.logout().await.map_err(Error::internal)?;
    Ok(Redirect::to("/"))
}

async fn list(_: Principal, session: AuthSession) -> Result<Response, Error> {
    page(&views::Organizations {
        bar: bar(&session, None).await?,
        name: String::new(),
        slug: String::new(),
        fault: None,
    })
}

async fn create(
    State(app): State<App>,
    caller: Principal,
    session: AuthSession,
    Form(form): Form<NewOrganization>,
) -> Result<Response, Error> {
    let Some(user) = caller.user() else {
        return Ok(Redirect::to(HOME).into_response());
    };
    let Err(fault) = organizations::create(&app.tenancy, user, &form).await? else {
        let notes = format!("/o/{}/notes", form.slug.trim());
        return Ok(Redirect::to(&notes).into_response());
    };
    let again = page(&views::Organizations {
        bar: bar(&session, None).await?,
        name: form.name,
        slug: form.slug,
        fault: Some(fault),
    });
    Ok((StatusCode::UNPROCESSABLE_ENTITY, again?).into_response())
}
