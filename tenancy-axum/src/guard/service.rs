//! The service of a guard.

use std::task::{Context, Poll};

use http::{Method, Request, Response};
use tenancy_core::Refusal;
use tower_service::Service;

use super::{GuardFuture, RequirePermission};
use crate::{Error, extract::Asking, layer::Answer};

/// The service that [`RequirePermission`] makes.
#[derive(Debug, Clone)]
pub struct GuardService<S> {
    inner: S,
    guard: RequirePermission,
}

impl<S> GuardService<S> {
    pub(super) const fn new(inner: S, guard: RequirePermission) -> Self {
        Self { inner, guard }
    }
}

impl RequirePermission {
    fn check<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        let what = "the guard `RequirePermission`";
        let asking = Asking {
            what,
            uri: request.uri(),
            extensions: request.extensions(),
        };
        let context = asking.tenant().map_err(Error::logged)?;
        // Two registries with the same names share their ids, so that only this tells them apart.
        if !context.tenancy().is(&self.tenancy) {
            let detail = "a guard stands inside the `TenancyLayer` of another engine; build both \
                          from the same `Tenancy`";
            let error = Error::misconfigured("guard-of-another-engine", detail.to_owned());
            return Err(error.logged());
        }
        context.require_id(self.permission)
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for GuardService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: From<String>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = GuardFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        GuardFuture::new(match self.guard.check(&request) {
            Ok(()) => Answer::calling(self.inner.call(request)),
            Err(refusal) => Answer::refused(refusal, request.method() == Method::HEAD),
        })
    }
}
