//! Who may let a key do something: a key acts as its creator, so nobody else makes it do more.

use super::KeyAdmin;
use crate::{Actor, Grant, StoreError, StoreErrorKind, TenantContext, UserId};

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
    /// change keys; to add some is for whoever may hand them out, and for no operator.
    pub(super) fn may_rescope(
        &self,
        caller: Option<&TenantContext>,
        creator: UserId,
        (before, after): (&[Grant], &[Grant]),
    ) -> Result<(), StoreError> {
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
            return Ok(());
        }
        if self.author.authority.is_operators() {
            return refused("an operator lets no key do more, because a key acts as a user");
        }
        self.may_hand_out(caller, creator, &more)
    }
}

fn refused<T>(message: impl Into<String>) -> Result<T, StoreError> {
    Err(StoreError::new(StoreErrorKind::Forbidden, message))
}
