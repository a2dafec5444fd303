//! The text of a one-time token: what is mailed, and what comes back.

use std::fmt;

use uuid::Uuid;
use zeroize::Zeroizing;

use super::OneTimeKind;

/// The text of a one-time token, to be mailed: erased from memory when dropped.
///
/// It can't be cloned, compared, serialized or printed; `Debug` shows nothing of it.
///
/// ```
/// use tenancy_core::one_time::OneTimeText;
///
/// fn link(token: &OneTimeText) -> String {
///     format!("https://app.example.com/invitations/{}", token.expose())
/// }
/// ```
pub struct OneTimeText(Zeroizing<String>);

impl OneTimeText {
    pub(super) const fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// The whole text.
    ///
    /// # Security
    /// Mail it to the one address that it is for. Never log it, never store it, and give it to no other caller.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for OneTimeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneTimeText(redacted)")
    }
}

/// A one-time token as it came back: well formed, and not yet known to be anybody's.
///
/// Made by [`OneTimeKind::read`]. `Debug` leaves the secret out.
///
/// ```
/// use tenancy_core::one_time::{OneTimeKind, PresentedOneTime};
///
/// fn row_of<'a>(link: &'a str) -> Option<PresentedOneTime<'a>> {
///     OneTimeKind::Invitation.read(link.rsplit('/').next()?)
/// }
/// assert!(row_of("https://app.example.com/invitations/guessed").is_none());
/// ```
#[derive(Clone, Copy)]
pub struct PresentedOneTime<'a> {
    kind: OneTimeKind,
    id: Uuid,
    text: &'a str,
}

impl<'a> PresentedOneTime<'a> {
    pub(super) const fn new(kind: OneTimeKind, id: Uuid, text: &'a str) -> Self {
        Self { kind, id, text }
    }

    /// What it is for.
    #[must_use]
    pub const fn kind(&self) -> OneTimeKind {
        self.kind
    }

    /// The id of the row that it claims to belong to.
    #[must_use]
    pub const fn id(&self) -> Uuid {
        self.id
    }

    pub(super) const fn text(&self) -> &'a str {
        self.text
    }
}

impl fmt::Debug for PresentedOneTime<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresentedOneTime")
            .field("kind", &self.kind)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
