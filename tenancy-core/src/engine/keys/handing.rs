//! Who may let a key do something: a key acts as its creator, so nobody else makes it do more.

use super::KeyAdmin;
use crate::{
    Actor, Grant, KeyId, StoreError, StoreErrorKind, TenantContext, UserId,
    key::{ApiKey, KeySeen},
};

impl KeyAdmin {
    /// Whether a caller, if it is one, may have a key of this creator with these scopes: its creator alone, and no more than
    /// the caller holds where the key counts. The service itself may have any.
    pub(super) fn may_hand_out(
        &self,
        caller: Option<&TenantContext>,
        creator: UserId,
        scopes: &[Grant],
    ) -> Result<(), StoreError> {
        let Some(caller) = caller else { return Ok(()) };
        let principal = caller.principal();
        match principal.actor {
            Actor::User(user) if user == creator => {}
            Actor::System | Actor::Job(_) => return Ok(()),
            Actor::Key(_) => {
                return refused(
                    "a key makes no key that does more, because that one would outlive it; its creator has to do it",
                );
            }
            _ => {
                return refused(
                    "a key acts as its creator, so that nobody else makes it or lets it do more; have the creator do it, \
                     or revoke the key",
                );
            }
        }
        let permissions = self.engine.permissions();
        let beyond = scopes.iter().find(|scope| {
            let covered = permissions.covered_by(scope);
            // All that the user may do is never more than that, but it may be more than the credential is for.
            let most = if scope.is_everything() {
                principal.scope
            } else {
                caller.permissions()
            };
            !covered.is_subset(most)
        });
        match beyond {
            Some(scope) => refused(format!(
                "the scope `{scope}` is more than the caller holds where the key counts; leave it out, or confine the key \
                 to the project in which the caller holds it"
            )),
            None => Ok(()),
        }
    }

    /// Whether a key of this creator may have these scopes in the place of those. To take some away is for whoever may
    /// change keys; to add some is for whoever may hand them out, and for no operator. Returns what that was decided on.
    pub(super) fn may_rescope(
        &self,
        caller: Option<&TenantContext>,
        found: &ApiKey,
        after: &[Grant],
    ) -> Result<KeySeen, StoreError> {
        let before = &found.scopes;
        let seen = self.seen(caller, found);
        let permissions = self.engine.permissions();
        let was_everything = before.iter().any(Grant::is_everything);
        let is_more = |scope: &&Grant| {
            let had = before.iter().map(|had| permissions.covered_by(had));
            let had = had.fold(crate::PermissionSet::EMPTY, crate::PermissionSet::union);
            let is_wider = scope.is_everything() && !was_everything;
            is_wider || !permissions.covered_by(scope).is_subset(had)
        };
        let more: Vec<_> = after.iter().filter(is_more).cloned().collect();
        if more.is_empty() {
            return Ok(seen);
        }
        if self.author.authority.is_operators() {
            return refused("an operator lets no key do more, because a key acts as a user");
        }
        self.may_hand_out(caller, found.creator, &more)?;
        Ok(seen)
    }

    /// Whether a key may be rotated, which hands its text to the caller. Returns what that was decided on.
    pub(super) fn may_rotate(
        &self,
        caller: Option<&TenantContext>,
        found: &ApiKey,
    ) -> Result<KeySeen, StoreError> {
        self.may_hand_out(caller, found.creator, &found.scopes)?;
        Ok(self.seen(caller, found))
    }

    /// What a change was decided on that is for some and not for others; the service itself may make any.
    fn seen(&self, caller: Option<&TenantContext>, found: &ApiKey) -> KeySeen {
        if self.is_the_services(caller) {
            KeySeen::Any
        } else {
            KeySeen::of(found)
        }
    }

    /// What a change of a key that was not found is decided on: where it depends on the key who may make it, on nothing.
    pub(super) fn unseen(
        &self,
        caller: Option<&TenantContext>,
        key: KeyId,
    ) -> Result<KeySeen, StoreError> {
        if self.is_the_services(caller) {
            return Ok(KeySeen::Any);
        }
        let message = format!("the tenant has no key `{key}`");
        Err(StoreError::new(StoreErrorKind::NotFound, message))
    }

    fn is_the_services(&self, caller: Option<&TenantContext>) -> bool {
        caller.is_none() && !self.author.authority.is_operators()
    }
}

fn refused<T>(message: impl Into<String>) -> Result<T, StoreError> {
    Err(StoreError::new(StoreErrorKind::Forbidden, message))
}
