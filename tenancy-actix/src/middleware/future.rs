//! The future of the middleware's service.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::{Error, body::EitherBody, dev::ServiceResponse, http::header::HeaderValue};
use pin_project_lite::pin_project;
use tenancy_core::Settlement;
use tenancy_http::{ImpersonationMark, add_vary};

use super::service::give_back_if_no_route;

use crate::{
    answer::{Answer, Answered},
    fields::{Fields, change},
};

pin_project! {
    /// The future of [`TenancyService`](crate::TenancyService).
    ///
    /// Safe to drop at any point: a request that is still being decided has not reached the inner
    /// service.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, B> {
        #[pin]
        state: State<F, B>,
        by_cookie: bool,
        // What the address has paid.
        address: Option<Settlement>,
        // That an operator acts as the user. Boxed, because nearly no response has it.
        mark: Option<Box<ImpersonationMark>>,
    }
}

type Deciding<B> = Pin<Box<dyn Future<Output = Answered<B>>>>;

pin_project! {
    #[project = StateProj]
    enum State<F, B> {
        Deciding {
            deciding: Deciding<B>,
        },
        Answering {
            #[pin]
            answer: Answer<F, B>,
        },
    }
}

impl<F, B> ResponseFuture<F, B> {
    pub(crate) const fn answering(answer: Answer<F, B>) -> Self {
        Self {
            state: State::Answering { answer },
            by_cookie: false,
            address: None,
            mark: None,
        }
    }

    pub(crate) const fn deciding(deciding: Deciding<B>) -> Self {
        Self {
            state: State::Deciding { deciding },
            by_cookie: false,
            address: None,
            mark: None,
        }
    }

    /// Says in the response whether it depends on a cookie.
    pub(crate) fn by_cookie(mut self, by_cookie: bool) -> Self {
        self.by_cookie = by_cookie;
        self
    }

    /// Says in the response that an operator acts as the user, if one does.
    pub(super) fn marked(mut self, mark: Option<ImpersonationMark>) -> Self {
        self.mark = mark.map(Box::new);
        self
    }

    /// Gives back what the address has paid, if the answer is that there is no route.
    pub(super) fn giving_back(mut self, address: Option<Settlement>) -> Self {
        self.address = address;
        self
    }
}

impl<F, B> Future for ResponseFuture<F, B>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
{
    type Output = Result<ServiceResponse<EitherBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let outcome = ready!(match this.state.project() {
            StateProj::Deciding { deciding } => deciding.as_mut().poll(cx),
            StateProj::Answering { answer } => answer.poll(cx),
        });
        if let (Some(address), Ok(response)) = (this.address.take(), &outcome) {
            give_back_if_no_route(address, response);
        }
        let outcome = match this.mark.take() {
            Some(mark) => marked(outcome, *mark),
            None => outcome,
        };
        if !*this.by_cookie {
            return Poll::Ready(outcome);
        }
        Poll::Ready(change(outcome, |headers| {
            let cookie = HeaderValue::from_static("cookie");
            add_vary(&mut Fields(headers), "cookie", &cookie);
        }))
    }
}

/// Says in a response that an operator acts as the user.
pub(super) fn marked<B>(outcome: Answered<B>, mark: ImpersonationMark) -> Answered<B> {
    change(outcome, move |headers| mark.write(&mut Fields(headers)))
}

impl<F, B> fmt::Debug for ResponseFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
