//! The body of a response whose request was charged: settles the charge at its end.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tenancy_core::Settlement;
use tenancy_http::Unsettled;

pin_project! {
    /// The body that [`PolicyLayer`](crate::PolicyLayer) gives a response: the inner one, with a charge to
    /// settle at its end.
    #[derive(Debug)]
    pub struct SettledBody<B>
    where
        B: Body,
    {
        #[pin]
        body: B,
        open: Option<Unsettled>,
    }

    impl<B> PinnedDrop for SettledBody<B>
    where
        B: Body,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(open) = this.open.take() {
                open.dropped(this.body.is_end_stream());
            }
        }
    }
}

/// The length that a response has said, or that its body knows.
fn announced<B: Body>(response: &Response<B>) -> Option<u64> {
    // Neither has a body, whatever was given (RFC 9110 §15.3.5, §15.4.5).
    if matches!(response.status().as_u16(), 204 | 304) {
        return Some(0);
    }
    let said = response.headers().get(http::header::CONTENT_LENGTH);
    let said = said.and_then(|length| length.to_str().ok()?.parse().ok());
    said.or_else(|| response.body().size_hint().exact())
}

impl<B: Body> SettledBody<B> {
    /// Wraps the body of a response.
    pub(super) fn settling(
        response: Response<B>,
        settlement: Settlement,
        to_head: bool,
    ) -> Response<Self> {
        let (status, announced) = (response.status().as_u16(), announced(&response));
        let open = Unsettled::new(settlement, status, announced, to_head);
        response.map(|body| Self { body, open })
    }
}

impl<B: Body + From<String>> From<String> for SettledBody<B> {
    fn from(text: String) -> Self {
        Self {
            body: B::from(text),
            open: None,
        }
    }
}

impl<B: Body> Body for SettledBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        use bytes::Buf as _;

        let this = self.project();
        let frame = ready!(this.body.poll_frame(cx));
        match (&frame, &mut *this.open) {
            (Some(Ok(frame)), Some(open)) => {
                let length = frame.data_ref().map_or(0, |data| data.remaining());
                open.handed_over(length);
            }
            (Some(Err(_)) | None, open) => {
                if let Some(open) = open.take() {
                    open.end(frame.is_none());
                }
            }
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
