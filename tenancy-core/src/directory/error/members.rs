//! What changes of members fail with: for stores, so that all of them say it alike.

use super::{StoreError, StoreErrorKind};
use crate::{TenantId, UserId};

impl StoreError {
    /// What a change of a membership fails with that is not there: for stores.
    #[must_use]
    pub fn no_membership(tenant: TenantId, user: UserId) -> Self {
        let message = format!("the user `{user}` is no member of the tenant `{tenant}`");
        Self::new(StoreErrorKind::NotFound, message)
    }

    /// What a change fails with that would leave a tenant without an active owner: for stores.
    #[must_use]
    pub fn last_owner() -> Self {
        let message =
            "the user is the tenant's last active owner; make somebody else an owner first";
        Self::new(StoreErrorKind::Conflict, message)
    }

    /// What ends with an offer that is not open: for stores.
    #[must_use]
    pub fn no_ownership_offer() -> Self {
        let message = "there is no such open offer of ownership; it has ended, or there was none";
        Self::new(StoreErrorKind::NotFound, message)
    }

    /// What an offer fails with while another one is open: for stores.
    #[must_use]
    pub fn another_ownership_offer() -> Self {
        let message = "another offer of ownership is open; withdraw it first";
        Self::new(StoreErrorKind::Conflict, message)
    }

    /// What an offer or its acceptance fails with where one of both is not what it takes: for stores.
    #[must_use]
    pub fn ownership_parties() -> Self {
        let message = "ownership goes from an active owner to another active member who is no owner; see to the \
                       memberships first";
        Self::new(StoreErrorKind::Conflict, message)
    }

    /// What a handover of keys fails with whose new holder can't have them: for stores.
    #[must_use]
    pub fn no_key_holder() -> Self {
        let message = "the new holder of the keys has to be another active member of the tenant";
        Self::new(StoreErrorKind::Conflict, message)
    }

    /// What a handover of keys fails with one of which is not what was seen: for stores.
    #[must_use]
    pub fn handed_key_changed() -> Self {
        let message =
            "a key that is to be handed over has changed meanwhile; look at the departure again";
        Self::new(StoreErrorKind::Conflict, message)
    }

    /// What a key fails with whose creator is no active member of its tenant: for stores.
    #[must_use]
    pub fn no_key_creator() -> Self {
        let message = "the creator of a key must be an active member of its tenant";
        Self::new(StoreErrorKind::Invalid, message)
    }
}
