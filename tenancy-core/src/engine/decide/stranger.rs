//! A tenant of others is answered for like one that does not exist: after the same look-ups, and
//! for as long.

use std::sync::Arc;

use super::{Decider, Interrupt, Step};
use crate::{
    AllowedTenants, Principal, RefusalKind,
    cache::Probe,
    engine::{load::TenantNamed, stranger_cache::Question},
    identification::KeyRef,
};

impl Decider<'_> {
    /// Refuses a caller who was refused the same a moment ago.
    pub(super) fn not_turned_away(&self, principal: Option<&Arc<Principal>>) -> Step<()> {
        let Some(question) = self.strangers_question(principal) else {
            return Ok(());
        };
        // What is being loaded for this very request says it anew.
        if self.loaded.first::<TenantNamed>().is_some() {
            return Ok(());
        }
        let (strangers, versions) = (&self.engine.strangers, &self.engine.versions);
        let known = || strangers.get(&question, versions.of_any(), self.now);
        match self.cached(known)? {
            Probe::Found(refused, _) => Err(Interrupt::Refused(refused)),
            Probe::Absent | Probe::Unknown => Ok(()),
        }
    }

    /// Has a refusal that says "no such tenant" rest on what was looked up for this request, and on
    /// the same for each reason: every name, and a membership.
    pub(super) fn as_to_a_stranger(
        &self,
        principal: Option<&Arc<Principal>>,
        interrupt: Interrupt,
    ) -> Interrupt {
        let Interrupt::Refused(refused) = interrupt else {
            return interrupt;
        };
        let question = match self.strangers_question(principal) {
            Some(question)
                if refused.kind() == RefusalKind::TenantNotFound && !self.belongs.get() =>
            {
                question
            }
            _ => return Interrupt::Refused(refused),
        };
        if let Some(missing) = self.not_looked_up(principal) {
            return missing;
        }
        if let (Some((_, version)), Some(read_at)) =
            (self.loaded.answers_began(), self.loaded.began())
        {
            let (strangers, kept) = (&self.engine.strangers, refused.clone());
            strangers.keep(question, kept, (read_at, version));
        }
        Interrupt::Refused(refused)
    }

    fn not_looked_up(&self, principal: Option<&Arc<Principal>>) -> Option<Interrupt> {
        let hints = self.facts.hints.as_deref().ok()?;
        let is_unread = |key: &KeyRef<'_>| self.loaded.get::<TenantNamed>(key).is_none();
        let missing = |key: &KeyRef<'_>| self.not_entered::<TenantNamed>(key.to_key());
        if let Some(hint) = hints.iter().find(|hint| is_unread(&hint.key)) {
            return Some(missing(&hint.key));
        }
        let principal = principal?;
        // Where the first name is nobody's, the credential's own tenant has not been asked for.
        if let AllowedTenants::Bound(own) = &principal.allowed_tenants {
            let own = KeyRef::Owned(own.clone());
            if is_unread(&own) {
                return Some(missing(&own));
            }
        }
        None
    }

    /// What is asked, if somebody from outside asks for a tenant by name.
    fn strangers_question(&self, principal: Option<&Arc<Principal>>) -> Option<Question> {
        if !self.facts.is_from_outside() {
            return None;
        }
        let hints = self.facts.hints.as_deref().ok()?;
        let (strangers, principal) = (&self.engine.strangers, principal.map(|p| &**p));
        // An anonymous caller is refused for its project with the same words.
        let project = self
            .facts
            .project
            .as_ref()
            .map_or_else(|f| Err(f.reason), |p| Ok(*p));
        Some(strangers.question(principal, hints, project, self.facts.needs))
    }
}
