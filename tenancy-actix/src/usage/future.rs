//! The future of a request that is metered.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::{Error, body::MessageBody, dev::ServiceResponse};
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

impl<F, B> Future for UsageFuture<F>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
    B: MessageBody,
{
    type Output = Result<ServiceResponse<MeteredBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // Dropped by the panic itself where the handler panics, and so told of it.
        let held = this.meter.take();
        let answered = this.future.poll(cx);
        *this.meter = held;
        let answered = ready!(answered);
        let mut meter = this.meter.take();
        if let Some(meter) = &mut meter {
            // The response to an error is made later, and outside of here.
            let status = match &answered {
                Ok(response) => response.status(),
                Err(error) => error.as_response_error().status_code(),
            };
            meter.answered(status.as_u16());
        }
        let with_body = |response: ServiceResponse<B>| {
            response.map_body(|_, body| MeteredBody::new(body, meter))
        };
        Poll::Ready(answered.map(with_body))
    }
}

impl<F> fmt::Debug for UsageFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageFuture").finish_non_exhaustive()
    }
}
