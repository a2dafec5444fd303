//! The pages of one organization, which the path names: `/o/acme/…`.

use actix_session::Session;
use actix_web::{HttpResponse, dev::HttpServiceFactory, http::StatusCode, web};
use pages::{
    accounts::Accounts,
    forms::{NewInvitation, NewNote},
    invitations, members as people, notes, views,
};
use tenancy::{
    ConfigError, Refusal, RefusalKind, Tenancy,
    actix::{Error, RequirePermission, TenancyMiddleware, TenantDb},
};
use uuid::Uuid;

use crate::{
    reply::{page, redirect},
    sign_in::{self, bar},
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
        .service(route("/members", web::get().to(everybody), &guards.reading))
        .wrap(TenancyMiddleware::new(tenancy))
}

/// Whoever is signed in and no member is a visitor here, and so is whoever has a cookie that has ended.
pub(crate) fn visitors(tenancy: &Tenancy) -> impl HttpServiceFactory + use<> {
    let open = || {
        TenancyMiddleware::new(tenancy)
            .or_anonymous_if_stale()
            .or_anonymous_if_not_member()
    };
    (
        web::resource("/o/{organization}")
            .route(web::get().to(public))
            .wrap(open()),
        web::resource("/o/{organization}/invitations/{token}")
            .route(web::get().to(invitation))
            .route(web::post().to(join))
            .wrap(open()),
    )
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
    let token = invitations::create(&db, &form.role).await?;
    let path = format!("/o/{}/invitations/{token}", db.context().record().slug);
    list(&db, &session, &accounts, Some(path)).await
}

async fn list(
    db: &TenantDb,
    session: &Session,
    accounts: &Accounts,
    invitation: Option<String>,
) -> Result<HttpResponse, Error> {
    let view = views::Members {
        bar: bar(session, accounts, Some(db.context())).await?,
        site: db.context().into(),
        members: people::list(accounts, db.context()).await?,
        invitation,
    };
    page(StatusCode::OK, &view)
}

async fn invitation(
    db: TenantDb,
    session: Session,
    accounts: web::Data<Accounts>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Error> {
    let (slug, token) = path.into_inner();
    let view = views::Invitation {
        bar: bar(&session, &accounts, Some(db.context())).await?,
        site: db.context().into(),
        role: invitations::role(&db, &token).await?,
        path: format!("/o/{slug}/invitations/{token}"),
    };
    page(StatusCode::OK, &view)
}

async fn join(
    db: TenantDb,
    session: Session,
    accounts: web::Data<Accounts>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Error> {
    // A context of a member says so. A stranger's says nobody, and the session, which the engine has
    // agreed to, says who it is.
    if db.context().user_id().is_none() {
        let Some(account) = sign_in::account(&session, &accounts).await? else {
            return Err(Refusal::new(RefusalKind::Unauthenticated, "nobody-joins").into());
        };
        invitations::accept(&db, &path.into_inner().1, account.user()).await?;
    }
    Ok(to(&db, "notes"))
}
