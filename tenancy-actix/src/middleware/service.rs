//! The service: decides, then calls the inner service or answers in its place.

use std::{
    rc::Rc,
    task::{Context, Poll},
};

use actix_web::{
    Error, HttpMessage as _,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse},
    http::StatusCode,
};
use tenancy_core::{
    Admission, Admitted, Charging, PendingAdmission, Refusal, RouteNeeds, Settlement, Tenancy,
};
use tenancy_http::{AddressCharged, AdmissionDecision, ImpersonationMark, no_route};

use super::{ResponseFuture, future::marked};
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

    /// Takes what a request costs its address.
    fn charge_address(&self, request: &ServiceRequest) -> Option<Charging> {
        if !self.tenancy.limits_addresses() {
            return None;
        }
        // Not held while the engine looks at the request.
        let carried = request.extensions_mut().remove::<AddressCharged>();
        let mut charged = carried.unwrap_or_default();
        let charging = charged.charge(&self.tenancy, &HeadView::of(request.request()));
        request.extensions_mut().insert(charged);
        charging
    }

    /// Has the request carry what was decided, and tells whether an operator acts as the user.
    fn carry(&self, request: &ServiceRequest, admitted: Admitted) -> Option<ImpersonationMark> {
        let decision = AdmissionDecision::new(&self.tenancy, self.needs, admitted);
        let mark = decision.context().and_then(ImpersonationMark::of);
        let mut extensions = request.extensions_mut();
        #[cfg(feature = "usage")]
        if let Some(metered) = extensions.get::<tenancy_http::MeteredRequest>() {
            metered.decided(&decision);
        }
        extensions.insert(decision);
        drop(extensions);
        mark
    }
}

impl<S, B> TenancyService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    /// Decides about a request, and calls the inner service or answers in its place.
    fn admit(&self, request: ServiceRequest) -> ResponseFuture<S::Future, B>
    where
        S: 'static,
        B: 'static,
    {
        let admission = self
            .tenancy
            .admit(&HeadView::of(request.request()), self.needs);
        let response = match admission {
            Admission::Ready(Ok(admitted)) => {
                let mark = self.carry(&request, admitted);
                let future = self.inner.call(request);
                ResponseFuture::answering(Answer::Calling { future }).marked(mark)
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

    /// Waits for a store, then goes on as if it had been decided at once.
    async fn decide(self, pending: PendingAdmission, request: ServiceRequest) -> Answered<B> {
        match pending.resolve().await {
            Ok(admitted) => {
                let mark = self.carry(&request, admitted);
                let answered = self.inner.call(request).await;
                let answered = answered.map(ServiceResponse::map_into_left_body);
                match mark {
                    Some(mark) => marked(answered, mark),
                    None => answered,
                }
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
        if self.is_settled(&request) {
            let future = self.inner.call(request);
            return ResponseFuture::answering(Answer::Calling { future });
        }
        match self.charge_address(&request) {
            None => self.admit(request),
            Some(Charging::Ready(Ok(charge))) => {
                let (_, address) = charge.into_parts();
                self.admit(request).giving_back(Some(address))
            }
            Some(Charging::Ready(Err(refusal))) => {
                ResponseFuture::answering(Answer::refused(request, refusal))
            }
            Some(Charging::Pending(charging)) => {
                let service = self.clone();
                ResponseFuture::deciding(Box::pin(async move {
                    match charging.await {
                        Ok(charge) => {
                            let (_, address) = charge.into_parts();
                            service.admit(request).giving_back(Some(address)).await
                        }
                        Err(refusal) => refused(request, refusal),
                    }
                }))
            }
        }
    }
}

/// Gives back what the address of a request has paid for which there is no route.
pub(super) fn give_back_if_no_route<B>(address: Settlement, response: &ServiceResponse<B>) {
    if response.status() == StatusCode::NOT_FOUND
        && response.response().extensions().get::<Refusal>().is_none()
        && response.request().match_pattern().is_none()
    {
        no_route(address);
    }
}
