//! What browsers send, and whether a form that they send is one of this service's.

use serde::Deserialize;
use tenancy::{EmailAddress, http::local_path, key::LowEntropySecret};

use crate::HOME;

#[derive(Deserialize)]
pub struct LogIn {
    pub email: String,
    pub password: String,
    #[serde(default)]
    pub next: String,
}

#[derive(Deserialize)]
pub struct SignUp {
    pub email: String,
    pub name: String,
    pub password: String,
    #[serde(default)]
    pub next: String,
}

#[derive(Deserialize)]
pub struct NewOrganization {
    pub name: String,
    pub slug: String,
}

#[derive(Deserialize)]
pub struct NewNote {
    pub title: String,
    #[serde(default)]
    pub body: String,
}

#[derive(Deserialize)]
pub struct NewInvitation {
    pub email: String,
    pub role: String,
}

/// The query of the pages where one signs in and up.
#[derive(Deserialize)]
pub struct Next {
    #[serde(default)]
    pub next: String,
}

/// Where to go on after signing in: never to another host.
pub fn next(text: &str) -> &str {
    local_path(text).unwrap_or(HOME)
}

/// What a form says where an address should be.
pub(crate) const NO_ADDRESS: &str = "That is no email address.";

/// An address as somebody types it.
pub(crate) fn address(typed: &str) -> Option<EmailAddress> {
    typed.trim().parse().ok()
}

impl SignUp {
    /// What is wrong with the form, if anything.
    pub fn fault(&self) -> Option<&'static str> {
        if address(&self.email).is_none() {
            Some(NO_ADDRESS)
        } else if self.name.trim().is_empty() {
            Some("Please say what your name is.")
        } else if self.password.chars().count() < 10 {
            Some("The password needs at least 10 characters.")
        } else if self.password.len() > LowEntropySecret::MAX_LEN {
            Some("The password is too long.")
        } else {
            None
        }
    }
}

/// Whether a form was sent by a page of this service, by what the browser says: the engine asks for the same proof
/// where a request has a credential. Signing in has none yet, and without this another site could sign a visitor in
/// to an account of its own.
pub fn is_own(fetch_site: Option<&str>, origin: Option<&str>, host: Option<&str>) -> bool {
    match (fetch_site, origin, host) {
        (Some(site), ..) => matches!(site, "same-origin" | "none"),
        (None, Some(origin), Some(host)) => {
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
        }
        _ => false,
    }
}
