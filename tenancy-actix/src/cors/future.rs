//! The future of the middleware's service.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::{
    Error,
    body::EitherBody,
    dev::ServiceResponse,
    http::header::{HeaderMap, HeaderValue},
};
use pin_project_lite::pin_project;

use crate::{
    fields::{Fields, change},
    middleware::ResponseFuture,
};

pin_project! {
    /// The future of [`CorsService`](crate::CorsService).
    ///
    /// Safe to drop at any point: a request that is still being decided has not reached the inner
    /// service.
    #[must_use = "futures do nothing unless polled"]
    pub struct CorsFuture<F, B> {
        #[pin]
        response: ResponseFuture<F, B>,
    }
}

impl<F, B> CorsFuture<F, B> {
    pub(super) const fn new(response: ResponseFuture<F, B>) -> Self {
        Self { response }
    }
}

impl<F, B> Future for CorsFuture<F, B>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
{
    type Output = Result<ServiceResponse<EitherBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(self.project().response.poll(cx));
        Poll::Ready(change(outcome, add_vary))
    }
}

fn add_vary(headers: &mut HeaderMap) {
    let origin = HeaderValue::from_static("origin");
    tenancy_http::add_vary(&mut Fields(headers), "origin", &origin);
}

impl<F, B> fmt::Debug for CorsFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CorsFuture").finish_non_exhaustive()
    }
}
