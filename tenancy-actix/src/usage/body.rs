//! The bodies of a request that is metered, and of its answer.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::{
    body::{BodySize, MessageBody},
    dev::Payload,
    error::PayloadError,
    web::Bytes,
};
use futures_core::Stream;
use pin_project_lite::pin_project;
use tenancy_http::{MeteredRequest, RequestMeter};

pin_project! {
    /// The body that [`UsageMiddleware`](crate::UsageMiddleware) gives a response: the inner one, at whose end the request is
    /// metered.
    #[derive(Debug)]
    pub struct MeteredBody<B> {
        #[pin]
        body: B,
        meter: Option<RequestMeter>,
    }
}

impl<B> MeteredBody<B> {
    pub(super) const fn new(body: B, meter: Option<RequestMeter>) -> Self {
        Self { body, meter }
    }
}

impl<B: MessageBody> MessageBody for MeteredBody<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, B::Error>>> {
        let this = self.project();
        let chunk = ready!(this.body.poll_next(cx));
        match (&chunk, &mut *this.meter) {
            (Some(Ok(bytes)), Some(meter)) => meter.sent(bytes.len()),
            (Some(Err(_)) | None, meter) => drop(meter.take()),
            (Some(Ok(_)), None) => {}
        }
        Poll::Ready(chunk)
    }
}

pin_project! {
    /// The body of a request, of which it is counted what is read.
    pub(super) struct Received {
        #[pin]
        payload: Payload,
        metered: MeteredRequest,
    }
}

impl Received {
    pub(super) const fn new(payload: Payload, metered: MeteredRequest) -> Self {
        Self { payload, metered }
    }
}

impl Stream for Received {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        let chunk = ready!(this.payload.poll_next(cx));
        if let Some(Ok(bytes)) = &chunk {
            this.metered.received(bytes.len());
        }
        Poll::Ready(chunk)
    }
}
