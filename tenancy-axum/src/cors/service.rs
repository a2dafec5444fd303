//! The service: asks the engine about the page, and goes the way it says.

use std::{
    mem,
    task::{Context, Poll},
};

use http::{HeaderValue, Request, Response};
use tenancy_core::{CorsAnswer, CorsDecision};
use tenancy_http::{ChosenCorsFields, CorsFields, CorsWay};
use tower_service::Service;

use super::CorsFuture;
use crate::{
    fields::{Fields, FieldsFuture},
    layer::Answer,
    view::HeadView,
};

/// The service that [`TenancyCors`](crate::TenancyCors) makes.
#[derive(Debug, Clone)]
pub struct CorsService<S> {
    inner: S,
    fields: CorsFields<HeaderValue>,
}

/// The answer to a request about which has been decided.
pub(super) type Answering<F> = FieldsFuture<Answer<F>, ChosenCorsFields<HeaderValue>>;

impl<S> CorsService<S> {
    pub(super) const fn new(inner: S, fields: CorsFields<HeaderValue>) -> Self {
        Self { inner, fields }
    }

    pub(super) fn answer<ReqBody>(
        &mut self,
        decision: CorsDecision,
        mut request: Request<ReqBody>,
    ) -> Answering<S::Future>
    where
        S: Service<Request<ReqBody>>,
    {
        let view = HeadView::of(&request);
        let (way, chosen) = self.fields.way::<Fields<'_>>(decision, &view);
        let answer = match way {
            CorsWay::PassOn(decided) => {
                if let Some(decided) = decided {
                    request.extensions_mut().insert(decided);
                }
                Answer::calling(self.inner.call(request))
            }
            CorsWay::Accept => Answer::Accepted,
            CorsWay::Refuse(refusal) => Answer::refused(refusal, false),
        };
        FieldsFuture::new(answer, chosen)
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for CorsService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ResBody: From<String>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = CorsFuture<S, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let decided = request.extensions().get();
        match self.fields.decide(&HeadView::of(&request), decided) {
            CorsAnswer::Ready(decision) => CorsFuture::answering(self.answer(decision, request)),
            CorsAnswer::Pending(pending) => {
                // The service that said it is ready is the one to call; its clone may not be.
                let not_ready = self.clone();
                let ready = mem::replace(self, not_ready);
                CorsFuture::deciding(pending, ready, request)
            }
        }
    }
}
