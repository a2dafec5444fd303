//! Requests metered: their number, their bytes and how long they took.

mod body;
mod future;
mod service;

pub use body::MeteredBody;
pub use future::UsageFuture;
pub use service::UsageService;
use tenancy_usage::RequestUsage;
use tower_layer::Layer;

use crate::{PolicyLayer, TenancyLayer};

/// Meters the requests that a layer admits, when they have ended: [`TenancyLayer::usage`] and [`PolicyLayer::usage`] make
/// it.
///
/// A request is metered for the tenant of its context, with the pattern of its route, after the last byte of the answer or
/// when the client has gone. A request that ends without an answer has the status 499, because its client went, or 500,
/// because its handler has panicked. A request that passes several such layers is metered once, by the outermost. What has
/// no tenant, such as a refusal of a stranger, is not metered; a refusal of the tenant's own caller by a layer inside is.
///
/// Bytes of a body are those that the handler has read, and those that were handed to the server. Of an upgraded
/// connection, such as a websocket, the messages are not counted.
///
/// The inner service gets axum's `Body`.
///
/// ```
/// use std::{sync::Arc, time::Duration};
///
/// use axum::{Router, routing::get};
/// use tenancy_axum::TenancyLayer;
/// use tenancy_core::Tenancy;
/// use tenancy_usage::{RequestUsage, UsageMeters, UsageRecorder, UsageSink};
///
/// # async fn notes() {}
/// async fn serve(tenancy: &Tenancy, sink: Arc<dyn UsageSink>) -> Result<(), Box<dyn std::error::Error>> {
///     let meters = UsageMeters::new(UsageMeters::http())?;
///     let recorder = UsageRecorder::builder(sink, meters).build();
///     let usage = RequestUsage::new(&recorder)?;
///     let app = Router::new()
///         .route("/notes", get(notes))
///         .layer(TenancyLayer::new(tenancy).usage(&usage));
///     let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
///     axum::serve(listener, app).with_graceful_shutdown(async { /* … */ }).await?;
///     recorder.close(Duration::from_secs(10)).await?;
///     Ok(())
/// }
/// # let _ = serve;
/// ```
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until it is applied"]
pub struct UsageLayer<L> {
    inner: L,
    usage: RequestUsage,
}

impl<L, S> Layer<S> for UsageLayer<L>
where
    L: Layer<S>,
{
    type Service = UsageService<L::Service>;

    fn layer(&self, inner: S) -> Self::Service {
        UsageService::new(self.inner.layer(inner), self.usage.clone())
    }
}

impl TenancyLayer {
    /// Meters the requests that it admits: see [`UsageLayer`]. Call it last.
    pub fn usage(self, usage: &RequestUsage) -> UsageLayer<Self> {
        UsageLayer {
            inner: self,
            usage: usage.clone(),
        }
    }
}

impl PolicyLayer {
    /// Meters the requests that it admits: see [`UsageLayer`].
    pub fn usage(self, usage: &RequestUsage) -> UsageLayer<Self> {
        UsageLayer {
            inner: self,
            usage: usage.clone(),
        }
    }
}
