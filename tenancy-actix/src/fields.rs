//! The header fields of a response of actix-web.

use actix_web::{
    Error,
    dev::ServiceResponse,
    http::header::{HeaderMap, HeaderName, HeaderValue},
};
use tenancy_http::ResponseFields;

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
