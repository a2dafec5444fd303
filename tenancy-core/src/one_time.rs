//! One-time tokens: what a link in a mail carries, good for one thing, once.
//!
//! A token is derived from a row: its id, and how often it was sent. So the text is stored nowhere. The row has an
//! HMAC of it, the outbox has the id alone, and the process that sends the mail derives the text again. To send
//! anew is to count [`rotation`](OneTimeId::rotation) on: the text before is wrong from then on.
//!
//! ```
//! use tenancy_core::{
//!     key::Pepper,
//!     one_time::{OneTimeId, OneTimeKind, OneTimeTokens},
//! };
//!
//! let tokens = OneTimeTokens::new(Pepper::new(1, b"32 random bytes from a secret store")?);
//! let first = OneTimeId::new(OneTimeKind::Invitation, uuid::Uuid::now_v7());
//! // This is stored in the row.
//! let stored = tokens.digest(first);
//! // This is mailed.
//! let text = tokens.text(first, stored.version()).ok_or("no such pepper")?;
//!
//! // This comes back.
//! let presented = OneTimeKind::Invitation.read(text.expose()).ok_or("no token")?;
//! assert_eq!(presented.id(), first.id());
//! assert!(tokens.verify(&presented, &stored));
//! assert!(!tokens.verify(&presented, &tokens.digest(first.rotated())));
//! assert!(OneTimeKind::PasswordReset.read(text.expose()).is_none());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Security
//! - A secret has 256 bits, so nobody guesses it, and a copy of the database has nothing to test a guess with.
//! - Whoever has the pepper and a row's id can make its token. Keep the pepper where the database's backups are not.
//! - That a token is used once is for the store: one guarded statement looks at the state of the row and changes it.

mod digest;
mod kind;
mod text;
mod tokens;

#[cfg(test)]
mod tests;

pub use digest::OneTimeDigest;
pub use kind::OneTimeKind;
pub use text::{OneTimeText, PresentedOneTime};
pub use tokens::{OneTimeId, OneTimeTokens};
