//! The body of a response whose request was charged: settles the charge at its end.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tenancy_core::{Ending, Settlement};

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
        open: Option<Open>,
    }

    impl<B> PinnedDrop for SettledBody<B>
    where
        B: Body,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(open) = this.open.take() {
                // A server does not ask for what it does not send, nor for more than was announced.
                let whole = open.to_head
                    || this.body.is_end_stream()
                    || open.announced == Some(open.bytes);
                open.end(whole);
            }
        }
    }
}

/// A charge that is not settled yet.
#[derive(Debug)]
struct Open {
    settlement: Settlement,
    status: u16,
    bytes: u64,
    /// The length that the response has said, or that its body knows.
    announced: Option<u64>,
    to_head: bool,
}

impl Open {
    fn end(self, whole: bool) {
        // Some servers read the body of an answer to HEAD, and none sends it.
        let bytes = if self.to_head { 0 } else { self.bytes };
        let status = self.status;
        self.settlement.settle(if whole {
            Ending::Answered { status, bytes }
        } else {
            Ending::CutOff { status, bytes }
        });
    }
}

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
        let open = (!settlement.is_none()).then(|| Open {
            settlement,
            status: response.status().as_u16(),
            bytes: 0,
            announced: announced(&response),
            to_head,
        });
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
                open.bytes += u64::try_from(length).unwrap_or(u64::MAX);
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
