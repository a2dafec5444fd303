//! The service: chooses by the request, and leaves the rest to the future.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use actix_web::{
    Error,
    dev::{Service, ServiceRequest, ServiceResponse},
    http::header::HeaderValue,
};
use tenancy_http::SecurityFields;

use super::SecurityHeadersFuture;
use crate::view::HeadView;

/// The service that [`SecurityHeadersMiddleware`](crate::SecurityHeadersMiddleware) makes.
///
/// actix-web's `DefaultHeaders` sends the same to everybody, and adds to no list; what is sent here
/// depends on the host of the request.
#[derive(Debug)]
pub struct SecurityHeadersService<S> {
    inner: S,
    fields: Arc<SecurityFields<HeaderValue>>,
}

impl<S> SecurityHeadersService<S> {
    pub(super) const fn new(inner: S, fields: Arc<SecurityFields<HeaderValue>>) -> Self {
        Self { inner, fields }
    }
}

impl<S, B> Service<ServiceRequest> for SecurityHeadersService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Future = SecurityHeadersFuture<S::Future>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let chosen = self.fields.choose(&HeadView::of(request.request()));
        let fields = Arc::clone(&self.fields);
        SecurityHeadersFuture::new(self.inner.call(request), fields, chosen)
    }
}
