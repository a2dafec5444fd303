//! What both adapters share and an application names: the part of `tenancy-http` for code that serves
//! either framework.
//!
//! A library of handlers' parts returns this [`Error`]. By `?` it becomes the error of the framework that the
//! program is built with.
//!
//! ```
//! use tenancy::{Refusal, RefusalKind, TenantContext, http::Error};
//!
//! fn author(context: &TenantContext) -> Result<String, Error> {
//!     let user = context.user_id();
//!     let user = user.ok_or(Refusal::new(RefusalKind::Unauthenticated, "credential-absent"))?;
//!     Ok(user.to_string())
//! }
//! ```
#[doc(inline)]
pub use tenancy_http::{
    AdmissionDecision, Error, ImpersonationMark, PeerAddr, convert_errors, local_path,
};
