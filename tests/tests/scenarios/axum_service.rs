//! The service as axum has it.

use axum::{
    Json, Router, ServiceExt,
    body::Body,
    extract::{
        FromRef, Path, Request,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code},
    },
    http::HeaderValue,
    middleware::Next,
    response::Response,
    routing::{MethodFilter, MethodRouter, on},
};
use serde_json::{Value, json};
use tenancy_axum::{
    Error, MaybeTenant, Principal, RequirePermission, SecurityHeadersLayer, TenancyCors,
    TenancyLayer, Tenant, TenantDb, ready,
};
use tenancy_core::SecurityHeaders;
use tenancy_sqlx::TenantPool;
use tenancy_tests::Serving;
use tower::Layer as _;
use tower_http::normalize_path::NormalizePathLayer;
use uuid::Uuid;

use crate::{
    engines::Engines,
    handlers,
    routes::{AREAS, Area, COVERED, Handler, Layer},
    scenario::Shape,
    sessions, streams,
};

#[derive(Clone)]
struct App {
    pool: TenantPool,
}

impl FromRef<App> for TenantPool {
    fn from_ref(app: &App) -> Self {
        app.pool.clone()
    }
}

type Answer = Result<Json<Value>, Error>;

pub(crate) async fn serve(
    shape: Shape,
    engines: &Engines,
    pool: TenantPool,
) -> anyhow::Result<Serving> {
    let areas = if shape == Shape::Covered {
        COVERED
    } else {
        AREAS
    };
    let mut app = Router::new();
    for area in areas {
        app = app.merge(covered(area, engines)?);
    }
    let ready = ready(&engines.tenancy).pool(&pool);
    let app = app
        .route("/ready", axum::routing::get(ready))
        .with_state(App { pool });
    if matches!(shape, Shape::Pages | Shape::CookiesOfPages) {
        let headers = SecurityHeaders::builder(&engines.tenancy).build()?;
        let app = app
            .layer(TenancyCors::new(&engines.tenancy)?)
            .layer(SecurityHeadersLayer::new(headers));
        return Serving::axum(app).await;
    }
    if matches!(shape, Shape::Sessions | Shape::Cookies) {
        return Serving::axum(app.layer(axum::middleware::from_fn(establish))).await;
    }
    if shape != Shape::Normalized {
        return Serving::axum(app).await;
    }
    let app = NormalizePathLayer::trim_trailing_slash().layer(app);
    let make =
        ServiceExt::<Request>::into_make_service_with_connect_info::<std::net::SocketAddr>(app);
    Serving::axum_service(make).await
}

/// The application's own middleware, which knows who is signed in.
async fn establish(mut request: Request, next: Next) -> Response {
    let field = request.headers().get(sessions::APPLICATION);
    if let Some(principal) = sessions::established(field.map(HeaderValue::as_bytes)) {
        request.extensions_mut().insert(principal);
    }
    next.run(request).await
}

fn covered(area: &Area, engines: &Engines) -> anyhow::Result<Router<App>> {
    let mut routes = Router::new();
    for row in area.rows {
        let mut route = route(row.handler, row.method.parse::<http::Method>()?.try_into()?);
        if let Some(permission) = row.permission {
            route = route.layer(RequirePermission::new(&engines.tenancy, permission)?);
        }
        routes = routes.route(row.path, route);
    }
    for layer in area.layers {
        routes = match layer {
            Layer::Tenancy(needs) => {
                routes.layer(TenancyLayer::new(&engines.tenancy).needs(*needs))
            }
            Layer::TenancyOfAnotherEngine(needs) => {
                routes.layer(TenancyLayer::new(&engines.other).needs(*needs))
            }
            Layer::Guard(permission) => {
                routes.layer(RequirePermission::new(&engines.tenancy, permission)?)
            }
            Layer::GuardOfAnotherEngine(permission) => {
                routes.layer(RequirePermission::new(&engines.other, permission)?)
            }
        };
    }
    Ok(match area.prefix {
        "" => routes,
        prefix => Router::new().nest(prefix, routes),
    })
}

fn route(handler: Handler, method: MethodFilter) -> MethodRouter<App> {
    match handler {
        Handler::Count => on(method, async |db: TenantDb| -> Answer {
            Ok(Json(handlers::count(&db).await?))
        }),
        Handler::Add => on(
            method,
            async |db: TenantDb, Json(body): Json<String>| -> Answer {
                Ok(Json(handlers::add(&db, body).await?))
            },
        ),
        Handler::Read => on(
            method,
            async |db: TenantDb, Path(id): Path<Uuid>| -> Answer {
                Ok(Json(handlers::read(&db, id).await?))
            },
        ),
        Handler::Overwrite => on(
            method,
            async |db: TenantDb, Path(id): Path<Uuid>| -> Answer {
                Ok(Json(handlers::overwrite(&db, id).await?))
            },
        ),
        Handler::Delete => on(
            method,
            async |db: TenantDb, Path(id): Path<Uuid>| -> Answer {
                Ok(Json(handlers::delete(&db, id).await?))
            },
        ),
        Handler::Context => on(method, async |tenant: Tenant| {
            Json(handlers::context(&tenant))
        }),
        Handler::Tenant => on(method, async |tenant: Tenant| {
            Json(handlers::slug(Some(&tenant)))
        }),
        Handler::MaybeTenant => on(method, async |MaybeTenant(tenant): MaybeTenant| {
            Json(handlers::slug(tenant.as_ref()))
        }),
        Handler::Principal => on(method, async |caller: Principal| {
            Json(json!(caller.actor.kind()))
        }),
        Handler::MaybePrincipal => on(method, async |caller: Option<Principal>| {
            Json(json!(caller.map_or("none", |caller| caller.actor.kind())))
        }),
        Handler::Open => on(method, async || Json(json!("reached"))),
        Handler::Db => on(method, async |_: TenantDb| Json(json!("reached"))),
        Handler::Manage => on(method, async |tenant: Tenant| -> Answer {
            tenant.require("tenant:manage")?;
            Ok(Json(json!("managed")))
        }),
        Handler::Undeclared => on(method, async |tenant: Tenant| -> Answer {
            tenant.require("never:declared")?;
            Ok(Json(json!("reached")))
        }),
        Handler::Broken => on(method, async |db: TenantDb| -> Answer {
            Ok(Json(handlers::broken(&db).await?))
        }),
        Handler::Failing => on(method, async |_: Tenant| -> Answer {
            Err(Error::internal(handlers::SECRET))
        }),
        Handler::Events => on(method, async |tenant: Tenant| {
            let events = Body::from_stream(streams::events(&tenant));
            ([("content-type", "text/event-stream")], events)
        }),
        Handler::Socket => on(method, async |db: TenantDb, upgrade: WebSocketUpgrade| {
            upgrade.on_upgrade(async move |socket| talk(db, socket).await)
        }),
        Handler::Panicking => on(method, async |db: TenantDb| -> Answer {
            Ok(Json(handlers::panicking(&db).await?))
        }),
    }
}

async fn talk(db: TenantDb, mut socket: WebSocket) {
    let mut watch = db.context().watch();
    let refusal = loop {
        tokio::select! {
            refusal = watch.ended() => break refusal,
            message = socket.recv() => match message {
                Some(Ok(Message::Text(_))) => {
                    let count = handlers::count(&db).await.unwrap_or_default().to_string();
                    if socket.send(count.into()).await.is_err() {
                        return;
                    }
                }
                Some(Ok(_)) => {}
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
