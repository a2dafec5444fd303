//! The future behind the decision: waits for the charge, then for the inner service.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tenancy_core::{Charge, Refusal, RefusalKind, Settlement};
use tenancy_http::add_fields;
use tower_service::Service;

use super::{SettledBody, service::tell_handlers};
use crate::{fields::Fields, response::refusal_response};

type Charging = Pin<Box<dyn Future<Output = Result<Charge, Refusal>> + Send>>;

pin_project! {
    /// The future of [`GateService`](crate::GateService).
    ///
    /// Safe to drop at any point: a request that is still being charged has not reached the inner service,
    /// and what one was charged that has is settled.
    #[must_use = "futures do nothing unless polled"]
    pub struct GateFuture<S, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: State<S, ReqBody>,
        to_head: bool,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        Charging {
            waiting: Box<Waiting<S, ReqBody>>,
        },
        Calling {
            #[pin]
            future: S::Future,
            fields: Vec<(&'static str, String)>,
            settlement: Settlement,
        },
        Refused {
            refusal: Refusal,
        },
    }
}

/// A request that waits for its charge.
struct Waiting<S, ReqBody> {
    charging: Charging,
    /// The service that was ready when the request came.
    service: S,
    request: Option<Request<ReqBody>>,
}

impl<S, ReqBody> State<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    fn calling(future: S::Future, charge: Option<Charge>) -> Self {
        let (fields, settlement) = charge.map(Charge::into_parts).unwrap_or_default();
        Self::Calling {
            future,
            fields,
            settlement,
        }
    }
}

impl<S, ReqBody> GateFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    pub(super) fn calling(future: S::Future, charge: Option<Charge>, to_head: bool) -> Self {
        Self {
            state: State::calling(future, charge),
            to_head,
        }
    }

    pub(super) const fn refused(refusal: Refusal, to_head: bool) -> Self {
        Self {
            state: State::Refused { refusal },
            to_head,
        }
    }

    pub(super) fn charging(
        charging: Charging,
        service: S,
        request: Request<ReqBody>,
        to_head: bool,
    ) -> Self {
        let waiting = Box::new(Waiting {
            charging,
            service,
            request: Some(request),
        });
        Self {
            state: State::Charging { waiting },
            to_head,
        }
    }
}

impl<S, ReqBody> Waiting<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<State<S, ReqBody>> {
        let charged = ready!(self.charging.as_mut().poll(cx));
        let Some(mut request) = self.request.take() else {
            // Only after the inner service panicked in `call` and was polled all the same.
            let refusal = Refusal::new(RefusalKind::Internal, "polled-after-panic");
            return Poll::Ready(State::Refused { refusal });
        };
        Poll::Ready(match charged {
            Ok(charge) => {
                tell_handlers(&mut request, &charge);
                State::calling(self.service.call(request), Some(charge))
            }
            Err(refusal) => State::Refused { refusal },
        })
    }
}

impl<S, ReqBody, ResBody> Future for GateFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: From<String> + http_body::Body,
{
    type Output = Result<Response<SettledBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (mut state, to_head) = (this.state, *this.to_head);
        loop {
            match state.as_mut().project() {
                StateProj::Charging { waiting } => {
                    let next = ready!(waiting.poll(cx));
                    state.set(next);
                }
                StateProj::Calling {
                    future,
                    fields,
                    settlement,
                } => {
                    // Dropped by the panic itself where the handler panics, and so told of it.
                    let held = std::mem::take(settlement);
                    let answered = future.poll(cx);
                    *settlement = held;
                    let mut response = ready!(answered)?;
                    add_fields(&mut Fields(response.headers_mut()), fields);
                    let settlement = std::mem::take(settlement);
                    return Poll::Ready(Ok(SettledBody::settling(response, settlement, to_head)));
                }
                StateProj::Refused { refusal } => {
                    return Poll::Ready(Ok(refusal_response(refusal.clone(), to_head)));
                }
            }
        }
    }
}

impl<S, ReqBody> fmt::Debug for GateFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateFuture").finish_non_exhaustive()
    }
}
