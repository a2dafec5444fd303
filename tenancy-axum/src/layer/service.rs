//! The service: decides, then calls the inner service or answers in its place.

use std::{
    mem,
    task::{Context, Poll},
};

use http::{Method, Request, Response};
use tenancy_core::{Admission, Charging, RouteNeeds, Settlement, Tenancy};
use tenancy_http::{AddressCharged, AdmissionDecision, ImpersonationMark};
use tower_service::Service;

use super::{Answer, ResponseFuture, carry};
use crate::view::{HeadView, has_no_route};

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

impl<S> TenancyService<S> {
    /// Takes what a request costs its address.
    fn charge_address<B>(&self, request: &mut Request<B>) -> Option<Charging> {
        if !self.tenancy.limits_addresses() {
            return None;
        }
        let carried = request.extensions_mut().remove::<AddressCharged>();
        let mut charged = carried.unwrap_or_default();
        let charging = charged.charge(&self.tenancy, &HeadView::of(request));
        request.extensions_mut().insert(charged);
        charging
    }

    /// Decides about a request, and calls the inner service or answers in its place.
    pub(super) fn admit<ReqBody>(
        &mut self,
        mut request: Request<ReqBody>,
    ) -> ResponseFuture<S, ReqBody>
    where
        S: Service<Request<ReqBody>> + Clone,
    {
        let response = match self.tenancy.admit(&HeadView::of(&request), self.needs) {
            Admission::Ready(Ok(admitted)) => {
                let decision = AdmissionDecision::new(&self.tenancy, self.needs, admitted);
                let mark = decision.context().and_then(ImpersonationMark::of);
                carry(request.extensions_mut(), decision);
                let answer = Answer::calling(self.inner.call(request));
                ResponseFuture::answering(answer).marked(mark)
            }
            Admission::Ready(Err(refusal)) => {
                let to_head = request.method() == Method::HEAD;
                ResponseFuture::answering(Answer::refused(refusal, to_head))
            }
            Admission::Pending(pending) => {
                let ready = self.take_ready();
                ResponseFuture::deciding(pending, ready, request, self.tenancy.clone(), self.needs)
            }
        };
        response.by_cookie(self.tenancy.varies_by_cookie())
    }

    /// The same, once the address was charged: of what has no route, that is given back.
    pub(super) fn admit_charged<ReqBody>(
        &mut self,
        request: Request<ReqBody>,
        address: Settlement,
    ) -> ResponseFuture<S, ReqBody>
    where
        S: Service<Request<ReqBody>> + Clone,
    {
        let address = has_no_route(request.extensions()).then_some(address);
        self.admit(request).giving_back(address)
    }

    /// The service that said it is ready, which is the one to call; its clone may not be.
    fn take_ready(&mut self) -> S
    where
        S: Clone,
    {
        let not_ready = self.inner.clone();
        mem::replace(&mut self.inner, not_ready)
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
        match self.charge_address(&mut request) {
            None => self.admit(request),
            Some(Charging::Ready(Ok(charge))) => {
                let (_, address) = charge.into_parts();
                self.admit_charged(request, address)
            }
            Some(Charging::Ready(Err(refusal))) => {
                let to_head = request.method() == Method::HEAD;
                ResponseFuture::answering(Answer::refused(refusal, to_head))
            }
            Some(Charging::Pending(charging)) => {
                let ready = self.take_ready();
                let ready = Self::new(ready, self.tenancy.clone(), self.needs);
                ResponseFuture::charging(charging, ready, request)
            }
        }
    }
}
