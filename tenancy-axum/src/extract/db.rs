//! The extractor of a tenant's database.

use std::ops::Deref;

use axum::extract::{FromRef, FromRequestParts, OptionalFromRequestParts};
use futures_core::{future::BoxFuture, stream::BoxStream};
use http::request::Parts;
use sqlx::{
    Either, Execute, Executor, Postgres, SqlStr,
    postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};
use sqlx_core::describe::Describe;
use tenancy_core::TenantContext;
use tenancy_sqlx::TenantPool;

use super::Asking;
use crate::Error;

/// The database as the request's tenant sees it: [`tenancy_sqlx::TenantDb`].
///
/// The pool comes from the router's state, which is a `TenantPool` or has one by `FromRef`; a
/// router whose state has none does not compile. `&TenantDb` is an sqlx `Executor`, so that a
/// query keeps its form.
///
/// `Option<TenantDb>` is `None` where [`MaybeTenant`](crate::MaybeTenant) is.
///
/// # Errors
/// As [`Tenant`](crate::Tenant); also status 500 if the pool was built for another engine than the
/// layer.
///
/// # Example
/// ```
/// use axum::{Json, Router, routing::get};
/// use tenancy_axum::{Error, TenancyLayer, TenantDb};
/// use tenancy_sqlx::TenantPool;
///
/// async fn titles(db: TenantDb) -> Result<Json<Vec<String>>, Error> {
///     Ok(Json(sqlx::query_scalar("SELECT title FROM notes").fetch_all(&db).await?))
/// }
///
/// fn app(tenancy: &tenancy_core::Tenancy, pool: TenantPool) -> Router {
///     Router::new()
///         .route("/notes", get(titles))
///         .layer(TenancyLayer::new(tenancy))
///         .with_state(pool)
/// }
/// ```
#[derive(Debug, Clone)]
#[allow(
    clippy::exhaustive_structs,
    reason = "a newtype that handlers take apart"
)]
pub struct TenantDb(pub tenancy_sqlx::TenantDb);

impl Deref for TenantDb {
    type Target = tenancy_sqlx::TenantDb;

    fn deref(&self) -> &tenancy_sqlx::TenantDb {
        &self.0
    }
}

fn asking(parts: &Parts) -> Asking<'_> {
    Asking {
        what: "the extractor `TenantDb`",
        uri: &parts.uri,
        extensions: &parts.extensions,
    }
}

fn open<S>(state: &S, context: &TenantContext) -> Result<TenantDb, Error>
where
    TenantPool: FromRef<S>,
{
    Ok(TenantDb(TenantPool::from_ref(state).tenant(context)?))
}

impl<S> FromRequestParts<S> for TenantDb
where
    S: Send + Sync,
    TenantPool: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        open(state, asking(parts).tenant()?)
    }
}

impl<S> OptionalFromRequestParts<S> for TenantDb
where
    S: Send + Sync,
    TenantPool: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Error> {
        asking(parts)
            .tenant_if_any()?
            .map(|context| open(state, context))
            .transpose()
    }
}

/// Passes everything on, so that `.fetch_all(&db)` works for the extractor as for what it holds.
impl<'c> Executor<'c> for &'c TenantDb {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        self.0.fetch_many(query)
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        self.0.fetch_optional(query)
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        self.0.prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        self.0.describe(sql)
    }
}
