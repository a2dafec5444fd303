//! The service: chooses by the request, and leaves the rest to the future.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderValue, Request, Response};
use tenancy_http::SecurityFields;
use tower_service::Service;

use super::SecurityHeadersFuture;
use crate::view::HeadView;

/// The service that [`SecurityHeadersLayer`](crate::SecurityHeadersLayer) makes.
///
/// tower-http's `SetResponseHeader` sees the response alone, and what is sent depends on the host
/// of the request.
#[derive(Debug, Clone)]
pub struct SecurityHeadersService<S> {
    inner: S,
    fields: Arc<SecurityFields<HeaderValue>>,
}

impl<S> SecurityHeadersService<S> {
    pub(super) const fn new(inner: S, fields: Arc<SecurityFields<HeaderValue>>) -> Self {
        Self { inner, fields }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for SecurityHeadersService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = SecurityHeadersFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let chosen = self.fields.choose(&HeadView::of(&request));
        let fields = Arc::clone(&self.fields);
        SecurityHeadersFuture::new(self.inner.call(request), fields, chosen)
    }
}
