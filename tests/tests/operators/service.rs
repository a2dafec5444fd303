//! Two programs in one server, on both frameworks: the console of the operators, and the service of the tenants.

use std::convert::Infallible;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use axum::{
    Json, Router,
    body::Body,
    extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code},
    routing::{get, post},
};
use futures_util::{Stream, StreamExt as _, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::Executor as _;
use tenancy::http::Error;
use tenancy_actix::{OperatorsMiddleware, TenancyMiddleware};
use tenancy_axum::{OperatorsLayer, TenancyLayer};
use tenancy_core::{
    AuditEntry, KeyService, Membership, NewImpersonation, OperatorContext, Outcome, SystemRole,
    Tenancy, TenantContext, TenantFilter, TenantId, UserId, key::NewKey,
};
use tenancy_sqlx::TenantPool;
use tenancy_tests::{Framework, Serving, logwatch};

/// What the server is made of.
#[derive(Clone)]
pub(crate) struct Programs {
    /// The engine of the operators, with the system login.
    pub(crate) console: Tenancy,
    /// The engine of the tenants, with the service's login and the registry login.
    pub(crate) service: Tenancy,
    pub(crate) pool: TenantPool,
    pub(crate) keys: KeyService,
}

/// As whom an operator wants to act.
#[derive(Deserialize)]
pub(crate) struct Asked {
    tenant: TenantId,
    user: UserId,
}

async fn tenants(operator: &OperatorContext) -> Result<Value, Error> {
    let admin = operator.tenancy().admin(operator.reader("looks around")?);
    let page = admin.list_tenants(&TenantFilter::new(), None, 100).await?;
    Ok(json!(page.len()))
}

async fn impersonate(operator: &OperatorContext, asked: &Asked) -> Result<Value, Error> {
    let asked = NewImpersonation::new(asked.tenant, asked.user, "can't see a note").ticket("4711");
    let started = operator.impersonate(asked).await?;
    logwatch::issued(started.token.expose());
    Ok(json!({ "token": started.token.expose(), "id": started.impersonation.id }))
}

fn whoami(context: &TenantContext) -> Value {
    json!({
        "tenant": context.tenant_id(),
        "user": context.user_id(),
        "actor": context.principal().actor.to_string(),
        "reason": context.impersonation().map(|seen| seen.reason.clone()),
    })
}

/// Writes a note and says so in the trail; a caller that names somebody else as the actor is not believed.
async fn add(programs: &Programs, context: &TenantContext) -> Result<Value, Error> {
    context.require("notes:write")?;
    let mut tx = programs.pool.begin(context).await?;
    tx.execute("INSERT INTO notes (body) VALUES ('edited')")
        .await?;
    let now = programs.service.clock().now();
    let entry = AuditEntry::new(now, "note.create", Outcome::Allowed).about("note", 1);
    tx.record(&entry).await?;
    let user = context.user_id().map(tenancy_core::Actor::User);
    if let Some(user) = user {
        let entry = AuditEntry::new(now, "note.sign", Outcome::Allowed).actor(user);
        tx.record(&entry).await?;
    }
    tx.commit().await?;
    Ok(json!("added"))
}

async fn invite(programs: &Programs, context: &TenantContext) -> Result<Value, Error> {
    let member = Membership::new(
        context.tenant_id(),
        UserId::new(),
        SystemRole::Viewer.name(),
    );
    let admin = programs.service.admin(context.authority("notes:write")?);
    admin.put_membership(&member).await?;
    Ok(json!("invited"))
}

async fn issue(programs: &Programs, context: &TenantContext) -> Result<Value, Error> {
    let user = context.user_id().ok_or_else(|| Error::internal("nobody"))?;
    let scopes = "notes:read".parse().into_iter();
    let new = NewKey::new(context.tenant_id(), user, "a key", scopes);
    let keys = programs.keys.by(context.authority("notes:write")?);
    let _ = keys.issue(new).await?;
    Ok(json!("issued"))
}

async fn leave(context: &TenantContext) -> Result<Value, Error> {
    context.end_impersonation().await?;
    Ok(json!("left"))
}

/// Says hello, and at last why it ended.
fn events(context: &TenantContext) -> impl Stream<Item = Result<Vec<u8>, Infallible>> + use<> {
    let mut watch = context.watch();
    let end = async move { format!("ended: {}\n", watch.ended().await.kind().status()) };
    let hello = stream::once(std::future::ready("hello\n".to_owned()));
    let all = hello.chain(stream::once(end));
    all.map(|line| Ok(line.into_bytes()))
}

/// Says to whoever asks who it is, until that ends.
async fn talk(tenant: tenancy_axum::Tenant, mut socket: WebSocket) {
    let mut watch = tenant.watch();
    let refusal = loop {
        tokio::select! {
            biased;
            refusal = watch.ended() => break refusal,
            asked = socket.recv() => match asked {
                Some(Ok(_)) => {
                    let who = whoami(&tenant).to_string();
                    if socket.send(who.into()).await.is_err() {
                        return;
                    }
                }
                Some(Err(_)) | None => return,
            },
        }
    };
    let frame = CloseFrame {
        code: close_code::POLICY,
        reason: refusal.problem().type_uri().into(),
    };
    let _ = socket.send(Message::Close(Some(frame))).await;
}

/// The same, for actix.
async fn talk_in_actix(
    tenant: tenancy_actix::Tenant,
    mut session: actix_ws::Session,
    mut messages: actix_ws::MessageStream,
) {
    let mut watch = tenant.watch();
    let refusal = loop {
        tokio::select! {
            biased;
            refusal = watch.ended() => break refusal,
            asked = messages.next() => match asked {
                Some(Ok(_)) => {
                    if session.text(whoami(&tenant).to_string()).await.is_err() {
                        return;
                    }
                }
                Some(Err(_)) | None => return,
            },
        }
    };
    let reason = actix_ws::CloseReason {
        code: actix_ws::CloseCode::Policy,
        description: Some(refusal.problem().type_uri().to_owned()),
    };
    let _ = session.close(Some(reason)).await;
}

pub(crate) async fn serve(framework: Framework, programs: Programs) -> anyhow::Result<Serving> {
    match framework {
        Framework::Axum => Serving::axum(axum(&programs)).await,
        Framework::Actix => actix(programs).await,
    }
}

/// A handler of a tenant's, for axum.
macro_rules! of_tenant {
    ($programs:ident, |$context:ident| $answer:expr) => {{
        let $programs = $programs.clone();
        async move |tenant: tenancy_axum::Tenant| {
            let $context: &TenantContext = &tenant;
            let _ = &$programs;
            Ok::<_, tenancy_axum::Error>(Json($answer))
        }
    }};
}

fn axum(programs: &Programs) -> Router {
    use tenancy_axum::{Error, Operator, Tenant};

    let console = Router::new()
        .route(
            "/operators/tenants",
            get(async |operator: Operator| Ok::<_, Error>(Json(tenants(&operator).await?))),
        )
        .route(
            "/operators/impersonate",
            post(async |operator: Operator, Json(asked): Json<Asked>| {
                Ok::<_, Error>(Json(impersonate(&operator, &asked).await?))
            }),
        )
        .layer(OperatorsLayer::new(&programs.console));
    let central = Router::new()
        .route("/account", get(async || "the account"))
        .layer(TenancyLayer::new(&programs.service).central());
    let of_tenants = Router::new()
        .route(
            "/whoami",
            get(of_tenant!(programs, |context| whoami(context))),
        )
        .route(
            "/notes",
            post(of_tenant!(programs, |context| add(&programs, context).await?)),
        )
        .route(
            "/members",
            post(of_tenant!(programs, |context| invite(&programs, context).await?)),
        )
        .route(
            "/keys",
            post(of_tenant!(programs, |context| issue(&programs, context).await?)),
        )
        .route(
            "/leave",
            post(of_tenant!(programs, |context| leave(context).await?)),
        )
        .route(
            "/events",
            get(async |tenant: Tenant| Body::from_stream(events(&tenant))),
        )
        .route(
            "/socket",
            get(async |tenant: Tenant, upgrade: WebSocketUpgrade| {
                upgrade.on_upgrade(async move |socket| talk(tenant, socket).await)
            }),
        )
        .layer(TenancyLayer::new(&programs.service));
    let astray = Router::new().route("/astray", get(async |_: Operator| "never"));
    console.merge(central).merge(astray).merge(of_tenants)
}

async fn actix(programs: Programs) -> anyhow::Result<Serving> {
    use tenancy_actix::{Error, Operator, Tenant};

    type Shared = web::Data<Programs>;
    let app = move || {
        App::new()
            .app_data(web::Data::new(programs.clone()))
            .service(
                web::scope("/operators")
                    .route(
                        "/tenants",
                        web::get().to(async |operator: Operator| {
                            Ok::<_, Error>(web::Json(tenants(&operator).await?))
                        }),
                    )
                    .route(
                        "/impersonate",
                        web::post().to(async |operator: Operator, asked: web::Json<Asked>| {
                            Ok::<_, Error>(web::Json(impersonate(&operator, &asked).await?))
                        }),
                    )
                    .wrap(OperatorsMiddleware::new(&programs.console)),
            )
            .service(
                web::resource("/account")
                    .route(web::get().to(async || "the account"))
                    .wrap(TenancyMiddleware::new(&programs.service).central()),
            )
            .service(web::resource("/astray").route(web::get().to(async |_: Operator| "never")))
            .service(
                web::scope("")
                    .route(
                        "/whoami",
                        web::get().to(async |tenant: Tenant| web::Json(whoami(&tenant))),
                    )
                    .route(
                        "/notes",
                        web::post().to(async |all: Shared, tenant: Tenant| {
                            Ok::<_, Error>(web::Json(add(&all, &tenant).await?))
                        }),
                    )
                    .route(
                        "/members",
                        web::post().to(async |all: Shared, tenant: Tenant| {
                            Ok::<_, Error>(web::Json(invite(&all, &tenant).await?))
                        }),
                    )
                    .route(
                        "/keys",
                        web::post().to(async |all: Shared, tenant: Tenant| {
                            Ok::<_, Error>(web::Json(issue(&all, &tenant).await?))
                        }),
                    )
                    .route(
                        "/leave",
                        web::post().to(async |tenant: Tenant| {
                            Ok::<_, Error>(web::Json(leave(&tenant).await?))
                        }),
                    )
                    .route(
                        "/events",
                        web::get().to(async |tenant: Tenant| {
                            let lines = events(&tenant).map(|line| line.map(web::Bytes::from));
                            HttpResponse::Ok().streaming(lines)
                        }),
                    )
                    .route(
                        "/socket",
                        web::get().to(
                            async |tenant: Tenant, request: HttpRequest, body: web::Payload| {
                                let (answer, session, messages) = actix_ws::handle(&request, body)?;
                                actix_web::rt::spawn(talk_in_actix(tenant, session, messages));
                                Ok::<_, actix_web::Error>(answer)
                            },
                        ),
                    )
                    .wrap(TenancyMiddleware::new(&programs.service)),
            )
    };
    Serving::actix(move |listener| {
        HttpServer::new(app)
            .workers(1)
            .disable_signals()
            .listen(listener)
            .map(HttpServer::run)
    })
    .await
}
