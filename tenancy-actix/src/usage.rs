//! Requests metered: their number, their bytes and how long they took.

mod body;
mod future;
mod service;

use std::pin::Pin;

use actix_web::{
    Error,
    body::MessageBody,
    dev::{Service, ServiceRequest, ServiceResponse, Transform},
};
pub use body::MeteredBody;
pub use future::UsageFuture;
pub use service::UsageService;
use tenancy_usage::RequestUsage;

use crate::{PolicyMiddleware, TenancyMiddleware};

/// Meters the requests that a middleware admits, when they have ended: [`TenancyMiddleware::usage`] and
/// [`PolicyMiddleware::usage`] make it.
///
/// A request is metered for the tenant of its context, with the pattern of its route, after the last byte of the answer or
/// when the client has gone. A request that ends without an answer has the status 499, because its client went, or 500,
/// because its handler has panicked. A request that passes several such middlewares is metered once, by the outermost. What
/// has no tenant, such as a refusal of a stranger, is not metered; a refusal of the tenant's own caller by a middleware
/// inside is.
///
/// Bytes of a body are those that the handler has read, and those that were handed to the server. An error that a middleware
/// inside returns has the status of its answer and no bytes. Of an upgraded connection, such as a websocket, the messages are
/// a body.
///
/// ```
/// use std::{sync::Arc, time::Duration};
///
/// use actix_web::{App, HttpServer, web};
/// use tenancy_actix::TenancyMiddleware;
/// use tenancy_core::Tenancy;
/// use tenancy_usage::{RequestUsage, UsageMeters, UsageRecorder, UsageSink};
///
/// # async fn notes() -> &'static str { "" }
/// async fn serve(tenancy: Tenancy, sink: Arc<dyn UsageSink>) -> Result<(), Box<dyn std::error::Error>> {
///     let meters = UsageMeters::new(UsageMeters::http())?;
///     let recorder = UsageRecorder::builder(sink, meters).build();
///     let usage = RequestUsage::new(&recorder)?;
///     let server = HttpServer::new(move || {
///         App::new()
///             .service(web::resource("/notes").route(web::get().to(notes)))
///             .wrap(TenancyMiddleware::new(&tenancy).usage(&usage))
///     });
///     server.bind("127.0.0.1:3000")?.run().await?;
///     recorder.close(Duration::from_secs(10)).await?;
///     Ok(())
/// }
/// # let _ = serve;
/// ```
#[derive(Debug, Clone)]
#[must_use = "a middleware does nothing until it is applied"]
pub struct UsageMiddleware<T> {
    inner: T,
    usage: RequestUsage,
}

impl<T, S, B> Transform<S, ServiceRequest> for UsageMiddleware<T>
where
    T: Transform<S, ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    T::Transform: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    T::Future: 'static,
    S: Service<ServiceRequest>,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<MeteredBody<B>>;
    type Error = Error;
    type Transform = UsageService<T::Transform>;
    type InitError = T::InitError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Transform, T::InitError>>>>;

    fn new_transform(&self, service: S) -> Self::Future {
        let (inner, usage) = (self.inner.new_transform(service), self.usage.clone());
        Box::pin(async move { Ok(UsageService::new(inner.await?, usage)) })
    }
}

impl TenancyMiddleware {
    /// Meters the requests that it admits: see [`UsageMiddleware`]. Call it last.
    pub fn usage(self, usage: &RequestUsage) -> UsageMiddleware<Self> {
        UsageMiddleware {
            inner: self,
            usage: usage.clone(),
        }
    }
}

impl PolicyMiddleware {
    /// Meters the requests that it admits: see [`UsageMiddleware`].
    pub fn usage(self, usage: &RequestUsage) -> UsageMiddleware<Self> {
        UsageMiddleware {
            inner: self,
            usage: usage.clone(),
        }
    }
}
