//! The service: decides, then calls the inner service or answers in its place.

use std::{
    mem,
    task::{Context, Poll},
};

use http::{Method, Request, Response};
use tenancy_core::{Admission, RouteNeeds, Tenancy};
use tenancy_http::AdmissionDecision;
use tower_service::Service;

use super::{Answer, ResponseFuture};
use crate::view::HeadView;

/// The service that [`TenancyLayer`](crate::TenancyLayer) makes.
#[derive(Debug, Clone)]
pub struct TenancyService<S> {
    inner: S,
    tenancy: Tenancy,
    needs: RouteNeeds,
}

impl<S> TenancyService<S> {
    pub(crate) const fn new(inner: S, tenancy: Tenancy, needs: RouteNeeds) -> Self {
        Self {
            inner,
            tenancy,
            needs,
        }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for TenancyService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ResBody: From<String>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let decision = request.extensions().get::<AdmissionDecision>();
        if decision.is_some_and(|decision| decision.settles(&self.tenancy, self.needs)) {
            return ResponseFuture::answering(Answer::calling(self.inner.call(request)));
        }
        let response = match self.tenancy.admit(&HeadView::of(&request), self.needs) {
            Admission::Ready(Ok(admitted)) => {
                let decision = AdmissionDecision::new(&self.tenancy, self.needs, admitted);
                request.extensions_mut().insert(decision);
                ResponseFuture::answering(Answer::calling(self.inner.call(request)))
            }
            Admission::Ready(Err(refusal)) => {
                let to_head = request.method() == Method::HEAD;
                ResponseFuture::answering(Answer::refused(refusal, to_head))
            }
            Admission::Pending(pending) => {
                // The service that said it is ready is the one to call; its clone may not be.
                let not_ready = self.inner.clone();
                let ready = mem::replace(&mut self.inner, not_ready);
                ResponseFuture::deciding(pending, ready, request, self.tenancy.clone(), self.needs)
            }
        };
        response.by_cookie(self.tenancy.varies_by_cookie())
    }
}
