//! The extractor of who is calling, if anybody says so.

use std::{
    future::{Ready, ready},
    ops::Deref,
};

use actix_web::{FromRequest, HttpRequest, dev::Payload};

use super::{Principal, ask};
use crate::Error;

/// The [`Principal`] of the request, `None` for a caller without a credential.
///
/// # Errors
/// Status 500 if no [`TenancyMiddleware`](crate::TenancyMiddleware) covers the route.
///
/// # Example
/// ```
/// use tenancy_actix::MaybePrincipal;
///
/// async fn greet(MaybePrincipal(caller): MaybePrincipal) -> String {
///     match caller {
///         Some(caller) => format!("Welcome, {}", caller.actor),
///         None => "Welcome, whoever you are".to_owned(),
///     }
/// }
/// ```
#[derive(Debug, Clone)]
#[allow(
    clippy::exhaustive_structs,
    reason = "a newtype that handlers take apart"
)]
pub struct MaybePrincipal(pub Option<Principal>);

impl Deref for MaybePrincipal {
    type Target = Option<Principal>;

    fn deref(&self) -> &Option<Principal> {
        &self.0
    }
}

impl FromRequest for MaybePrincipal {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(ask("the extractor `MaybePrincipal`", request, |asking| {
            Ok(Self(asking.caller_if_any()?.map(Principal)))
        }))
    }
}
