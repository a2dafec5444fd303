//! What the adapters to web frameworks share, and what the core may not know.
//!
//! Applications use an adapter, `tenancy-axum` or `tenancy-actix`; this crate is for
//! authors of adapters. An adapter translates:
//!
//! | here | in an adapter |
//! |---|---|
//! | [`AdmissionDecision`] | put into the request's extensions by the layer that admits |
//! | [`DecisionLookup`] | what an extractor or a guard asks of the decision |
//! | [`Error`] | wrapped in a type that the framework takes for a response |
//! | [`Guard`] | called before the inner service |
//! | [`Gate`] | called after the decision and before the inner service, on a route with a policy |
//! | [`Unsettled`] | held by the body of the response to a request that was charged |
//! | [`Readiness`] | called by a handler |
//! | [`CorsFields`] | asked before the inner service who answers, and what is written to the response |
//! | [`SecurityFields`] | asked before the inner service what is written to the response |
//! | [`RefusalPages`] | asked before the inner service, and about a refusal what becomes of it |
//! | [`WriteFields`] | held by the future of the response, and writes what was chosen |
//! | [`ResponseFields`] | wraps the framework's header map |
//! | [`ImpersonationMark`] | written to the response while an operator acts as the user |
//! | [`operator_of`] | what the extractor of operators' routes asks |
//! | `RequestMeter` | held by the future and then by the body of the response to a request that is metered |
//! | `MeteredRequest` | carried by that request, for the layers inside to tell whose it is |
//! | [`PeerAddr`] | read where the framework does not tell the peer's address |
//!
//! So the same request gets the same answer and the same log line, whichever framework received it.
//!
//! # Features
//! * `redis`: errors of `tenancy-redis`.
//! * `sqlx`: errors of `tenancy-sqlx` and sqlx, the pool in the readiness check,
//!   [`pass_on_executor!`].
//! * `usage`: requests metered.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod address;
mod caller;
mod convert_errors;
mod cors_fields;
mod decision;
mod decision_lookup;
mod error;
#[cfg(feature = "sqlx")]
mod executor;
mod gate;
mod guard;
mod impersonation_mark;
mod local_path;
#[cfg(feature = "usage")]
mod metering;
mod operator_lookup;
mod peer;
mod readiness;
mod refusal_pages;
mod response_fields;
mod security_fields;
mod unsettled;

pub use address::{AddressCharged, no_route};
pub use caller::Caller;
pub use cors_fields::{ChosenCorsFields, CorsDecided, CorsFields, CorsWay};
pub use decision::AdmissionDecision;
pub use decision_lookup::{Adapter, DecisionLookup};
pub use error::Error;
#[cfg(feature = "sqlx")]
#[doc(hidden)]
pub use executor::parts as executor_parts;
pub use gate::{Charged, Gate};
pub use guard::Guard;
pub use impersonation_mark::ImpersonationMark;
pub use local_path::local_path;
#[cfg(feature = "usage")]
pub use metering::{MeteredRequest, RequestMeter};
pub use operator_lookup::operator_of;
pub use peer::PeerAddr;
pub use readiness::{READY_BODY, Readiness};
pub use refusal_pages::{AskedPage, PageAnswer, RefusalPages};
pub use response_fields::{ResponseFields, WriteFields, add_fields, add_vary};
pub use security_fields::{ChosenSecurityFields, SecurityFields};
pub use unsettled::Unsettled;

/// What [`convert_errors!`] converts.
#[doc(hidden)]
pub mod errors {
    pub use tenancy_core::{DirectoryError, Refusal, SettingsError, StoreError};

    #[cfg(feature = "sqlx")]
    pub use sqlx::Error as SqlxError;
    #[cfg(feature = "redis")]
    pub use tenancy_redis::RedisError;
    #[cfg(feature = "sqlx")]
    pub use tenancy_sqlx::Error as SessionError;
}
