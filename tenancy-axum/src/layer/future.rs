//! The future of the layer's service.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Method, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tenancy_core::{
    Admitted, Charge, PendingAdmission, Refusal, RefusalKind, RouteNeeds, Settlement, Tenancy,
};
use tenancy_http::{AdmissionDecision, ImpersonationMark, add_vary, no_route};
use tower_service::Service;

use super::{Answer, TenancyService, carry};
use crate::fields::Fields;

pin_project! {
    /// The future of [`TenancyService`](crate::TenancyService).
    ///
    /// Safe to drop at any point: a request that is still being decided has not reached the inner
    /// service.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: State<S, ReqBody>,
        by_cookie: bool,
        // What the address has paid, where no route matched.
        address: Option<Settlement>,
        // That an operator acts as the user. Boxed, because nearly no response has it.
        mark: Option<Box<ImpersonationMark>>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        Charging {
            charging: Box<ChargingAddress<S, ReqBody>>,
        },
        Deciding {
            deciding: Box<Deciding<S, ReqBody>>,
        },
        Answering {
            #[pin]
            answer: Answer<S::Future>,
        },
    }
}

impl<S, ReqBody> ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    pub(super) const fn answering(answer: Answer<S::Future>) -> Self {
        Self {
            state: State::Answering { answer },
            by_cookie: false,
            address: None,
            mark: None,
        }
    }

    pub(super) fn charging(
        charging: Pin<Box<dyn Future<Output = Result<Charge, Refusal>> + Send>>,
        service: TenancyService<S>,
        request: Request<ReqBody>,
    ) -> Self {
        let charging = Box::new(ChargingAddress {
            charging,
            service,
            request: Some(request),
        });
        Self {
            state: State::Charging { charging },
            by_cookie: false,
            address: None,
            mark: None,
        }
    }

    pub(super) fn deciding(
        pending: PendingAdmission,
        service: S,
        request: Request<ReqBody>,
        tenancy: Tenancy,
        needs: RouteNeeds,
    ) -> Self {
        let decision = Box::pin(pending.resolve());
        let deciding = Deciding {
            decision,
            service,
            request: Some(request),
            tenancy,
            needs,
        };
        Self {
            state: State::Deciding {
                deciding: Box::new(deciding),
            },
            by_cookie: false,
            address: None,
            mark: None,
        }
    }

    /// Says in the response whether it depends on a cookie.
    pub(super) fn by_cookie(mut self, by_cookie: bool) -> Self {
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

/// A request whose address is being charged.
struct ChargingAddress<S, ReqBody> {
    charging: Pin<Box<dyn Future<Output = Result<Charge, Refusal>> + Send>>,
    /// With the inner service that was ready when the request came.
    service: TenancyService<S>,
    request: Option<Request<ReqBody>>,
}

impl<S, ReqBody> ChargingAddress<S, ReqBody>
where
    S: Service<Request<ReqBody>> + Clone,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ResponseFuture<S, ReqBody>> {
        let charged = ready!(self.charging.as_mut().poll(cx));
        let Some(request) = self.request.take() else {
            // Only after the inner service panicked in `call` and was polled all the same.
            let refusal = Refusal::new(RefusalKind::Internal, "polled-after-panic");
            return Poll::Ready(ResponseFuture::answering(Answer::refused(refusal, false)));
        };
        Poll::Ready(match charged {
            Ok(charge) => {
                let (_, address) = charge.into_parts();
                self.service.admit_charged(request, address)
            }
            Err(refusal) => {
                let to_head = request.method() == Method::HEAD;
                ResponseFuture::answering(Answer::refused(refusal, to_head))
            }
        })
    }
}

/// An answer, and whether an operator acts as the user.
type Decided<F> = (Answer<F>, Option<ImpersonationMark>);

/// A request that waits for a store.
struct Deciding<S, ReqBody> {
    decision: Pin<Box<dyn Future<Output = Result<Admitted, Refusal>> + Send>>,
    /// The service that was ready when the request came.
    service: S,
    request: Option<Request<ReqBody>>,
    tenancy: Tenancy,
    needs: RouteNeeds,
}

impl<S, ReqBody> Deciding<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Decided<S::Future>> {
        let decided = ready!(self.decision.as_mut().poll(cx));
        let Some(mut request) = self.request.take() else {
            // Only after the inner service panicked in `call` and was polled all the same.
            let refusal = Refusal::new(RefusalKind::Internal, "polled-after-panic");
            return Poll::Ready((Answer::refused(refusal, false), None));
        };
        Poll::Ready(match decided {
            Ok(admitted) => {
                let decision = AdmissionDecision::new(&self.tenancy, self.needs, admitted);
                let mark = decision.context().and_then(ImpersonationMark::of);
                carry(request.extensions_mut(), decision);
                (Answer::calling(self.service.call(request)), mark)
            }
            Err(refusal) => {
                let to_head = request.method() == Method::HEAD;
                (Answer::refused(refusal, to_head), None)
            }
        })
    }
}

impl<S, ReqBody, ResBody> Future for ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ResBody: From<String>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut state = this.state;
        let outcome = loop {
            match state.as_mut().project() {
                StateProj::Charging { charging } => {
                    let next = ready!(charging.poll(cx));
                    (*this.by_cookie, *this.address) = (next.by_cookie, next.address);
                    *this.mark = next.mark;
                    state.set(next.state);
                }
                StateProj::Deciding { deciding } => {
                    let (answer, mark) = ready!(deciding.poll(cx));
                    *this.mark = mark.map(Box::new);
                    state.set(State::Answering { answer });
                }
                StateProj::Answering { answer } => break ready!(answer.poll(cx)),
            }
        };
        Poll::Ready(outcome.map(|mut response| {
            if *this.by_cookie {
                let mut fields = Fields(response.headers_mut());
                add_vary(&mut fields, "cookie", &HeaderValue::from_static("cookie"));
            }
            if let Some(mark) = this.mark.take() {
                mark.write(&mut Fields(response.headers_mut()));
            }
            let has_no_route = response.status() == StatusCode::NOT_FOUND
                && response.extensions().get::<Refusal>().is_none();
            if let (true, Some(address)) = (has_no_route, this.address.take()) {
                no_route(address);
            }
            response
        }))
    }
}

impl<S, ReqBody> fmt::Debug for ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
