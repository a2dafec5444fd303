//! The service of a guard.

use std::task::{Context, Poll};

use http::{Method, Request, Response};
use tenancy_http::Guard;
use tower_service::Service;

use super::GuardFuture;
use crate::{extract::asking, layer::Answer};

/// The service that [`RequirePermission`](crate::RequirePermission) makes.
#[derive(Debug, Clone)]
pub struct GuardService<S> {
    inner: S,
    guard: Guard,
}

impl<S> GuardService<S> {
    pub(super) const fn new(inner: S, guard: Guard) -> Self {
        Self { inner, guard }
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
        let what = "the guard `RequirePermission`";
        let asking = asking(what, request.uri(), request.extensions());
        GuardFuture::new(match self.guard.check(asking) {
            Ok(()) => Answer::calling(self.inner.call(request)),
            Err(error) => Answer::refused(error.logged(), request.method() == Method::HEAD),
        })
    }
}
