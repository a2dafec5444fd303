//! The service: asks the engine about the page, and goes the way it says.

use std::{
    rc::Rc,
    task::{Context, Poll},
};

use actix_web::{
    Error,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse},
};
use tenancy_core::{CorsAnswer, CorsDecision, Tenancy};

use super::{CorsFuture, Marking};
use crate::{answer::Answer, middleware::ResponseFuture, view::HeadView};

/// The service that [`TenancyCors`](crate::TenancyCors) makes.
#[derive(Debug)]
pub struct CorsService<S> {
    inner: Rc<S>,
    marking: Rc<Marking<S>>,
    tenancy: Tenancy,
}

impl<S> CorsService<S> {
    pub(super) fn new(inner: Rc<S>, marking: Marking<S>, tenancy: Tenancy) -> Self {
        Self {
            inner,
            marking: Rc::new(marking),
            tenancy,
        }
    }

    fn pass<B>(
        &self,
        decision: CorsDecision,
        request: ServiceRequest,
    ) -> ResponseFuture<S::Future, B>
    where
        S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
        B: MessageBody + 'static,
    {
        let method = request.method().as_str();
        let preflight = tenancy_core::is_preflight(&HeadView::of(request.request()), method);
        ResponseFuture::answering(match decision {
            CorsDecision::Allowed => {
                let response = self.marking.call(request, preflight);
                return ResponseFuture::deciding(Box::pin(response));
            }
            CorsDecision::Refused(refusal) if preflight => Answer::refused(request, refusal),
            CorsDecision::Refused(_) | CorsDecision::NotCors => Answer::Calling {
                future: self.inner.call(request),
            },
        })
    }
}

impl<S> Clone for CorsService<S> {
    fn clone(&self) -> Self {
        Self {
            inner: Rc::clone(&self.inner),
            marking: Rc::clone(&self.marking),
            tenancy: self.tenancy.clone(),
        }
    }
}

impl<S, B> Service<ServiceRequest> for CorsService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = CorsFuture<S::Future, B>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let view = HeadView::of(request.request());
        let answer = self.tenancy.cors(&view, request.method().as_str());
        CorsFuture::new(match answer {
            CorsAnswer::Ready(decision) => self.pass(decision, request),
            CorsAnswer::Pending(pending) => {
                let service = self.clone();
                ResponseFuture::deciding(Box::pin(async move {
                    let decision = pending.resolve().await;
                    service.pass(decision, request).await
                }))
            }
        })
    }
}
