//! The pages of one organization, which the path names: `/o/acme/…`.

use axum::{
    Form, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
    routing::{get, post},
};
use pages::{
    forms::{NewInvitation, NewNote},
    invitations, members, notes, views,
};
use tenancy::{
    ConfigError, InvitationId, Tenancy,
    axum::{Error, RequirePermission, TenancyLayer, TenantDb},
};
use uuid::Uuid;

use crate::{
    App,
    reply::page,
    sign_in::{AuthSession, bar},
};

pub(crate) fn routes(tenancy: &Tenancy) -> Result<Router<App>, ConfigError> {
    let reading = RequirePermission::new(tenancy, "notes:read")?;
    let writing = RequirePermission::new(tenancy, "notes:write")?;
    let inviting = RequirePermission::new(tenancy, "members:invite")?;
    let members = Router::new()
        .route("/o/{organization}/notes", post(add).layer(writing.clone()))
        .route(
            "/o/{organization}/notes/{note}/publish",
            post(publish).layer(writing.clone()),
        )
        .route(
            "/o/{organization}/notes/{note}/delete",
            post(delete).layer(writing),
        )
        .route(
            "/o/{organization}/invitations",
            post(invite).layer(inviting.clone()),
        )
        .route(
            "/o/{organization}/invitations/{invitation}/resend",
            post(resend).layer(inviting.clone()),
        )
        .route(
            "/o/{organization}/invitations/{invitation}/revoke",
            post(revoke).layer(inviting),
        )
        .route("/o/{organization}/notes", get(all).layer(reading.clone()))
        .route("/o/{organization}/members", get(everybody).layer(reading))
        .layer(TenancyLayer::new(tenancy));
    // Whoever is signed in and no member is a visitor here, and so is whoever has a cookie that has ended.
    let visitors = Router::new().route("/o/{organization}", get(public)).layer(
        TenancyLayer::new(tenancy)
            .or_anonymous_if_stale()
            .or_anonymous_if_not_member(),
    );
    Ok(members.merge(visitors))
}

/// Back to the page of a tenant, which is the request's own and no text of the caller's.
fn to(db: &TenantDb, page: &str) -> Redirect {
    Redirect::to(&format!("/o/{}/{page}", db.context().record().slug))
}

async fn public(db: TenantDb, session: AuthSession) -> Result<Response, Error> {
    page(&views::Public {
        bar: bar(&session, Some(db.context())).await?,
        site: db.context().into(),
        notes: notes::published(&db).await?,
    })
}

async fn all(db: TenantDb, session: AuthSession) -> Result<Response, Error> {
    page(&views::Notes {
        bar: bar(&session, Some(db.context())).await?,
        site: db.context().into(),
        notes: notes::all(&db).await?,
    })
}

async fn add(db: TenantDb, Form(note): Form<NewNote>) -> Result<Redirect, Error> {
    notes::add(&db, note).await?;
    Ok(to(&db, "notes"))
}

async fn publish(db: TenantDb, Path((_, note)): Path<(String, Uuid)>) -> Result<Redirect, Error> {
    notes::publish(&db, note).await?;
    Ok(to(&db, "notes"))
}

async fn delete(db: TenantDb, Path((_, note)): Path<(String, Uuid)>) -> Result<Redirect, Error> {
    notes::delete(&db, note).await?;
    Ok(to(&db, "notes"))
}

async fn everybody(
    State(app): State<App>,
    db: TenantDb,
    session: AuthSession,
) -> Result<Response, Error> {
    list(&app, &db, &session, None).await
}

async fn invite(
    State(app): State<App>,
    db: TenantDb,
    session: AuthSession,
    Form(form): Form<NewInvitation>,
) -> Result<Response, Error> {
    match invitations::invite(db.context(), &form).await? {
        Ok(()) => Ok(to(&db, "members").into_response()),
        Err(fault) => {
            let again = list(&app, &db, &session, Some((form.email, fault))).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, again).into_response())
        }
    }
}

async fn resend(
    db: TenantDb,
    Path((_, invitation)): Path<(String, InvitationId)>,
) -> Result<Redirect, Error> {
    invitations::resend(db.context(), invitation).await?;
    Ok(to(&db, "members"))
}

async fn revoke(
    db: TenantDb,
    Path((_, invitation)): Path<(String, InvitationId)>,
) -> Result<Redirect, Error> {
    invitations::revoke(db.context(), invitation).await?;
    Ok(to(&db, "members"))
}

/// The page of the members, with what was typed wrong.
async fn list(
    app: &App,
    db: &TenantDb,
    session: &AuthSession,
    wrong: Option<(String, &'static str)>,
) -> Result<Response, Error> {
    let (email, fault) = wrong.unzip();
    page(&views::Members {
        bar: bar(session, Some(db.context())).await?,
        site: db.context().into(),
        members: members::list(&app.accounts, db.context()).await?,
        invitations: invitations::pending(db.context()).await?,
        email: email.unwrap_or_default(),
        fault,
    })
}
