//! Multi-tenancy for actix-web.
//!
//! * [`TenancyMiddleware`] decides about a request before a handler sees it: which tenant, who is
//!   calling, whether that goes together.
//! * [`Tenant`], [`MaybeTenant`], [`Principal`] and [`MaybePrincipal`] are what handlers ask for;
//!   with the feature `sqlx`, so is `TenantDb`, the database as the tenant sees it.
//! * [`RequirePermission`] guards a scope, a resource or a route; [`Error`] is what handlers fail
//!   with; [`ready`] tells an orchestrator whether the service can work.
//! * [`SecurityHeadersMiddleware`] gives every response the header fields that it should have, and
//!   [`TenancyCors`] lets pages of other origins call the service; [`RefusalPages`] makes pages of refusals.
//!
//! The engine behind them, and everything a context can do, is in [`tenancy_core`].
//!
//! # Example: a service with one tenant
//! ```
//! use actix_web::{App, HttpServer, web};
//! use tenancy_actix::{Error, RequirePermission, TenancyMiddleware, Tenant};
//! use tenancy_core::{
//!     Identification, MemoryDirectory, Membership, PermissionRegistry, SystemRole,
//!     Tenancy, TenantStatus, UserId, danger,
//!     jwt::{Algorithm, JwtAuthenticator, VerificationKey},
//! };
//!
//! async fn notes(tenant: Tenant) -> Result<String, Error> {
//!     tenant.require("notes:read")?;
//!     Ok(format!("the notes of {}", tenant.record().name))
//! }
//!
//! async fn export(tenant: Tenant) -> String {
//!     format!("everything of {}", tenant.record().name)
//! }
//!
//! #[actix_web::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let key = VerificationKey::hmac(Algorithm::HS256, b"0123456789abcdef0123456789abcdef")?;
//!     let tenancy = Tenancy::builder(MemoryDirectory::new())
//!         .identification(Identification::new().header("x-organization-id"))
//!         .authenticator(
//!             JwtAuthenticator::builder("https://login.example", "notes").key(key).build()?,
//!         )
//!         .permissions(
//!             PermissionRegistry::builder()
//!                 .permission("notes:read", SystemRole::Viewer)
//!                 .permission("notes:export", SystemRole::Admin)
//!                 .build()?,
//!         )
//!         .build()?;
//!     let admin = tenancy.admin(danger::service("first steps")?);
//!     let acme = tenancy_core::TenantRecord::new("acme".parse()?, "Acme Ltd")
//!         .with_status(TenantStatus::Active);
//!     admin.create_tenant(&acme).await?;
//!     admin.put_membership(&Membership::new(acme.id, UserId::new(), "owner".parse()?)).await?;
//!     // Before the closure, which runs once per worker.
//!     let exporting = RequirePermission::new(&tenancy, "notes:export")?;
//!     let ready = tenancy_actix::ready(&tenancy);
//!
//!     let server = HttpServer::new(move || {
//!         App::new()
//!             .service(
//!                 web::resource("/health/ready")
//!                     .route(web::get().to(ready.clone()))
//!                     .route(web::head().to(ready.clone())),
//!             )
//!             .service(
//!                 web::scope("") // last: nothing after it is reached
//!                     .service(web::resource("/notes").route(web::get().to(notes)))
//!                     .service(
//!                         web::resource("/export")
//!                             .route(web::get().to(export).wrap(exporting.clone())),
//!                     )
//!                     .wrap(TenancyMiddleware::new(&tenancy)),
//!             )
//!     });
//! #   if true { return Ok(()); }
//!     server.bind("127.0.0.1:3000")?.run().await?;
//!     Ok(())
//! }
//! ```
#![doc = include_str!("docs/middleware.md")]
#![doc = include_str!("docs/deployment.md")]
//! # Features
//! None is on by default.
//! * `sqlx`: the extractor `TenantDb`, `?` on errors of `tenancy-sqlx` and sqlx, the pool in the
//!   readiness check.
//! * `redis`: `?` on errors of `tenancy-redis`.
//! * `usage`: `TenancyMiddleware::usage`, which meters requests.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod answer;
mod cors;
mod error;
mod extract;
mod fields;
mod guard;
mod middleware;
mod operators;
mod policy;
mod ready;
mod refusal_pages;
mod response;
mod security_headers;
#[cfg(feature = "usage")]
mod usage;
mod view;

pub use cors::{CorsService, TenancyCors};
pub use error::Error;
#[cfg(feature = "sqlx")]
pub use extract::TenantDb;
pub use extract::{MaybePrincipal, MaybeTenant, Principal, Tenant};
pub use fields::FieldsFuture;
pub use guard::{GuardFuture, GuardService, RequirePermission};
pub use middleware::{ResponseFuture, TenancyMiddleware, TenancyService};
pub use operators::{Operator, OperatorsMiddleware, OperatorsService};
pub use policy::{GateFuture, GateService, PolicyMiddleware, SettledBody};
pub use ready::{Readiness, ready};
pub use refusal_pages::{RefusalPages, RefusalPagesFuture, RefusalPagesService};
pub use security_headers::{SecurityHeadersMiddleware, SecurityHeadersService};
pub use tenancy_http::{
    AdmissionDecision, ImpersonationMark, PeerAddr, convert_errors, local_path,
};
#[cfg(feature = "usage")]
pub use usage::{MeteredBody, UsageFuture, UsageMiddleware, UsageService};
