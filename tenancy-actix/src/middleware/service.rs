//! The service: decides, then calls the inner service or answers in its place.

use std::{
    rc::Rc,
    task::{Context, Poll},
};

use actix_web::{
    Error, HttpMessage as _,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse},
};
use tenancy_core::{Admission, Admitted, PendingAdmission, RouteNeeds, Tenancy};
use tenancy_http::AdmissionDecision;

use super::ResponseFuture;
use crate::{
    answer::{Answer, Answered, refused},
    view::HeadView,
};

/// The service that [`TenancyMiddleware`](crate::TenancyMiddleware) makes.
#[derive(Debug)]
pub struct TenancyService<S> {
    inner: Rc<S>,
    tenancy: Tenancy,
    needs: RouteNeeds,
}

impl<S> TenancyService<S> {
    pub(crate) const fn new(inner: Rc<S>, tenancy: Tenancy, needs: RouteNeeds) -> Self {
        Self {
            inner,
            tenancy,
            needs,
        }
    }

    fn is_settled(&self, request: &ServiceRequest) -> bool {
        let extensions = request.extensions();
        let decision = extensions.get::<AdmissionDecision>();
        decision.is_some_and(|decision| decision.settles(&self.tenancy, self.needs))
    }

    fn carry(&self, request: &ServiceRequest, admitted: Admitted) {
        let decision = AdmissionDecision::new(&self.tenancy, self.needs, admitted);
        request.extensions_mut().insert(decision);
    }
}

impl<S, B> TenancyService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    /// Waits for a store, then goes on as if it had been decided at once.
    async fn decide(self, pending: PendingAdmission, request: ServiceRequest) -> Answered<B> {
        match pending.resolve().await {
            Ok(admitted) => {
                self.carry(&request, admitted);
                let response = self.inner.call(request).await?;
                Ok(response.map_into_left_body())
            }
            Err(refusal) => refused(request, refusal),
        }
    }
}

impl<S> Clone for TenancyService<S> {
    fn clone(&self) -> Self {
        Self::new(Rc::clone(&self.inner), self.tenancy.clone(), self.needs)
    }
}

impl<S, B> Service<ServiceRequest> for TenancyService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = ResponseFuture<S::Future, B>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let call = |request| {
            let future = self.inner.call(request);
            ResponseFuture::answering(Answer::Calling { future })
        };
        if self.is_settled(&request) {
            return call(request);
        }
        let admission = self
            .tenancy
            .admit(&HeadView::of(request.request()), self.needs);
        let response = match admission {
            Admission::Ready(Ok(admitted)) => {
                self.carry(&request, admitted);
                call(request)
            }
            Admission::Ready(Err(refusal)) => {
                ResponseFuture::answering(Answer::refused(request, refusal))
            }
            Admission::Pending(pending) => {
                ResponseFuture::deciding(Box::pin(self.clone().decide(pending, request)))
            }
        };
        response.by_cookie(self.tenancy.varies_by_cookie())
    }
}
