//! The answer to a decided request: the inner service's, a refusal, or that all is well.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http::Response;
use pin_project_lite::pin_project;
use tenancy_core::Refusal;

use crate::response::refusal_response;

pin_project! {
    /// Ends as the inner service's future does, or at once.
    #[project = AnswerProj]
    pub(crate) enum Answer<F> {
        Calling {
            #[pin]
            future: F,
        },
        Refused {
            refusal: Refusal,
            to_head: bool,
        },
        /// Status 200, without a body.
        Accepted,
    }
}

impl<F> Answer<F> {
    pub(crate) const fn calling(future: F) -> Self {
        Self::Calling { future }
    }

    pub(crate) const fn refused(refusal: Refusal, to_head: bool) -> Self {
        Self::Refused { refusal, to_head }
    }
}

impl<F, ResBody, E> Future for Answer<F>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    ResBody: From<String>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            AnswerProj::Calling { future } => future.poll(cx),
            AnswerProj::Refused { refusal, to_head } => {
                Poll::Ready(Ok(refusal_response(refusal.clone(), *to_head)))
            }
            AnswerProj::Accepted => Poll::Ready(Ok(Response::new(String::new().into()))),
        }
    }
}
