//! Routes of operators: the layer that asks who it is, and the extractor.

use std::{
    mem,
    ops::Deref,
    pin::Pin,
    task::{Context, Poll},
};

use axum::extract::FromRequestParts;
use http::{Method, Request, Response, request::Parts};
use tenancy_core::{OperatorContext, Tenancy};
use tenancy_http::operator_of;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    Error,
    response::refusal_response,
    view::{HeadView, original_path},
};

/// Stands before the routes of operators: a request goes on if it is an operator's, and is refused otherwise.
///
/// The routes of tenants need none, and a [`TenancyLayer`](crate::TenancyLayer) as ever. Keep both apart: a route is
/// one or the other.
///
/// ```
/// use axum::{Router, routing::get};
/// use tenancy_axum::{Error, Operator, OperatorsLayer};
/// use tenancy_core::TenantFilter;
///
/// async fn tenants(operator: Operator) -> Result<String, Error> {
///     let admin = operator.tenancy().admin(operator.reader("the list of tenants")?);
///     let page = admin.list_tenants(&TenantFilter::new(), None, 100).await?;
///     Ok(format!("{} tenants", page.len()))
/// }
///
/// fn console(tenancy: &tenancy_core::Tenancy) -> Router {
///     Router::new().route("/tenants", get(tenants)).layer(OperatorsLayer::new(tenancy))
/// }
/// # let _ = console;
/// ```
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until it is applied"]
pub struct OperatorsLayer {
    tenancy: Tenancy,
}

impl OperatorsLayer {
    /// A layer over the [operators](tenancy_core::Operators) of this engine.
    pub fn new(tenancy: &Tenancy) -> Self {
        Self {
            tenancy: tenancy.clone(),
        }
    }
}

impl<S> Layer<S> for OperatorsLayer {
    type Service = OperatorsService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        OperatorsService {
            inner,
            tenancy: self.tenancy.clone(),
        }
    }
}

/// The service that [`OperatorsLayer`] makes.
#[derive(Debug, Clone)]
pub struct OperatorsService<S> {
    inner: S,
    tenancy: Tenancy,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for OperatorsService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send,
    ReqBody: Send + 'static,
    ResBody: From<String>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let pending = self.tenancy.authenticate_operator(&HeadView::of(&request));
        // The service that said it is ready is the one to call; its clone may not be.
        let not_ready = self.inner.clone();
        let mut ready = mem::replace(&mut self.inner, not_ready);
        Box::pin(async move {
            match pending.resolve().await {
                Ok(operator) => {
                    request.extensions_mut().insert(operator);
                    ready.call(request).await
                }
                Err(refusal) => {
                    let to_head = request.method() == Method::HEAD;
                    Ok(refusal_response(refusal, to_head))
                }
            }
        })
    }
}

/// The operator who sends the request: see [`OperatorContext`].
///
/// # Errors
/// Status 500 if no [`OperatorsLayer`] covers the route.
///
/// ```
/// use tenancy_axum::{Error, Operator};
/// use tenancy_core::OperatorRight;
///
/// async fn report(operator: Operator) -> Result<String, Error> {
///     operator.require(OperatorRight::ReadTenants)?;
///     Ok(format!("for {}", operator.operator().name))
/// }
/// # let _ = report;
/// ```
#[derive(Debug, Clone)]
pub struct Operator(OperatorContext);

impl Deref for Operator {
    type Target = OperatorContext;

    fn deref(&self) -> &OperatorContext {
        &self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Operator {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let path = original_path(&parts.uri, &parts.extensions);
        let found = operator_of(parts.extensions.get(), "OperatorsLayer", path)?;
        Ok(Self(found))
    }
}
