//! The header fields of a response of actix-web, and the future that writes some of them.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::{
    Error,
    dev::ServiceResponse,
    http::header::{HeaderMap, HeaderName, HeaderValue},
};
use pin_project_lite::pin_project;
use tenancy_http::{ResponseFields, WriteFields};

pub(crate) struct Fields<'a>(pub(crate) &'a mut HeaderMap);

impl ResponseFields for Fields<'_> {
    type Value = HeaderValue;

    fn value(text: &str) -> Option<HeaderValue> {
        HeaderValue::from_str(text).ok()
    }

    fn texts(&self, name: &'static str) -> impl Iterator<Item = &str> {
        let values = self.0.get_all(name);
        values.filter_map(|value| value.to_str().ok())
    }

    fn contains(&self, name: &'static str) -> bool {
        self.0.contains_key(name)
    }

    fn append(&mut self, name: &'static str, value: HeaderValue) {
        self.0.append(HeaderName::from_static(name), value);
    }

    fn remove(&mut self, name: &'static str) {
        self.0.remove(name);
    }
}

/// Changes the header fields of a response, also of one that has yet to be made of an error.
pub(crate) fn change<B>(
    outcome: Result<ServiceResponse<B>, Error>,
    change: impl Fn(&mut HeaderMap) + 'static,
) -> Result<ServiceResponse<B>, Error> {
    match outcome {
        Ok(mut response) => {
            change(response.headers_mut());
            Ok(response)
        }
        Err(mut error) => {
            error.add_response_mapper(move |mut response| {
                change(response.headers_mut());
                response
            });
            Err(error)
        }
    }
}

pin_project! {
    /// Writes header fields, which were chosen by the request, to the response.
    #[must_use = "futures do nothing unless polled"]
    pub struct FieldsFuture<F, W> {
        #[pin]
        response: F,
        chosen: W,
    }
}

impl<F, W> FieldsFuture<F, W> {
    pub(crate) const fn new(response: F, chosen: W) -> Self {
        Self { response, chosen }
    }
}

impl<F, W, B> Future for FieldsFuture<F, W>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
    W: WriteFields<Value = HeaderValue> + Clone + 'static,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let outcome = ready!(this.response.poll(cx));
        let chosen = this.chosen.clone();
        Poll::Ready(change(outcome, move |headers| {
            chosen.write(&mut Fields(headers));
        }))
    }
}

impl<F, W> fmt::Debug for FieldsFuture<F, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FieldsFuture").finish_non_exhaustive()
    }
}
