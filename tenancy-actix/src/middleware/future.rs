//! The future of the middleware's service.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use actix_web::{Error, body::EitherBody, dev::ServiceResponse};
use pin_project_lite::pin_project;

use crate::answer::{Answer, Answered};

pin_project! {
    /// The future of [`TenancyService`](crate::TenancyService).
    ///
    /// Safe to drop at any point: a request that is still being decided has not reached the inner
    /// service.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, B> {
        #[pin]
        state: State<F, B>,
    }
}

type Deciding<B> = Pin<Box<dyn Future<Output = Answered<B>>>>;

pin_project! {
    #[project = StateProj]
    enum State<F, B> {
        Deciding {
            deciding: Deciding<B>,
        },
        Answering {
            #[pin]
            answer: Answer<F, B>,
        },
    }
}

impl<F, B> ResponseFuture<F, B> {
    pub(crate) const fn answering(answer: Answer<F, B>) -> Self {
        Self {
            state: State::Answering { answer },
        }
    }

    pub(crate) const fn deciding(deciding: Deciding<B>) -> Self {
        Self {
            state: State::Deciding { deciding },
        }
    }
}

impl<F, B> Future for ResponseFuture<F, B>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
{
    type Output = Result<ServiceResponse<EitherBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Deciding { deciding } => deciding.as_mut().poll(cx),
            StateProj::Answering { answer } => answer.poll(cx),
        }
    }
}

impl<F, B> fmt::Debug for ResponseFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
