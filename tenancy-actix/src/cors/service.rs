//! The service: asks the engine about the page, and goes the way it says.

use std::{
    rc::Rc,
    task::{Context, Poll},
};

use actix_web::{
    Error, HttpMessage as _, HttpResponse,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse},
    http::header::HeaderValue,
};
use tenancy_core::{CorsAnswer, CorsDecision};
use tenancy_http::{ChosenCorsFields, CorsFields, CorsWay, WriteFields as _};

use crate::{
    answer::Answer,
    fields::{Fields, FieldsFuture},
    middleware::ResponseFuture,
    response::refusal_response,
    view::HeadView,
};

/// The service that [`TenancyCors`](crate::TenancyCors) makes.
#[derive(Debug)]
pub struct CorsService<S> {
    inner: Rc<S>,
    fields: CorsFields<HeaderValue>,
}

/// The inner service's response, with the fields of CORS.
type Passing<F> = FieldsFuture<F, ChosenCorsFields<HeaderValue>>;

impl<S> CorsService<S> {
    pub(super) const fn new(inner: Rc<S>, fields: CorsFields<HeaderValue>) -> Self {
        Self { inner, fields }
    }

    fn answer<B>(
        &self,
        decision: CorsDecision,
        request: ServiceRequest,
    ) -> Answer<Passing<S::Future>, B>
    where
        S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    {
        let view = HeadView::of(request.request());
        let (way, chosen) = self.fields.way::<Fields<'_>>(decision, &view);
        let mut response = match way {
            CorsWay::PassOn(decided) => {
                if let Some(decided) = decided {
                    request.extensions_mut().insert(decided);
                }
                let future = FieldsFuture::new(self.inner.call(request), chosen);
                return Answer::Calling { future };
            }
            CorsWay::Accept => HttpResponse::Ok().finish(),
            CorsWay::Refuse(refusal) => refusal_response(refusal),
        };
        chosen.write(&mut Fields(response.headers_mut()));
        let response = request.into_response(response).map_into_right_body();
        Answer::Refused {
            response: Some(Ok(response)),
        }
    }
}

impl<S> Clone for CorsService<S> {
    fn clone(&self) -> Self {
        Self::new(Rc::clone(&self.inner), self.fields.clone())
    }
}

impl<S, B> Service<ServiceRequest> for CorsService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = ResponseFuture<Passing<S::Future>, B>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let answer = {
            let extensions = request.extensions();
            let view = HeadView::of(request.request());
            self.fields.decide(&view, extensions.get())
        };
        match answer {
            CorsAnswer::Ready(decision) => {
                ResponseFuture::answering(self.answer(decision, request))
            }
            CorsAnswer::Pending(pending) => {
                let service = self.clone();
                ResponseFuture::deciding(Box::pin(async move {
                    let decision = pending.resolve().await;
                    service.answer(decision, request).await
                }))
            }
        }
    }
}
