//! A tenant of others is answered for like one that does not exist: after the same look-ups, and
//! for as long.

use std::sync::Arc;

use super::{Decision, Step, Stop, subject};
use crate::{
    Principal, Reach, RefusalKind,
    cache::Probe,
    engine::{facts::Presented, fill::Miss, strangers::Question},
    identification::{Hint, HintSource, KeyRef},
};

impl Decision<'_> {
    /// Refuses who was refused the same a moment ago.
    pub(super) fn not_turned_away(&self, principal: Option<&Arc<Principal>>) -> Step<()> {
        let Some(question) = self.strangers_question(principal) else {
            return Ok(());
        };
        // What is being loaded for this very request says it anew.
        if self.fills.holds_a_tenant() {
            return Ok(());
        }
        let (strangers, stamps) = (&self.engine.strangers, &self.engine.stamps);
        let known = || strangers.get(&question, stamps.of_any(), self.now);
        match self.cached(known)? {
            Probe::Found(refused, _) => Err(Stop::Refused(refused)),
            Probe::Absent | Probe::Unknown => Ok(()),
        }
    }

    /// Has a refusal that says "no such tenant" rest on what was looked up for this request, and on
    /// the same for each reason: every name, and a membership.
    pub(super) fn as_to_a_stranger(&self, principal: Option<&Arc<Principal>>, stop: Stop) -> Stop {
        let Stop::Refused(refused) = stop else {
            return stop;
        };
        let question = match self.strangers_question(principal) {
            Some(question)
                if refused.kind() == RefusalKind::TenantNotFound && !self.belongs.get() =>
            {
                question
            }
            _ => return Stop::Refused(refused),
        };
        if let Some(miss) = self.not_looked_up(principal) {
            return Stop::Miss(miss);
        }
        if let Some(began) = self.fills.answers_began() {
            let (strangers, kept) = (&self.engine.strangers, refused.clone());
            strangers.keep(question, kept, began);
        }
        Stop::Refused(refused)
    }

    fn not_looked_up(&self, principal: Option<&Arc<Principal>>) -> Option<Miss> {
        let hints = self.facts.hints.as_deref().ok()?;
        let unread = |hint: &&Hint<'_>| self.fills.tenant(&hint.key).is_none();
        if let Some(hint) = hints.iter().find(unread) {
            return Some(Miss::Tenant(hint.key.to_key()));
        }
        let principal = principal?;
        // Where the first name is nobody's, the credential's own tenant has not been asked for.
        if let Reach::Bound(own) = &principal.reach {
            let own = KeyRef::Owned(own.clone());
            if self.fills.tenant(&own).is_none() {
                return Some(Miss::Tenant(own.to_key()));
            }
        }
        let user = subject(principal)?;
        let first: &KeyRef<'_> = &hints.first()?.key;
        let tenant = match self.fills.tenant(first).flatten() {
            Some(tenant) => tenant.id,
            None => self.engine.strangers.nobody(&first.to_key()),
        };
        let unread = self.fills.membership(tenant, user).is_none();
        unread.then_some(Miss::Membership(tenant, user))
    }

    /// What is asked, if somebody from outside asks for a tenant by name.
    fn strangers_question(&self, principal: Option<&Arc<Principal>>) -> Option<Question> {
        let hints = self.facts.hints.as_deref().ok()?;
        let from_outside = |hint: &Hint<'_>| hint.source != HintSource::Application;
        if hints.is_empty() || !hints.iter().all(from_outside) {
            return None;
        }
        if matches!(self.facts.presented, Presented::Verified(_)) {
            return None;
        }
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
