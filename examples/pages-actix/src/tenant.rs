//! The pages of one organization, which the path names: `/o/acme/…`.

use actix_session::Session;
use actix_web::{HttpResponse, dev::HttpServiceFactory, http::StatusCode, web};
use pages::{
    accounts::Accounts,
    forms::{NewInvitation, NewNote},
    invitations, members as people, notes, views,
};
use tenancy::{
    ConfigError, InvitationId, Tenancy,
    actix::{Error, RequirePermission, TenancyMiddleware, TenantDb},
};
use uuid::Uuid;

use crate::{
    reply::{page, redirect},
    sign_in::bar,
};

/// What the routes of members ask for.
#[derive(Clone)]
pub(crate) struct Guards {
    reading: RequirePermission,
    writing: RequirePermission,
    inviting: RequirePermission,
}

impl Guards {
    pub(crate) fn new(tenancy: &Tenancy) -> Result<Self, ConfigError> {
        Ok(Self {
            reading: RequirePermission::new(tenancy, "notes:read")?,
            writing: RequirePermission::new(tenancy, "notes:write")?,
            inviting: RequirePermission::new(tenancy, "members:invite")?,
        })
    }
}

pub(crate) fn members(tenancy: &Tenancy, guards: &Guards) -> impl HttpServiceFactory + use<> {
    let route = |path: &'static str, route: actix_web::Route, guard: &RequirePermission| {
        web::resource(path).route(route.wrap(guard.clone()))
    };
    let all_notes = web::resource("/notes")
        .route(web::get().to(all).wrap(guards.reading.clone()))
        .route(web::post().to(add).wrap(guards.writing.clone()));
    web::scope("/o/{organization}")
        .service(all_notes)
        .service(route(
            "/notes/{note}/publish",
            web::post().to(publish),
            &guards.writing,
        ))
        .service(route(
            "/notes/{note}/delete",
            web::post().to(delete),
            &guards.writing,
        ))
        .service(route(
            "/invitations",
            web::post().to(invite),
            &guards.inviting,
        ))
        .service(route(
            "/invitations/{invitation}/resend",
            web::post().to(resend),
            &guards.inviting,
        ))
        .service(route(
            "/invitations/{invitation}/revoke",
            web::post().to(revoke),
            &guards.inviting,
        ))
        .service(route("/members", web::get().to(everybody), &guards.reading))
        .wrap(TenancyMiddleware::new(tenancy))
}

/// Whoever is signed in and no member is a visitor here, and so is whoever has a cookie that has ended.
pub(crate) fn visitors(tenancy: &Tenancy) -> impl HttpServiceFactory + use<> {
    let open = TenancyMiddleware::new(tenancy)
        .or_anonymous_if_stale()
        .or_anonymous_if_not_member();
    web::resource("/o/{organization}")
        .route(web::get().to(public))
        .wrap(open)
}

/// Back to the page of a tenant, which is the request's own and no text of the caller's.
fn to(db: &TenantDb, page: &str) -> HttpResponse {
    redirect(&format!("/o/{}/{page}", db.context().record().slug))
}

async fn public(
    db: TenantDb,
    session: Session,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, Error> {
    let view = views::Public {
        bar: bar(&session, &accounts, Some(db.context())).await?,
        site: db.context().into(),
        notes: notes::published(&db).await?,
    };
    page(StatusCode::OK, &view)
}

async fn all(
    db: TenantDb,
    session: Session,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, Error> {
    let view = views::Notes {
        bar: bar(&session, &accounts, Some(db.context())).await?,
        site: db.context().into(),
        notes: notes::all(&db).await?,
    };
    page(StatusCode::OK, &view)
}

async fn add(db: TenantDb, note: web::Form<NewNote>) -> Result<HttpResponse, Error> {
    notes::add(&db, note.into_inner()).await?;
    Ok(to(&db, "notes"))
}

async fn publish(db: TenantDb, path: web::Path<(String, Uuid)>) -> Result<HttpResponse, Error> {
    notes::publish(&db, path.into_inner().1).await?;
    Ok(to(&db, "notes"))
}

async fn delete(db: TenantDb, path: web::Path<(String, Uuid)>) -> Result<HttpResponse, Error> {
    notes::delete(&db, path.into_inner().1).await?;
    Ok(to(&db, "notes"))
}

async fn everybody(
    db: TenantDb,
    session: Session,
    accounts: web::Data<Accounts>,
) -> Result<HttpResponse, Error> {
    list(&db, &session, &accounts, None).await
}

async fn invite(
    db: TenantDb,
    session: Session,
    accounts: web::Data<Accounts>,
    form: web::Form<NewInvitation>,
) -> Result<HttpResponse, Error> {
    let form = form.into_inner();
    match invitations::invite(db.context(), &form).await? {
        Ok(()) => Ok(to(&db, "members")),
        Err(fault) => list(&db, &session, &accounts, Some((form.email, fault))).await,
    }
}

async fn resend(
    db: TenantDb,
    path: web::Path<(String, InvitationId)>,
) -> Result<HttpResponse, Error> {
    invitations::resend(db.context(), path.into_inner().1).await?;
    Ok(to(&db, "members"))
}

async fn revoke(
    db: TenantDb,
    path: web::Path<(String, InvitationId)>,
) -> Result<HttpResponse, Error> {
    invitations::revoke(db.context(), path.into_inner().1).await?;
    Ok(to(&db, "members"))
}

/// The page of the members, with what was typed wrong.
async fn list(
    db: &TenantDb,
    session: &Session,
    accounts: &Accounts,
    wrong: Option<(String, &'static str)>,
) -> Result<HttpResponse, Error> {
    let (email, fault) = wrong.unzip();
    let status = match fault {
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
        None => StatusCode::OK,
    };
    let view = views::Members {
        bar: bar(session, accounts, Some(db.context())).await?,
        site: db.context().into(),
        members: people::list(accounts, db.context()).await?,
        invitations: invitations::pending(db.context()).await?,
        email: email.unwrap_or_default(),
        fault,
    };
    page(status, &view)
}
