//! The future of a request that is metered.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Response, StatusCode};
use http_body::Body;
use pin_project_lite::pin_project;
use tenancy_http::RequestMeter;

use super::MeteredBody;

pin_project! {
    /// The future of [`UsageService`](crate::UsageService). Dropped without an answer, it meters a request whose client has
    /// gone.
    #[must_use = "futures do nothing unless polled"]
    pub struct UsageFuture<F> {
        #[pin]
        future: F,
        meter: Option<RequestMeter>,
    }
}

impl<F> UsageFuture<F> {
    pub(super) const fn new(future: F, meter: Option<RequestMeter>) -> Self {
        Self { future, meter }
    }
}

impl<F, B, E> Future for UsageFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
{
    type Output = Result<Response<MeteredBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // Dropped by the panic itself where the handler panics, and so told of it.
        let held = this.meter.take();
        let answered = this.future.poll(cx);
        *this.meter = held;
        let answered = ready!(answered);
        let mut meter = this.meter.take();
        if let Some(meter) = &mut meter {
            let status = answered
                .as_ref()
                .map_or(StatusCode::INTERNAL_SERVER_ERROR, Response::status);
            meter.answered(status.as_u16());
        }
        Poll::Ready(answered.map(|response| response.map(|body| MeteredBody::new(body, meter))))
    }
}

impl<F> fmt::Debug for UsageFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageFuture").finish_non_exhaustive()
    }
}
