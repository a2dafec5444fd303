//! The bodies of a request that is metered, and of its answer.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf as _;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tenancy_http::{MeteredRequest, RequestMeter};

pin_project! {
    /// The body that [`UsageLayer`](crate::UsageLayer) gives a response: the inner one, at whose end the request is metered.
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

impl<B: From<String>> From<String> for MeteredBody<B> {
    fn from(text: String) -> Self {
        Self::new(B::from(text), None)
    }
}

impl<B: Body> Body for MeteredBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(cx));
        match (&frame, &mut *this.meter) {
            (Some(Ok(frame)), Some(meter)) => {
                meter.sent(frame.data_ref().map_or(0, |data| data.remaining()));
            }
            (Some(Err(_)) | None, meter) => drop(meter.take()),
            (Some(Ok(_)), None) => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pin_project! {
    /// The body of a request, of which it is counted what is read.
    pub(super) struct ReceivedBody<B> {
        #[pin]
        body: B,
        metered: MeteredRequest,
    }
}

impl<B> ReceivedBody<B> {
    pub(super) const fn new(body: B, metered: MeteredRequest) -> Self {
        Self { body, metered }
    }
}

impl<B: Body> Body for ReceivedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            let read = frame.data_ref().map_or(0, |data| data.remaining());
            this.metered.received(read);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
