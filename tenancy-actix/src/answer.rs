//! The answer to a decided request: the inner service's, or a refusal.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::{
    Error,
    body::EitherBody,
    dev::{ServiceRequest, ServiceResponse},
};
use pin_project_lite::pin_project;
use tenancy_core::Refusal;

use crate::response::refusal_response;

/// A response of the inner service, or a problem.
pub(crate) type Answered<B> = Result<ServiceResponse<EitherBody<B>>, Error>;

/// The problem as a response, never as an error: outer middleware, such as CORS, sees responses.
pub(crate) fn refused<B>(request: ServiceRequest, refusal: Refusal) -> Answered<B> {
    let response = request.into_response(refusal_response(refusal));
    Ok(response.map_into_right_body())
}

pin_project! {
    /// Ends as the inner service's future does, or at once with a problem.
    #[project = AnswerProj]
    pub(crate) enum Answer<F, B> {
        Calling {
            #[pin]
            future: F,
        },
        Refused {
            response: Option<Answered<B>>,
        },
    }
}

impl<F, B> Answer<F, B> {
    pub(crate) fn refused(request: ServiceRequest, refusal: Refusal) -> Self {
        Self::Refused {
            response: Some(refused(request, refusal)),
        }
    }
}

impl<F, B> Future for Answer<F, B>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
{
    type Output = Answered<B>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            AnswerProj::Calling { future } => {
                let response = ready!(future.poll(cx))?;
                Poll::Ready(Ok(response.map_into_left_body()))
            }
            // Nobody polls a future that has ended.
            AnswerProj::Refused { response } => response.take().map_or(Poll::Pending, Poll::Ready),
        }
    }
}
