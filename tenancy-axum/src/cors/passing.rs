//! A request about which has been decided, on its way.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Response};
use pin_project_lite::pin_project;
use tower_http::cors;

use crate::{fields::Fields, layer::Answer};

pin_project! {
    /// Ends as the inner service's future does, or at once; always with `Vary: Origin`.
    #[project = PassingProj]
    pub(super) enum Passing<F> {
        /// Without fields of CORS.
        Bare {
            #[pin]
            answer: Answer<F>,
        },
        Allowed {
            #[pin]
            response: cors::ResponseFuture<F>,
        },
    }
}

impl<F, ResBody, E> Future for Passing<F>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    ResBody: From<String> + Default,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = match self.project() {
            PassingProj::Bare { answer } => answer.poll(cx),
            PassingProj::Allowed { response } => response.poll(cx),
        };
        let mut response = ready!(response)?;
        let mut fields = Fields(response.headers_mut());
        tenancy_http::add_vary(&mut fields, "origin", &HeaderValue::from_static("origin"));
        Poll::Ready(Ok(response))
    }
}
