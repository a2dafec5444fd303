//! Multi-tenancy for axum, and for any tower service over `http` 1.
//!
//! * [`TenancyLayer`] decides about a request before a handler sees it: which tenant, who is
//!   calling, whether that goes together.
//! * [`Tenant`], [`MaybeTenant`] and [`Principal`] are what handlers ask for; with the feature
//!   `sqlx`, so is `TenantDb`, the database as the tenant sees it.
//! * [`RequirePermission`] guards a route, and [`PolicyLayer`] has it charged; [`Error`] is what handlers fail with; [`ready`] tells an
//!   orchestrator whether the service can work.
//! * [`OperatorsLayer`] stands before the routes of operators, whose handlers ask for an [`Operator`].
//! * [`SecurityHeadersLayer`] gives every response the header fields that it should have, and
//!   [`TenancyCors`] lets pages of other origins call the service; [`RefusalPages`] makes pages of refusals.
//!
//! The engine behind them, and everything a context can do, is in [`tenancy_core`].
//!
//! # Example: a service with one tenant
//! ```
//! use std::net::SocketAddr;
//!
//! use axum::{Router, routing::get};
//! use tenancy_axum::{Error, RequirePermission, TenancyLayer, Tenant};
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
//! #[tokio::main]
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
//!
//!     let app = Router::new()
//!         .route("/notes", get(notes))
//!         .route("/export", get(export).route_layer(RequirePermission::new(&tenancy, "notes:export")?))
//!         .layer(TenancyLayer::new(&tenancy))
//!         .route("/health/ready", get(tenancy_axum::ready(&tenancy)));
//!
//! #   if true { return Ok(()); }
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//!     axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
//!     Ok(())
//! }
//! ```
#![doc = include_str!("docs/layers.md")]
#![doc = include_str!("docs/deployment.md")]
//! # Features
//! None is on by default.
//! * `sqlx`: the extractor `TenantDb`, `?` on errors of `tenancy-sqlx` and sqlx, the pool in the
//!   readiness check.
//! * `redis`: `?` on errors of `tenancy-redis`.
//! * `usage`: `TenancyLayer::usage`, which meters requests.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod cors;
mod error;
mod extract;
mod fields;
mod guard;
mod layer;
mod operators;
mod policy;
mod ready;
mod refusal_pages;
mod response;
mod security_headers;
#[cfg(feature = "usage")]
mod usage;
mod view;

pub use cors::{CorsFuture, CorsService, TenancyCors};
pub use error::Error;
#[cfg(feature = "sqlx")]
pub use extract::TenantDb;
pub use extract::{MaybeTenant, Principal, Tenant};
pub use fields::FieldsFuture;
pub use guard::{GuardFuture, GuardService, RequirePermission};
pub use layer::{ResponseFuture, TenancyLayer, TenancyService};
pub use operators::{Operator, OperatorsLayer, OperatorsService};
pub use policy::{GateFuture, GateService, PolicyLayer, SettledBody};
pub use ready::{Readiness, ready};
pub use refusal_pages::{RefusalPages, RefusalPagesFuture, RefusalPagesService};
pub use security_headers::{SecurityHeadersLayer, SecurityHeadersService};
pub use tenancy_http::{
    AdmissionDecision, ImpersonationMark, PeerAddr, convert_errors, local_path,
};
#[cfg(feature = "usage")]
pub use usage::{MeteredBody, UsageFuture, UsageLayer, UsageService};
