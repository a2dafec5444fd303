//! A refusal as a response: the problem, its header fields, and nothing else.

use http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use tenancy_core::{PROBLEM_MEDIA_TYPE, Refusal};

/// Makes the response. The refusal goes into its extensions for outer layers to see.
pub(crate) fn refusal_response<B: From<String>>(refusal: Refusal, to_head: bool) -> Response<B> {
    let problem = refusal.problem();
    let body = problem.to_json();
    let length = body.len();
    let mut response = Response::new(B::from(if to_head { String::new() } else { body }));
    *response.status_mut() =
        StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_MEDIA_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if to_head {
        // What GET would be told (RFC 9110 §8.6); a server would count the empty body instead.
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if let Some(challenge) = problem.www_authenticate() {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    if let Some(seconds) = problem.retry_after_seconds() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response.extensions_mut().insert(refusal);
    response
}
