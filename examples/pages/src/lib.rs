//! What `pages-axum` and `pages-actix` share: accounts, invitations, mails, notes, and the pages themselves. The programs
//! add what their frameworks do differently: routes, sessions, who is signed in.
#![allow(
    missing_docs,
    missing_debug_implementations,
    clippy::missing_errors_doc,
    reason = "shared by two programs, and by nobody else; forms have passwords in them"
)]

pub mod accounts;
pub mod forms;
pub mod invitations;
pub mod mailer;
mod mails;
pub mod members;
pub mod notes;
pub mod organizations;
mod password;
pub mod setup;
pub mod views;

/// What the frameworks' own errors are made of.
pub use tenancy::http::Error;

/// The look of all pages.
pub const STYLE: &str = include_str!("../static/style.css");

/// What a page may load and do: its style, and forms of this service. There is no script.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; \
                                           base-uri 'none'; frame-ancestors 'none'";

/// Where somebody goes who has signed in and wants nothing else.
pub const HOME: &str = "/organizations";
