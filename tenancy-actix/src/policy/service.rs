//! The service behind the decision: checks, charges, then calls the inner service.

use std::{
    rc::Rc,
    task::{Context, Poll},
};

use actix_web::{
    Error, HttpMessage as _,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse},
    http::Method,
};
use tenancy_core::{Charge, Charging, quota::ChargedLimits};
use tenancy_http::{Charged, Gate};

use super::{GateFuture, SettledBody, future::Calling};
use crate::{answer::refused, extract::ask, view::HeadView};

/// The service that [`PolicyMiddleware`](crate::PolicyMiddleware) puts behind its decision.
#[derive(Debug)]
pub struct GateService<S> {
    inner: Rc<S>,
    gate: Gate,
}

impl<S> GateService<S> {
    pub(super) const fn new(inner: Rc<S>, gate: Gate) -> Self {
        Self { inner, gate }
    }

    fn charge(&self, request: &ServiceRequest) -> Option<Charging> {
        // Not held while the charger looks at the request.
        let carried = request.extensions_mut().remove::<Charged>();
        let decision = request.extensions().get().cloned();
        let mut charged = carried.unwrap_or_default();
        let head = HeadView::of(request.request());
        let charging = self.gate.charge(decision.as_ref(), &mut charged, &head);
        request.extensions_mut().insert(charged);
        charging
    }
}

/// Has the request carry what it was charged, for its handler.
fn tell_handlers(request: &ServiceRequest, charge: &Charge) {
    let mut extensions = request.extensions_mut();
    let carried = extensions.remove::<ChargedLimits>();
    extensions.insert(carried.unwrap_or_default().with(charge));
}

impl<S, B> Service<ServiceRequest> for GateService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<SettledBody<B>>>;
    type Error = Error;
    type Future = GateFuture<S::Future, B>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let to_head = request.method() == Method::HEAD;
        let checked = ask("a route's policy", request.request(), |asking| {
            self.gate.check(asking)
        });
        if let Err(error) = checked {
            return GateFuture::answered(refused(request, error.0.logged()));
        }
        match self.charge(&request) {
            None => GateFuture::calling(Calling::new(self.inner.call(request), None, to_head)),
            Some(Charging::Ready(Ok(charge))) => {
                tell_handlers(&request, &charge);
                let future = self.inner.call(request);
                GateFuture::calling(Calling::new(future, Some(charge), to_head))
            }
            Some(Charging::Ready(Err(refusal))) => GateFuture::answered(refused(request, refusal)),
            Some(Charging::Pending(charging)) => {
                let inner = Rc::clone(&self.inner);
                GateFuture::charging(Box::pin(async move {
                    match charging.await {
                        Ok(charge) => {
                            tell_handlers(&request, &charge);
                            Calling::new(inner.call(request), Some(charge), to_head).await
                        }
                        Err(refusal) => refused(request, refusal),
                    }
                }))
            }
        }
    }
}
