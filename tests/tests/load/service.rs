//! Notes over HTTP on either framework: with the library, and bare, where each statement names the
//! tenant of a header. One set of handlers serves both.

use std::{
    future::{Ready, ready},
    ops::Deref,
};

use serde_json::{Value, json};
use sqlx::PgPool;
use tenancy_sqlx::{Error, TenantDb, TenantPool};
use tenancy_tests::{Framework, Serving};
use uuid::Uuid;

/// What the body says of a note that is not there.
pub(crate) const NOT_FOUND: &str = "no such note";

pub(crate) async fn with_tenancy(
    framework: Framework,
    pool: &TenantPool,
) -> anyhow::Result<Serving> {
    match framework {
        Framework::Axum => on_axum::with_tenancy(pool.clone()).await,
        Framework::Actix => on_actix::with_tenancy(pool.clone()).await,
    }
}

pub(crate) async fn bare(framework: Framework, pool: &PgPool) -> anyhow::Result<Serving> {
    match framework {
        Framework::Axum => on_axum::bare(pool.clone()).await,
        Framework::Actix => on_actix::bare(pool.clone()).await,
    }
}

/// The notes of the tenant that asks.
trait Store: Send + Sync + 'static {
    fn list(&self) -> impl Future<Output = Result<Vec<(Uuid, String)>, Error>> + Send;
    fn read(&self, id: Uuid) -> impl Future<Output = Result<Option<String>, Error>> + Send;
    fn add(&self, body: String) -> impl Future<Output = Result<Uuid, Error>> + Send;
    fn delete(&self, id: Uuid) -> impl Future<Output = Result<bool, Error>> + Send;
}

impl Store for TenantDb {
    async fn list(&self) -> Result<Vec<(Uuid, String)>, Error> {
        let select = sqlx::query_as("SELECT id, body FROM notes");
        Ok(select.fetch_all(&self.reader()).await?)
    }

    async fn read(&self, id: Uuid) -> Result<Option<String>, Error> {
        let select = sqlx::query_scalar("SELECT body FROM notes WHERE id = $1").bind(id);
        Ok(select.fetch_optional(&self.reader()).await?)
    }

    async fn add(&self, body: String) -> Result<Uuid, Error> {
        let mut tx = self.begin().await?;
        let insert = sqlx::query_scalar("INSERT INTO notes (body) VALUES ($1) RETURNING id");
        let id = insert.bind(body).fetch_one(&mut *tx).await?;
        tx.commit().await?;
        Ok(id)
    }

    async fn delete(&self, id: Uuid) -> Result<bool, Error> {
        let delete = sqlx::query("DELETE FROM notes WHERE id = $1").bind(id);
        Ok(delete.execute(self).await?.rows_affected() > 0)
    }
}

/// A pool that sees every row, and the tenant that the header named.
struct Bare {
    pool: PgPool,
    tenant: Uuid,
}

/// A [`Bare`] as the extractors of both frameworks give it, like the library's `TenantDb`.
struct Named(Bare);

impl Deref for Named {
    type Target = Bare;

    fn deref(&self) -> &Bare {
        &self.0
    }
}

impl Named {
    fn new(pool: Option<&PgPool>, header: Option<&[u8]>) -> Option<Self> {
        let tenant = Uuid::try_parse_ascii(header?).ok()?;
        let pool = pool?.clone();
        Some(Self(Bare { pool, tenant }))
    }
}

impl Store for Bare {
    async fn list(&self) -> Result<Vec<(Uuid, String)>, Error> {
        let select = sqlx::query_as("SELECT id, body FROM notes WHERE tenant_id = $1");
        Ok(select.bind(self.tenant).fetch_all(&self.pool).await?)
    }

    async fn read(&self, id: Uuid) -> Result<Option<String>, Error> {
        let select = "SELECT body FROM notes WHERE id = $1 AND tenant_id = $2";
        let select = sqlx::query_scalar(select).bind(id).bind(self.tenant);
        Ok(select.fetch_optional(&self.pool).await?)
    }

    async fn add(&self, body: String) -> Result<Uuid, Error> {
        let mut tx = self.pool.begin().await?;
        let insert = "INSERT INTO notes (body, tenant_id) VALUES ($1, $2) RETURNING id";
        let insert = sqlx::query_scalar(insert).bind(body).bind(self.tenant);
        let id = insert.fetch_one(&mut *tx).await?;
        tx.commit().await?;
        Ok(id)
    }

    async fn delete(&self, id: Uuid) -> Result<bool, Error> {
        let delete = "DELETE FROM notes WHERE id = $1 AND tenant_id = $2";
        let delete = sqlx::query(delete).bind(id).bind(self.tenant);
        Ok(delete.execute(&self.pool).await?.rows_affected() > 0)
    }
}

/// Status and body of an answer about a note that may not be there.
fn found(value: Option<Value>) -> (http::StatusCode, Value) {
    match value {
        Some(value) => (http::StatusCode::OK, value),
        None => (http::StatusCode::NOT_FOUND, json!(NOT_FOUND)),
    }
}

mod on_axum {
    use axum::{
        Json, Router,
        extract::{FromRequestParts, Path},
        http::{StatusCode, request::Parts},
        routing::get,
    };
    use tenancy_axum::{Error, RequirePermission, TenancyLayer};

    use super::*;

    type Answer = Result<(StatusCode, Json<Value>), Error>;

    pub(super) async fn with_tenancy(pool: TenantPool) -> anyhow::Result<Serving> {
        let tenancy = pool.tenancy().clone();
        let app = routes::<tenancy_axum::TenantDb, _>()
            .layer(RequirePermission::new(&tenancy, "notes:write")?)
            .layer(TenancyLayer::new(&tenancy));
        Serving::axum(app.with_state(pool)).await
    }

    pub(super) async fn bare(pool: PgPool) -> anyhow::Result<Serving> {
        Serving::axum(routes::<Named, _>().with_state(pool)).await
    }

    impl FromRequestParts<PgPool> for Named {
        type Rejection = StatusCode;

        fn from_request_parts(
            parts: &mut Parts,
            pool: &PgPool,
        ) -> impl Future<Output = Result<Self, StatusCode>> + Send {
            let header = parts.headers.get("x-tenant").map(|value| value.as_bytes());
            ready(Self::new(Some(pool), header).ok_or(StatusCode::BAD_REQUEST))
        }
    }

    fn routes<D, S>() -> Router<S>
    where
        D: Deref<Target: Store> + FromRequestParts<S> + Send + Sync + 'static,
        S: Clone + Send + Sync + 'static,
    {
        Router::new()
            .route("/notes", get(list::<D>).post(add::<D>))
            .route("/notes/{id}", get(read::<D>).delete(delete::<D>))
    }

    async fn list<D: Deref<Target: Store> + Sync>(db: D) -> Answer {
        Ok(json(Some(json!(db.list().await?))))
    }

    async fn read<D: Deref<Target: Store> + Sync>(db: D, Path(id): Path<Uuid>) -> Answer {
        Ok(json(db.read(id).await?.map(Value::String)))
    }

    async fn add<D: Deref<Target: Store> + Sync>(db: D, body: String) -> Answer {
        Ok(json(Some(json!(db.add(body).await?))))
    }

    async fn delete<D: Deref<Target: Store> + Sync>(db: D, Path(id): Path<Uuid>) -> Answer {
        Ok(json(db.delete(id).await?.then_some(Value::Bool(true))))
    }

    fn json(value: Option<Value>) -> (StatusCode, Json<Value>) {
        let (status, value) = found(value);
        (status, Json(value))
    }
}

mod on_actix {
    use actix_web::{
        App, FromRequest, HttpRequest, HttpResponse, HttpServer,
        dev::Payload,
        error::ErrorBadRequest,
        http::StatusCode,
        web::{self, Data, Path, ServiceConfig},
    };
    use tenancy_actix::{Error, RequirePermission, TenancyMiddleware};

    use super::*;

    type Answer = Result<HttpResponse, Error>;

    pub(super) async fn with_tenancy(pool: TenantPool) -> anyhow::Result<Serving> {
        let tenancy = pool.tenancy().clone();
        let guard = RequirePermission::new(&tenancy, "notes:write")?;
        let pool = Data::new(pool);
        let app = move || {
            App::new()
                .app_data(pool.clone())
                .configure(routes::<tenancy_actix::TenantDb>)
                .wrap(guard.clone())
                .wrap(TenancyMiddleware::new(&tenancy))
        };
        Serving::actix(move |listener| {
            let server = HttpServer::new(app).workers(2).disable_signals();
            Ok(server.listen(listener)?.run())
        })
        .await
    }

    pub(super) async fn bare(pool: PgPool) -> anyhow::Result<Serving> {
        let pool = Data::new(pool);
        let app = move || App::new().app_data(pool.clone()).configure(routes::<Named>);
        Serving::actix(move |listener| {
            let server = HttpServer::new(app).workers(2).disable_signals();
            Ok(server.listen(listener)?.run())
        })
        .await
    }

    impl FromRequest for Named {
        type Error = actix_web::Error;
        type Future = Ready<Result<Self, Self::Error>>;

        fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
            let header = request.headers().get("x-tenant");
            let pool = request.app_data::<Data<PgPool>>();
            let bare = Self::new(
                pool.map(|pool| &***pool),
                header.map(|value| value.as_bytes()),
            );
            ready(bare.ok_or_else(|| ErrorBadRequest("no tenant")))
        }
    }

    fn routes<D: Deref<Target: Store> + FromRequest + 'static>(config: &mut ServiceConfig) {
        config
            .route("/notes", web::get().to(list::<D>))
            .route("/notes", web::post().to(add::<D>))
            .route("/notes/{id}", web::get().to(read::<D>))
            .route("/notes/{id}", web::delete().to(delete::<D>));
    }

    async fn list<D: Deref<Target: Store>>(db: D) -> Answer {
        json(Some(json!(db.list().await?)))
    }

    async fn read<D: Deref<Target: Store>>(db: D, id: Path<Uuid>) -> Answer {
        json(db.read(*id).await?.map(Value::String))
    }

    async fn add<D: Deref<Target: Store>>(db: D, body: String) -> Answer {
        json(Some(json!(db.add(body).await?)))
    }

    async fn delete<D: Deref<Target: Store>>(db: D, id: Path<Uuid>) -> Answer {
        json(db.delete(*id).await?.then_some(Value::Bool(true)))
    }

    fn json(value: Option<Value>) -> Answer {
        let (status, value) = found(value);
        let status = StatusCode::from_u16(status.as_u16()).unwrap();
        Ok(HttpResponse::build(status).json(value))
    }
}
