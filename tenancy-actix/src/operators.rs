//! Routes of operators: the middleware that asks who it is, and the extractor.

use std::{
    future::{Ready, ready},
    ops::Deref,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use actix_web::{
    Error as ActixError, FromRequest, HttpMessage as _, HttpRequest,
    body::{EitherBody, MessageBody},
    dev::{Payload, Service, ServiceRequest, ServiceResponse, Transform},
};
use tenancy_core::{OperatorContext, Tenancy};
use tenancy_http::operator_of;

use crate::{
    Error,
    answer::{Answered, refused},
    view::HeadView,
};

/// Stands before the routes of operators: a request goes on if it is an operator's, and is refused otherwise.
///
/// The routes of tenants need none, and a [`TenancyMiddleware`](crate::TenancyMiddleware) as ever. Keep both apart: a
/// route is one or the other.
///
/// ```
/// use actix_web::{Scope, web};
/// use tenancy_actix::{Error, Operator, OperatorsMiddleware};
/// use tenancy_core::TenantFilter;
///
/// async fn tenants(operator: Operator) -> Result<String, Error> {
///     let admin = operator.tenancy().admin(operator.reader("the list of tenants")?);
///     let page = admin.list_tenants(&TenantFilter::new(), None, 100).await?;
///     Ok(format!("{} tenants", page.len()))
/// }
///
/// # fn app(tenancy: tenancy_core::Tenancy) {
/// let console = web::scope("/operators")
///     .route("/tenants", web::get().to(tenants))
///     .wrap(OperatorsMiddleware::new(&tenancy));
/// # let _ = console;
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a middleware does nothing until it wraps something"]
pub struct OperatorsMiddleware {
    tenancy: Tenancy,
}

impl OperatorsMiddleware {
    /// A middleware over the [operators](tenancy_core::Operators) of this engine.
    pub fn new(tenancy: &Tenancy) -> Self {
        Self {
            tenancy: tenancy.clone(),
        }
    }
}

impl<S, B> Transform<S, ServiceRequest> for OperatorsMiddleware
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = ActixError> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = ActixError;
    type Transform = OperatorsService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(OperatorsService {
            inner: Rc::new(service),
            tenancy: self.tenancy.clone(),
        }))
    }
}

/// The service that [`OperatorsMiddleware`] makes.
#[derive(Debug)]
pub struct OperatorsService<S> {
    inner: Rc<S>,
    tenancy: Tenancy,
}

impl<S, B> Service<ServiceRequest> for OperatorsService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = ActixError> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = ActixError;
    type Future = Pin<Box<dyn Future<Output = Answered<B>>>>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), ActixError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let view = HeadView::of(request.request());
        let pending = self.tenancy.authenticate_operator(&view);
        let inner = Rc::clone(&self.inner);
        Box::pin(async move {
            match pending.resolve().await {
                Ok(operator) => {
                    request.extensions_mut().insert(operator);
                    let response = inner.call(request).await?;
                    Ok(response.map_into_left_body())
                }
                Err(refusal) => refused(request, refusal),
            }
        })
    }
}

/// The operator who sends the request: see [`OperatorContext`].
///
/// # Errors
/// Status 500 if no [`OperatorsMiddleware`] covers the route.
///
/// ```
/// use tenancy_actix::{Error, Operator};
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

impl FromRequest for Operator {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let extensions = request.extensions();
        let path = request.uri().path();
        let found = operator_of(extensions.get(), "OperatorsMiddleware", path);
        ready(found.map(Self).map_err(Error::from))
    }
}
