//! The adapter to actix-web: `tenancy-actix`.
//!
//! ```
//! use actix_web::{App, HttpServer, web};
//! use tenancy::{
//!     Tenancy,
//!     actix::{Error, TenancyMiddleware, Tenant},
//! };
//!
//! async fn whoami(tenant: Tenant) -> Result<String, Error> {
//!     tenant.require("notes:read")?;
//!     Ok(format!("you work for {}", tenant.record().name))
//! }
//!
//! async fn serve(tenancy: Tenancy) -> std::io::Result<()> {
//!     let app = move || {
//!         App::new().route("/", web::get().to(whoami)).wrap(TenancyMiddleware::new(&tenancy))
//!     };
//!     HttpServer::new(app).bind("127.0.0.1:3000")?.run().await
//! }
//! ```
#[doc(inline)]
pub use tenancy_actix::*;
