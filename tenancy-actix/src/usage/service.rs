//! The service outside of the decision: begins to meter, and counts what is read.

use std::task::{Context, Poll};

use actix_web::{
    Error, HttpMessage as _,
    body::MessageBody,
    dev::{Payload, Service, ServiceRequest, ServiceResponse},
};
use tenancy_http::{MeteredRequest, RequestMeter};
use tenancy_usage::RequestUsage;

use super::{MeteredBody, UsageFuture, body::Received};

/// The service that [`UsageMiddleware`](crate::UsageMiddleware) makes.
#[derive(Debug)]
pub struct UsageService<S> {
    inner: S,
    usage: RequestUsage,
}

impl<S> UsageService<S> {
    pub(super) const fn new(inner: S, usage: RequestUsage) -> Self {
        Self { inner, usage }
    }

    /// Begins to meter a request, if no middleware outside does.
    fn begin(&self, request: &mut ServiceRequest) -> Option<RequestMeter> {
        let route = request.match_pattern();
        let mut extensions = request.extensions_mut();
        if extensions.get::<MeteredRequest>().is_some() {
            return None;
        }
        let method = request.method().as_str();
        let meter = RequestMeter::begin(&self.usage, method, extensions.get());
        let metered = meter.carried();
        if let Some(route) = route {
            metered.matched(&route);
        }
        extensions.insert(metered.clone());
        drop(extensions);
        match request.take_payload() {
            Payload::None => {}
            payload => {
                let payload = Box::pin(Received::new(payload, metered));
                request.set_payload(Payload::Stream { payload });
            }
        }
        Some(meter)
    }
}

impl<S, B> Service<ServiceRequest> for UsageService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    type Response = ServiceResponse<MeteredBody<B>>;
    type Error = Error;
    type Future = UsageFuture<S::Future>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        let meter = self.begin(&mut request);
        UsageFuture::new(self.inner.call(request), meter)
    }
}
