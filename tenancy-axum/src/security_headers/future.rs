//! The future of the layer's service.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Response};
use pin_project_lite::pin_project;
use tenancy_http::{ChosenFields, SecurityFields};

use crate::fields::Fields;

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

impl<F, ResBody, E> Future for SecurityHeadersFuture<F>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.response.poll(cx))?;
        let mut fields = Fields(response.headers_mut());
        this.fields.add(*this.chosen, &mut fields);
        Poll::Ready(Ok(response))
    }
}

impl<F> fmt::Debug for SecurityHeadersFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecurityHeadersFuture")
            .finish_non_exhaustive()
    }
}
