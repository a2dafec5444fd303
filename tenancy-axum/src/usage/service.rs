//! The service outside of the decision: begins to meter, and counts what is read.

use std::task::{Context, Poll};

use axum::{BoxError, body::Body as AxumBody, extract::MatchedPath};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tenancy_http::{MeteredRequest, RequestMeter};
use tenancy_usage::RequestUsage;
use tower_service::Service;

use super::{MeteredBody, UsageFuture, body::ReceivedBody};

/// The service that [`UsageLayer`](crate::UsageLayer) makes.
#[derive(Debug, Clone)]
pub struct UsageService<S> {
    inner: S,
    usage: RequestUsage,
}

impl<S> UsageService<S> {
    pub(super) const fn new(inner: S, usage: RequestUsage) -> Self {
        Self { inner, usage }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for UsageService<S>
where
    S: Service<Request<AxumBody>, Response = Response<ResBody>>,
    ReqBody: Body<Data = Bytes> + Send + 'static,
    ReqBody::Error: Into<BoxError>,
    ResBody: Body,
{
    type Response = Response<MeteredBody<ResBody>>;
    type Error = S::Error;
    type Future = UsageFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let extensions = request.extensions();
        if extensions.get::<MeteredRequest>().is_some() {
            return UsageFuture::new(self.inner.call(request.map(AxumBody::new)), None);
        }
        let meter = RequestMeter::begin(&self.usage, request.method().as_str(), extensions.get());
        let metered = meter.carried();
        if let Some(route) = extensions.get::<MatchedPath>() {
            metered.matched(route.as_str());
        }
        request.extensions_mut().insert(metered.clone());
        let request = request.map(|body| {
            if body.is_end_stream() {
                AxumBody::new(body)
            } else {
                AxumBody::new(ReceivedBody::new(body, metered))
            }
        });
        UsageFuture::new(self.inner.call(request), Some(meter))
    }
}
