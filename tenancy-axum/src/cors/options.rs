//! OPTIONS requests that are no preflights, on their way through tower-http's service.

use std::task::{Context, Poll};

use http::{Method, Request};
use tower_service::Service;

/// Gives a request back the method that [`hide`] took: tower-http answers every OPTIONS
/// itself, also one without `Access-Control-Request-Method`, which is a page's own request.
#[derive(Debug, Clone)]
pub(super) struct Options<S>(S);

#[derive(Debug, Clone, Copy)]
struct Hidden;

impl<S> Options<S> {
    pub(super) const fn new(inner: S) -> Self {
        Self(inner)
    }

    pub(super) const fn inner(&mut self) -> &mut S {
        &mut self.0
    }
}

pub(super) fn hide<B>(request: &mut Request<B>) {
    if request.method() == Method::OPTIONS {
        *request.method_mut() = Method::GET;
        request.extensions_mut().insert(Hidden);
    }
}

impl<S, B> Service<Request<B>> for Options<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if request.extensions_mut().remove::<Hidden>().is_some() {
            *request.method_mut() = Method::OPTIONS;
        }
        self.0.call(request)
    }
}
