//! Keeping the trail: verifying its chains, pruning what is old, erasing what is about a person.

use async_trait::async_trait;

use super::{ChainHead, ChainReport, LinkedEntry, TrailChain};
use crate::{ChangeRecord, EmailAddress, StoreError, TenantId, Timestamp, UserId};

/// A person whose particulars are erased from the trail.
///
/// Erased are the reason, the targets, the details, the changes, the address and the user agent of each entry that
/// the person made, that was made on the person's behalf, that was done to the person, or that has one of the texts. The
/// entry itself stays, with the ids that stand for people, and so does the chain.
///
/// ```
/// use tenancy_core::{PersonErasure, UserId};
///
/// let erasure = PersonErasure::new(UserId::new()).named("Ann Lee")?.email(&"ann@example.org".parse()?)?;
/// assert_eq!(erasure.texts().count(), 2);
/// assert!(PersonErasure::new(UserId::new()).named("A").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct PersonErasure {
    user: UserId,
    texts: Vec<String>,
}

/// The shortest text that may be looked for: a shorter one would be found in entries of others.
const SHORTEST: usize = 4;

/// How many texts may be given.
const MOST: usize = 16;

impl PersonErasure {
    /// The person with this id.
    pub const fn new(user: UserId) -> Self {
        Self {
            user,
            texts: Vec::new(),
        }
    }

    /// The same, and every entry whose particulars have this text, whatever its case: a name, or an address of another
    /// kind.
    ///
    /// # Errors
    /// [`StoreErrorKind::Invalid`](crate::StoreErrorKind::Invalid) if it has fewer than 4 characters, which would
    /// be found in entries about others, or if it is the 17th.
    pub fn named(mut self, text: impl Into<String>) -> Result<Self, StoreError> {
        let text = text.into();
        let invalid =
            |message: &'static str| StoreError::new(crate::StoreErrorKind::Invalid, message);
        if text.trim().chars().count() < SHORTEST {
            return Err(invalid(
                "a text to erase has 4 characters at least; a shorter one would be found in entries about others",
            ));
        }
        if self.texts.len() == MOST {
            return Err(invalid(
                "16 texts at most are erased at once; call it again for others",
            ));
        }
        self.texts.push(text.trim().to_owned());
        Ok(self)
    }

    /// The same, and every entry whose particulars have this address.
    ///
    /// # Errors
    /// As [`named`](Self::named).
    pub fn email(self, email: &EmailAddress) -> Result<Self, StoreError> {
        self.named(email.as_str())
    }

    /// The person.
    #[must_use]
    pub const fn user(&self) -> UserId {
        self.user
    }

    /// The texts that are looked for.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(String::as_str)
    }
}

/// What was pruned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pruned {
    /// How many entries were removed.
    pub removed: u64,
    /// The number of the last link that was removed; 0 if there was nothing to remove.
    pub upto: u64,
}

impl Pruned {
    /// So many, up to this number.
    #[must_use]
    pub const fn new(removed: u64, upto: u64) -> Self {
        Self { removed, upto }
    }
}

/// Keeps the chains of a trail.
#[async_trait]
pub trait AuditTrail: Send + Sync {
    /// Where each chain stands, in the order of the tenants' ids, that of no tenant first. A page holds at most `limit`
    /// and begins behind `after`; the one that is empty is the last.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer, or may not read this.
    async fn list_heads(
        &self,
        after: Option<TrailChain>,
        limit: u32,
    ) -> Result<Vec<ChainHead>, StoreError>;

    /// Verifies a chain from its beginning, or from where it was pruned to, to its end: each link, each entry and the
    /// particulars that are not erased; the checkpoints; and these anchors of the chain, whose signatures the caller has
    /// checked. It stops at the first fault.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer, or may not read this. A fault is no error.
    async fn verify_chain(
        &self,
        chain: TrailChain,
        anchors: &[ChainHead],
    ) -> Result<ChainReport, StoreError>;

    /// The entries of a chain from one number to another, in their order. Those that are pruned are not told.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer, or may not read this.
    async fn list_linked(
        &self,
        chain: TrailChain,
        from: u64,
        to: u64,
    ) -> Result<Vec<LinkedEntry>, StoreError>;

    /// Links entries that wait for it, until none is left that was there when it began; how many.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer, or may not do this.
    async fn seal(&self) -> Result<u64, StoreError>;

    /// When the oldest entry of a chain was recorded; `None` if it has none.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer, or may not read this.
    async fn find_oldest(&self, chain: TrailChain) -> Result<Option<Timestamp>, StoreError>;

    /// Removes the oldest entries of a chain that were recorded before a moment, up to the first that was not, and
    /// keeps the hash at that place. 10,000 at most: a caller goes on while it removes some.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn prune_chain(
        &self,
        chain: TrailChain,
        before: Timestamp,
        record: &ChangeRecord,
    ) -> Result<Pruned, StoreError>;

    /// Gives back the room of what was pruned, where that takes a step of its own. For the end of a run of retention.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    async fn tidy(&self) -> Result<(), StoreError>;

    /// Erases the particulars of entries about a person, in a tenant's trail, or without a tenant everywhere; of how many.
    /// All chains stay whole. Entries that wait for their link are linked first.
    ///
    /// # Errors
    /// A [`StoreError`] whose kind says why nothing was changed.
    async fn erase_person(
        &self,
        tenant: Option<TenantId>,
        person: &PersonErasure,
        record: &ChangeRecord,
    ) -> Result<u64, StoreError>;
}
