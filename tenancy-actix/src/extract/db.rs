//! The extractor of a tenant's database.

use std::{
    future::{Ready, ready},
    ops::Deref,
};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web::Data};
use tenancy_sqlx::TenantPool;

use super::ask;
use crate::Error;

/// The database as the request's tenant sees it: [`tenancy_sqlx::TenantDb`].
///
/// The pool is the application's `web::Data<TenantPool>`. `&TenantDb` is an sqlx `Executor`, so that
/// a query keeps its form.
///
/// # Errors
/// As [`Tenant`](crate::Tenant); also status 500 if the application has no pool, or if it was built
/// for another engine than the middleware.
///
/// # Security
/// Not as `Option<TenantDb>`, which would hide every error: where a tenant is optional, take
/// [`MaybeTenant`](crate::MaybeTenant) and call [`TenantPool::tenant`].
///
/// # Example
/// ```
/// use actix_web::{App, HttpServer, web};
/// use tenancy_actix::{Error, TenancyMiddleware, TenantDb};
/// use tenancy_sqlx::TenantPool;
///
/// async fn titles(db: TenantDb) -> Result<web::Json<Vec<String>>, Error> {
///     Ok(web::Json(sqlx::query_scalar("SELECT title FROM notes").fetch_all(&db).await?))
/// }
///
/// # fn serve(tenancy: tenancy_core::Tenancy, pool: TenantPool) {
/// let server = HttpServer::new(move || {
///     App::new()
///         .app_data(web::Data::new(pool.clone()))
///         .route("/notes", web::get().to(titles))
///         .wrap(TenancyMiddleware::new(&tenancy))
/// });
/// # }
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

fn pool(request: &HttpRequest) -> Result<&TenantPool, tenancy_http::Error> {
    let pool = request.app_data::<Data<TenantPool>>();
    pool.map(|pool| pool.get_ref()).ok_or_else(|| {
        let path = request.uri().path();
        tenancy_http::Error::misconfigured(
            "tenant-pool-missing",
            format!(
                "{WHAT} is used on `{path}`, and the application has no pool; add \
                 `.app_data(web::Data::new(pool.clone()))` with a `TenantPool` to the app"
            ),
        )
    })
}

impl FromRequest for TenantDb {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(ask(WHAT, request, |asking| {
            let context = asking.tenant()?;
            Ok(Self(pool(request)?.tenant(context)?))
        }))
    }
}

tenancy_http::pass_on_executor!(TenantDb);
