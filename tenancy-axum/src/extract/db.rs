//! The extractor of a tenant's database.

use std::ops::Deref;

use axum::extract::{FromRef, FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use tenancy_core::TenantContext;
use tenancy_sqlx::TenantPool;

use super::asking_parts;
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

const WHAT: &str = "the extractor `TenantDb`";

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
        open(state, asking_parts(WHAT, parts).tenant()?)
    }
}

impl<S> OptionalFromRequestParts<S> for TenantDb
where
    S: Send + Sync,
    TenantPool: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Error> {
        asking_parts(WHAT, parts)
            .tenant_if_any()?
            .map(|context| open(state, context))
            .transpose()
    }
}

tenancy_http::pass_on_executor!(TenantDb);
