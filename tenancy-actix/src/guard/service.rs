//! The service of a guard.

use std::task::{Context, Poll};

use actix_web::{
    Error,
    body::EitherBody,
    dev::{Service, ServiceRequest, ServiceResponse},
};
use tenancy_http::Guard;

use super::GuardFuture;
use crate::{answer::Answer, extract::ask};

/// The service that [`RequirePermission`](crate::RequirePermission) makes.
#[derive(Debug)]
pub struct GuardService<S> {
    inner: S,
    guard: Guard,
}

impl<S> GuardService<S> {
    pub(super) const fn new(inner: S, guard: Guard) -> Self {
        Self { inner, guard }
    }
}

impl<S, B> Service<ServiceRequest> for GuardService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = GuardFuture<S::Future, B>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let what = "the guard `RequirePermission`";
        let checked = ask(what, request.request(), |asking| self.guard.check(asking));
        GuardFuture::new(match checked {
            Ok(()) => Answer::Calling {
                future: self.inner.call(request),
            },
            Err(error) => Answer::refused(request, error.0.logged()),
        })
    }
}
