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
use tenancy_core::Settlement;
use tenancy_http::Unsettled;

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
        open: Option<Unsettled>,
    }

    impl<B> PinnedDrop for SettledBody<B>
    where
        B: MessageBody,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(open) = this.open.take() {
                open.dropped(false);
            }
        }
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
            let announced = match body.size() {
                BodySize::None => Some(0),
                BodySize::Sized(size) => Some(size),
                BodySize::Stream => None,
            };
            let open = Unsettled::new(settlement, head.status.as_u16(), announced, to_head);
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
                open.handed_over(bytes.len());
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
