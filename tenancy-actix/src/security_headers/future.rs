//! The future of the middleware's service.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use actix_web::{Error, dev::ServiceResponse, http::header::HeaderValue};
use pin_project_lite::pin_project;
use tenancy_http::{ChosenFields, SecurityFields};

use crate::fields::{Fields, change};

pin_project! {
    /// The future of [`SecurityHeadersService`](crate::SecurityHeadersService).
    #[must_use = "futures do nothing unless polled"]
    pub struct SecurityHeadersFuture<F> {
        #[pin]
        response: F,
        fields: Arc<SecurityFields<HeaderValue>>,
        chosen: ChosenFields,
    }
}

impl<F> SecurityHeadersFuture<F> {
    pub(super) const fn new(
        response: F,
        fields: Arc<SecurityFields<HeaderValue>>,
        chosen: ChosenFields,
    ) -> Self {
        Self {
            response,
            fields,
            chosen,
        }
    }
}

impl<F, B> Future for SecurityHeadersFuture<F>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let outcome = ready!(this.response.poll(cx));
        let (fields, chosen) = (Arc::clone(this.fields), *this.chosen);
        Poll::Ready(change(outcome, move |headers| {
            fields.add(chosen, &mut Fields(headers));
        }))
    }
}

impl<F> fmt::Debug for SecurityHeadersFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecurityHeadersFuture")
            .finish_non_exhaustive()
    }
}
