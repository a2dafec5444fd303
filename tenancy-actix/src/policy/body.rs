//! The body of a response whose request was charged: settles the charge at its end.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::{
    body::{BodySize, MessageBody},
    dev::ServiceResponse,
    web::Bytes,
};
use pin_project_lite::pin_project;
use tenancy_core::{Ending, Settlement};

pin_project! {
    /// The body that [`PolicyMiddleware`](crate::PolicyMiddleware) gives a response: the inner one, with a
    /// charge to settle at its end.
    #[derive(Debug)]
    pub struct SettledBody<B>
    where
        B: MessageBody,
    {
        #[pin]
        body: B,
        open: Option<Open>,
    }

    impl<B> PinnedDrop for SettledBody<B>
    where
        B: MessageBody,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(open) = this.open.take() {
                // A server does not ask for what it does not send, nor for more than was announced.
                let whole = open.to_head
                    || match open.size {
                        BodySize::None => true,
                        BodySize::Sized(size) => size == open.bytes,
                        BodySize::Stream => false,
                    };
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
    size: BodySize,
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

impl<B: MessageBody> SettledBody<B> {
    /// Wraps the body of a response.
    pub(super) fn settling(
        response: ServiceResponse<B>,
        settlement: Settlement,
        to_head: bool,
    ) -> ServiceResponse<Self> {
        response.map_body(|head, body| {
            let open = (!settlement.is_none()).then(|| Open {
                settlement,
                status: head.status.as_u16(),
                bytes: 0,
                size: body.size(),
                to_head,
            });
            Self { body, open }
        })
    }
}

impl<B: MessageBody> MessageBody for SettledBody<B> {
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
        match (&chunk, &mut *this.open) {
            (Some(Ok(bytes)), Some(open)) => {
                open.bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            }
            (Some(Err(_)) | None, open) => {
                if let Some(open) = open.take() {
                    open.end(chunk.is_none());
                }
            }
            (Some(Ok(_)), None) => {}
        }
        Poll::Ready(chunk)
    }
}
