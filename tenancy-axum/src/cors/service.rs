//! The service: asks the engine about the page, and goes the way it says.

use std::{
    mem,
    task::{Context, Poll},
};

use http::{Request, Response};
use tenancy_core::{CorsAnswer, CorsDecision, Tenancy};
use tower_http::cors::Cors;
use tower_service::Service;

use super::{CorsFuture, Options, Passing, options};
use crate::{layer::Answer, view::HeadView};

/// The service that [`TenancyCors`](crate::TenancyCors) makes.
#[derive(Debug, Clone)]
pub struct CorsService<S> {
    cors: Cors<Options<S>>,
    tenancy: Tenancy,
}

impl<S> CorsService<S> {
    pub(super) const fn new(cors: Cors<Options<S>>, tenancy: Tenancy) -> Self {
        Self { cors, tenancy }
    }

    pub(super) fn pass<ReqBody, ResBody>(
        &mut self,
        decision: CorsDecision,
        mut request: Request<ReqBody>,
    ) -> Passing<S::Future>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>>,
        ResBody: From<String> + Default,
    {
        let method = request.method().as_str();
        let preflight = tenancy_core::is_preflight(&HeadView::of(&request), method);
        let answer = match decision {
            CorsDecision::Allowed => {
                if !preflight {
                    options::hide(&mut request);
                }
                let response = self.cors.call(request);
                return Passing::Allowed { response };
            }
            CorsDecision::Refused(refusal) if preflight => Answer::refused(refusal, false),
            CorsDecision::Refused(_) | CorsDecision::NotCors => {
                Answer::calling(self.cors.get_mut().inner().call(request))
            }
        };
        Passing::Bare { answer }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for CorsService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ResBody: From<String> + Default,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = CorsFuture<S, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.cors.get_mut().inner().poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let method = request.method().as_str();
        match self.tenancy.cors(&HeadView::of(&request), method) {
            CorsAnswer::Ready(decision) => CorsFuture::passing(self.pass(decision, request)),
            CorsAnswer::Pending(pending) => {
                // The service that said it is ready is the one to call; its clone may not be.
                let not_ready = self.clone();
                let ready = mem::replace(self, not_ready);
                CorsFuture::deciding(pending, ready, request)
            }
        }
    }
}
