//! The service as actix-web has it.

use std::collections::{BTreeMap, HashMap};

use actix_web::{
    App, HttpMessage as _, HttpRequest, HttpResponse, HttpServer, Resource, Route,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::HeaderValue,
    middleware::{Next, NormalizePath, from_fn},
    web::{self, Data, Json, Path, ServiceConfig},
};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};
use tenancy_actix::{
    Error, MaybePrincipal, MaybeTenant, Principal, RequirePermission, SecurityHeadersMiddleware,
    TenancyCors, TenancyMiddleware, Tenant, TenantDb, ready,
};
use tenancy_core::SecurityHeaders;
use tenancy_sqlx::TenantPool;
use tenancy_tests::Serving;
use uuid::Uuid;

use crate::{
    engines::Engines,
    handlers,
    routes::{AREAS, Area, COVERED, Handler, Layer, Row},
    scenario::Shape,
    sessions, streams,
};

type Answer = Result<Json<Value>, Error>;

pub(crate) async fn serve(
    shape: Shape,
    engines: &Engines,
    pool: TenantPool,
) -> anyhow::Result<Serving> {
    let service = Service {
        guards: guards(engines)?,
        engines: engines.clone(),
    };
    let areas = move || {
        let service = service.clone();
        App::new()
            .app_data(Data::new(pool.clone()))
            .route(
                "/ready",
                web::get().to(ready(&service.engines.tenancy).pool(&pool)),
            )
            .configure(|config| match shape {
                Shape::Covered => service.resources(&COVERED[0], config),
                _ => AREAS.iter().for_each(|area| service.area(area, config)),
            })
    };
    let tenancy = engines.tenancy.clone();
    if matches!(shape, Shape::Pages | Shape::CookiesOfPages) {
        let headers = SecurityHeaders::builder(&tenancy).build()?;
        let headers = SecurityHeadersMiddleware::new(headers);
        let cors = TenancyCors::new(&tenancy)?;
        return Serving::actix(move |listener| {
            HttpServer::new(move || areas().wrap(cors.clone()).wrap(headers.clone()))
                .workers(2)
                .disable_signals()
                .listen_auto_h2c(listener)
                .map(HttpServer::run)
        })
        .await;
    }
    if matches!(shape, Shape::Sessions | Shape::Cookies) {
        return Serving::actix(move |listener| {
            HttpServer::new(move || areas().wrap(from_fn(establish)))
                .workers(2)
                .disable_signals()
                .listen_auto_h2c(listener)
                .map(HttpServer::run)
        })
        .await;
    }
    Serving::actix(move |listener| match shape {
        Shape::Areas
        | Shape::BehindProxy
        | Shape::Keys
        | Shape::Tokens
        | Shape::Pages
        | Shape::Sessions
        | Shape::Cookies
        | Shape::CookiesOfPages => HttpServer::new(areas)
            .workers(2)
            .disable_signals()
            .listen_auto_h2c(listener)
            .map(HttpServer::run),
        Shape::Normalized => HttpServer::new(move || areas().wrap(NormalizePath::trim()))
            .workers(2)
            .disable_signals()
            .listen_auto_h2c(listener)
            .map(HttpServer::run),
        Shape::Covered => HttpServer::new(move || areas().wrap(TenancyMiddleware::new(&tenancy)))
            .workers(2)
            .disable_signals()
            .listen_auto_h2c(listener)
            .map(HttpServer::run),
    })
    .await
}

/// The application's own middleware, which knows who is signed in.
async fn establish<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let field = request.headers().get(sessions::APPLICATION);
    if let Some(principal) = sessions::established(field.map(HeaderValue::as_bytes)) {
        request.extensions_mut().insert(principal);
    }
    next.call(request).await
}

/// Every guard of the table, made before a worker starts, as an application does.
fn guards(engines: &Engines) -> anyhow::Result<HashMap<&'static str, RequirePermission>> {
    let areas = AREAS.iter().chain(COVERED);
    let rows = areas.clone().flat_map(|area| area.rows);
    let of_rows = rows.filter_map(|row| row.permission);
    let of_areas = areas
        .flat_map(|area| area.layers)
        .filter_map(|layer| match layer {
            Layer::Guard(permission) => Some(*permission),
            _ => None,
        });
    of_rows
        .chain(of_areas)
        .map(|name| Ok((name, RequirePermission::new(&engines.tenancy, name)?)))
        .collect()
}

#[derive(Clone)]
struct Service {
    engines: Engines,
    guards: HashMap<&'static str, RequirePermission>,
}

impl Service {
    fn area(&self, area: &'static Area, config: &mut ServiceConfig) {
        self.scope(area.prefix, area.layers, area, config);
    }

    /// A scope for each thing that stands around the routes, the outermost with the prefix.
    fn scope(
        &self,
        prefix: &str,
        layers: &'static [Layer],
        area: &'static Area,
        config: &mut ServiceConfig,
    ) {
        let scope = web::scope(prefix);
        let Some((outermost, inner)) = layers.split_last() else {
            config.service(scope.configure(|config| self.resources(area, config)));
            return;
        };
        let scope = scope.configure(|config| match inner {
            [] => self.resources(area, config),
            _ => self.scope("", inner, area, config),
        });
        match outermost {
            Layer::Tenancy(needs) => {
                let tenancy = TenancyMiddleware::new(&self.engines.tenancy).needs(*needs);
                config.service(scope.wrap(tenancy));
            }
            Layer::TenancyOfAnotherEngine(needs) => {
                let tenancy = TenancyMiddleware::new(&self.engines.other).needs(*needs);
                config.service(scope.wrap(tenancy));
            }
            Layer::Guard(permission) => {
                config.service(scope.wrap(self.guards[permission].clone()));
            }
            Layer::GuardOfAnotherEngine(permission) => {
                let guard = RequirePermission::new(&self.engines.other, permission).unwrap();
                config.service(scope.wrap(guard));
            }
        }
    }

    fn resources(&self, area: &'static Area, config: &mut ServiceConfig) {
        let mut resources: BTreeMap<&str, Resource> = BTreeMap::new();
        for row in area.rows {
            let mut resource = resources
                .remove(row.path)
                .unwrap_or_else(|| web::resource(row.path));
            // HEAD is a method of its own here.
            let methods: &[&str] = if row.method == "GET" {
                &["GET", "HEAD"]
            } else {
                &[row.method]
            };
            for method in methods {
                let method = method.parse().unwrap();
                resource = resource.route(self.route(row, web::method(method)));
            }
            resources.insert(row.path, resource);
        }
        for resource in resources.into_values() {
            config.service(resource);
        }
    }

    fn route(&self, row: &Row, method: Route) -> Route {
        let route = handled(row.handler, method);
        match row.permission {
            Some(permission) => route.wrap(self.guards[permission].clone()),
            None => route,
        }
    }
}

fn handled(handler: Handler, route: Route) -> Route {
    match handler {
        Handler::Count => {
            route.to(async |db: TenantDb| -> Answer { Ok(Json(handlers::count(&db).await?)) })
        }
        Handler::Add => route.to(async |db: TenantDb, body: Json<String>| -> Answer {
            Ok(Json(handlers::add(&db, body.into_inner()).await?))
        }),
        Handler::Read => route.to(async |db: TenantDb, id: Path<Uuid>| -> Answer {
            Ok(Json(handlers::read(&db, *id).await?))
        }),
        Handler::Overwrite => route.to(async |db: TenantDb, id: Path<Uuid>| -> Answer {
            Ok(Json(handlers::overwrite(&db, *id).await?))
        }),
        Handler::Delete => route.to(async |db: TenantDb, id: Path<Uuid>| -> Answer {
            Ok(Json(handlers::delete(&db, *id).await?))
        }),
        Handler::Context => route.to(async |tenant: Tenant| Json(handlers::context(&tenant))),
        Handler::Tenant => route.to(async |tenant: Tenant| Json(handlers::slug(Some(&tenant)))),
        Handler::MaybeTenant => {
            route.to(async |MaybeTenant(tenant): MaybeTenant| Json(handlers::slug(tenant.as_ref())))
        }
        Handler::Principal => route.to(async |caller: Principal| Json(json!(caller.actor.kind()))),
        Handler::MaybePrincipal => route.to(async |MaybePrincipal(caller): MaybePrincipal| {
            Json(json!(caller.map_or("none", |caller| caller.actor.kind())))
        }),
        Handler::Open => route.to(async || Json(json!("reached"))),
        Handler::Db => route.to(async |_: TenantDb| Json(json!("reached"))),
        Handler::Manage => route.to(async |tenant: Tenant| -> Answer {
            tenant.require("tenant:manage")?;
            Ok(Json(json!("managed")))
        }),
        Handler::Undeclared => route.to(async |tenant: Tenant| -> Answer {
            tenant.require("never:declared")?;
            Ok(Json(json!("reached")))
        }),
        Handler::Broken => {
            route.to(async |db: TenantDb| -> Answer { Ok(Json(handlers::broken(&db).await?)) })
        }
        Handler::Failing => {
            route.to(async |_: Tenant| -> Answer { Err(Error::internal(handlers::SECRET)) })
        }
        Handler::Events => route.to(async |tenant: Tenant| {
            HttpResponse::Ok()
                .content_type("text/event-stream")
                .streaming(streams::events(&tenant).map_ok(web::Bytes::from))
        }),
        Handler::Socket => route.to(
            async |db: TenantDb, request: HttpRequest, body: web::Payload| {
                let (response, session, messages) = actix_ws::handle(&request, body)?;
                actix_web::rt::spawn(talk(db, session, messages));
                Ok::<_, actix_web::Error>(response)
            },
        ),
        Handler::Panicking => {
            route.to(async |db: TenantDb| -> Answer { Ok(Json(handlers::panicking(&db).await?)) })
        }
    }
}

async fn talk(db: TenantDb, mut session: actix_ws::Session, mut messages: actix_ws::MessageStream) {
    let mut watch = db.context().watch();
    let refusal = loop {
        tokio::select! {
            refusal = watch.ended() => break refusal,
            message = messages.next() => match message {
                Some(Ok(actix_ws::Message::Text(_))) => {
                    let count = handlers::count(&db).await.unwrap_or_default().to_string();
                    if session.text(count).await.is_err() {
                        return;
                    }
                }
                Some(Ok(actix_ws::Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    };
    let reason = actix_ws::CloseReason {
        code: actix_ws::CloseCode::Policy,
        description: Some(refusal.problem().type_uri().to_owned()),
    };
    let _ = session.close(Some(reason)).await;
}
