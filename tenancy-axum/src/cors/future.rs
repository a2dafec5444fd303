//! The future of the layer's service.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tenancy_core::{CorsDecision, PendingCors, Refusal, RefusalKind};
use tower_service::Service;

use super::{CorsService, service::Answering};
use crate::response::refusal_response;

pin_project! {
    /// The future of [`CorsService`](crate::CorsService).
    ///
    /// Safe to drop at any point: a request that is still being decided has not reached the inner
    /// service.
    #[must_use = "futures do nothing unless polled"]
    pub struct CorsFuture<S, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: State<S, ReqBody>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        Deciding {
            deciding: Box<Deciding<S, ReqBody>>,
        },
        Answering {
            #[pin]
            answer: Answering<S::Future>,
        },
    }
}

/// A request of a page whose domain is being looked up.
struct Deciding<S, ReqBody> {
    decision: Pin<Box<dyn Future<Output = CorsDecision> + Send>>,
    /// The service that was ready when the request came.
    service: CorsService<S>,
    request: Option<Request<ReqBody>>,
}

impl<S, ReqBody> CorsFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    pub(super) const fn answering(answer: Answering<S::Future>) -> Self {
        Self {
            state: State::Answering { answer },
        }
    }

    pub(super) fn deciding(
        pending: PendingCors,
        service: CorsService<S>,
        request: Request<ReqBody>,
    ) -> Self {
        let deciding = Deciding {
            decision: Box::pin(pending.resolve()),
            service,
            request: Some(request),
        };
        Self {
            state: State::Deciding {
                deciding: Box::new(deciding),
            },
        }
    }
}

impl<S, ReqBody, ResBody> Future for CorsFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: From<String>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let answer = match state.as_mut().project() {
                StateProj::Deciding { deciding } => {
                    let decision = ready!(deciding.decision.as_mut().poll(cx));
                    let Some(request) = deciding.request.take() else {
                        // Only after the inner service panicked in `call` and was polled all the same.
                        let refusal = Refusal::new(RefusalKind::Internal, "polled-after-panic");
                        return Poll::Ready(Ok(refusal_response(refusal, false)));
                    };
                    deciding.service.answer(decision, request)
                }
                StateProj::Answering { answer } => return answer.poll(cx),
            };
            state.set(State::Answering { answer });
        }
    }
}

impl<S, ReqBody> fmt::Debug for CorsFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CorsFuture").finish_non_exhaustive()
    }
}
