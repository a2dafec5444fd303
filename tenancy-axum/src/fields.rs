//! The header fields of a response of `http` 1, and the future that writes some of them.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, HeaderName, HeaderValue, Response};
use pin_project_lite::pin_project;
use tenancy_http::{ResponseFields, WriteFields};

pub(crate) struct Fields<'a>(pub(crate) &'a mut HeaderMap);

impl ResponseFields for Fields<'_> {
    type Value = HeaderValue;

    fn value(text: &str) -> Option<HeaderValue> {
        HeaderValue::from_str(text).ok()
    }

    fn texts(&self, name: &'static str) -> impl Iterator<Item = &str> {
        let values = self.0.get_all(name).iter();
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

impl<F, W, ResBody, E> Future for FieldsFuture<F, W>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    W: WriteFields<Value = HeaderValue>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.response.poll(cx))?;
        this.chosen.write(&mut Fields(response.headers_mut()));
        Poll::Ready(Ok(response))
    }
}

impl<F, W> fmt::Debug for FieldsFuture<F, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FieldsFuture").finish_non_exhaustive()
    }
}
