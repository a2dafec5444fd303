//! The future behind the decision: waits for the charge, then for the inner service.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::{Error, body::MessageBody, dev::ServiceResponse};
use pin_project_lite::pin_project;
use tenancy_core::{Charge, Ending, Settlement};
use tenancy_http::add_fields;

use super::SettledBody;
use crate::{
    answer::Answered,
    fields::{Fields, change},
};

pin_project! {
    /// The future of [`GateService`](crate::GateService).
    ///
    /// Safe to drop at any point: a request that is still being charged has not reached the inner service,
    /// and what one was charged that has is settled.
    #[must_use = "futures do nothing unless polled"]
    pub struct GateFuture<F, B>
    where
        B: MessageBody,
    {
        #[pin]
        state: State<F, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, B>
    where
        B: MessageBody,
    {
        Charging {
            charging: Pin<Box<dyn Future<Output = Answered<SettledBody<B>>>>>,
        },
        Calling {
            #[pin]
            calling: Calling<F>,
        },
        Answered {
            answer: Option<Answered<SettledBody<B>>>,
        },
    }
}

impl<F, B: MessageBody> GateFuture<F, B> {
    pub(super) const fn calling(calling: Calling<F>) -> Self {
        Self {
            state: State::Calling { calling },
        }
    }

    pub(super) const fn answered(answer: Answered<SettledBody<B>>) -> Self {
        Self {
            state: State::Answered {
                answer: Some(answer),
            },
        }
    }

    pub(super) const fn charging(
        charging: Pin<Box<dyn Future<Output = Answered<SettledBody<B>>>>>,
    ) -> Self {
        Self {
            state: State::Charging { charging },
        }
    }
}

impl<F, B> Future for GateFuture<F, B>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
    B: MessageBody,
{
    type Output = Answered<SettledBody<B>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Charging { charging } => charging.as_mut().poll(cx),
            StateProj::Calling { calling } => calling.poll(cx),
            // Nobody polls a future that has ended.
            StateProj::Answered { answer } => answer.take().map_or(Poll::Pending, Poll::Ready),
        }
    }
}

impl<F, B: MessageBody> fmt::Debug for GateFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateFuture").finish_non_exhaustive()
    }
}

pin_project! {
    /// A handler that runs for a request that may have been charged.
    pub(super) struct Calling<F> {
        #[pin]
        future: F,
        fields: Vec<(&'static str, String)>,
        settlement: Settlement,
        to_head: bool,
    }
}

impl<F> Calling<F> {
    pub(super) fn new(future: F, charge: Option<Charge>, to_head: bool) -> Self {
        let (fields, settlement) = charge.map(Charge::into_parts).unwrap_or_default();
        Self {
            future,
            fields,
            settlement,
            to_head,
        }
    }
}

impl<F, B> Future for Calling<F>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
    B: MessageBody,
{
    type Output = Answered<SettledBody<B>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // Dropped by the panic itself where the handler panics, and so told of it.
        let held = std::mem::take(this.settlement);
        let answered = this.future.poll(cx);
        *this.settlement = held;
        let (fields, settlement) = (
            std::mem::take(this.fields),
            match &answered {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(_) => std::mem::take(this.settlement),
            },
        );
        let outcome = ready!(answered);
        let outcome = change(outcome, move |headers| {
            add_fields(&mut Fields(headers), &fields)
        });
        Poll::Ready(match outcome {
            Ok(response) => {
                let settled = SettledBody::settling(response, settlement, *this.to_head);
                Ok(settled.map_into_left_body())
            }
            Err(error) => {
                // Its response is made later, and outside of here.
                let status = error.as_response_error().status_code().as_u16();
                settlement.settle(Ending::Answered { status, bytes: 0 });
                Err(error)
            }
        })
    }
}
