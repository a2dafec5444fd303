//! The service behind the decision: checks, charges, then calls the inner service.

use std::{
    mem,
    task::{Context, Poll},
};

use http::{Method, Request, Response};
use http_body::Body;
use tenancy_core::{Charge, Charging, quota::ChargedLimits};
use tenancy_http::{Charged, Gate};
use tower_service::Service;

use super::{GateFuture, SettledBody};
use crate::{extract::asking, view::HeadView};

/// The service that [`PolicyLayer`](crate::PolicyLayer) puts behind its decision.
#[derive(Debug, Clone)]
pub struct GateService<S> {
    inner: S,
    gate: Gate,
}

impl<S> GateService<S> {
    pub(super) const fn new(inner: S, gate: Gate) -> Self {
        Self { inner, gate }
    }

    fn charge<B>(&self, request: &mut Request<B>) -> Option<Charging> {
        let carried = request.extensions_mut().remove::<Charged>();
        let mut charged = carried.unwrap_or_default();
        let decision = request.extensions().get();
        let charging = (self.gate).charge(decision, &mut charged, &HeadView::of(request));
        request.extensions_mut().insert(charged);
        charging
    }
}

/// Has the request carry what it was charged, for its handler.
pub(super) fn tell_handlers<B>(request: &mut Request<B>, charge: &Charge) {
    let carried = request.extensions_mut().remove::<ChargedLimits>();
    let charged = carried.unwrap_or_default().with(charge);
    request.extensions_mut().insert(charged);
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for GateService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ResBody: From<String> + Body,
{
    type Response = Response<SettledBody<ResBody>>;
    type Error = S::Error;
    type Future = GateFuture<S, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let to_head = request.method() == Method::HEAD;
        let asking = asking("a route's policy", request.uri(), request.extensions());
        if let Err(error) = self.gate.check(asking) {
            return GateFuture::refused(error.logged(), to_head);
        }
        match self.charge(&mut request) {
            None => GateFuture::calling(self.inner.call(request), None, to_head),
            Some(Charging::Ready(Ok(charge))) => {
                tell_handlers(&mut request, &charge);
                GateFuture::calling(self.inner.call(request), Some(charge), to_head)
            }
            Some(Charging::Ready(Err(refusal))) => GateFuture::refused(refusal, to_head),
            Some(Charging::Pending(charging)) => {
                // The service that said it is ready is the one to call; its clone may not be.
                let not_ready = self.inner.clone();
                let ready = mem::replace(&mut self.inner, not_ready);
                GateFuture::charging(charging, ready, request, to_head)
            }
        }
    }
}
