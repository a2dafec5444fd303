//! A page as a response.

use askama::Template;
use axum::{
    http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY},
    response::{Html, IntoResponse as _, Response},
};
use tenancy::axum::Error;

/// The page, with what it may do. It is somebody's own, so that nobody keeps it.
pub(crate) fn page(view: &impl Template) -> Result<Response, Error> {
    let html = Html(view.render().map_err(Error::internal)?);
    let fields = [
        (CONTENT_SECURITY_POLICY, pages::CONTENT_SECURITY_POLICY),
        (CACHE_CONTROL, "no-store"),
    ];
    Ok((fields, html).into_response())
}
