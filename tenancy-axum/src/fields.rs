//! The header fields of a response of `http` 1.

use http::{HeaderMap, HeaderName, HeaderValue};
use tenancy_http::ResponseFields;

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
}
