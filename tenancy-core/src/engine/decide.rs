//! The decision: one synchronous function from facts and caches to an answer or to what is missing.
//!
//! Each step is the only way to the next: origin → credential → principal → tenant → membership → status →
//! role → project → context. What a store has answered for this very request lies in [`Loaded`] and
//! goes before the caches, so that each thing is loaded at most once per request.

mod agree;
mod impersonator;
#[cfg(feature = "argon2")]
mod imported;
mod interrupt;
mod key;
mod lookup;
mod page;
mod plan;
mod stranger;
mod token_revocation;
mod whole;

use std::{
    cell::{Cell, OnceCell},
    sync::{Arc, LazyLock},
};

pub(super) use interrupt::Interrupt;
use interrupt::{Step, refuse};

use super::{
    Admitted, Inner, Tenancy,
    admission_cache::AdmissionKey,
    context::Parts,
    facts::{PresentedCredential, RequestFacts},
    load::{Checked, Load, Loaded, ProjectForUser},
};
use crate::{
    Actor, AllowedTenants, Credential, PermissionSet, Plan, Principal, RefusalKind, RoleMask,
    RoleName, TenantContext, TenantId, TenantNeed, TenantRecord, TenantStatus, Timestamp, UserId,
    Verdict, cache::Probe, digest::Digest, engine::keys::CachedKey,
};

/// Decides about a request, or says what has to be loaded first.
pub(super) fn decide(
    engine: &Tenancy,
    facts: &RequestFacts<'_>,
    loaded: &Loaded,
    now: Timestamp,
) -> Step<Admitted> {
    match decide_for(engine, facts, loaded, now, false) {
        Err(Interrupt::Refused(refused)) if facts.pardons(refused.kind()) => {
            match decide_for(engine, facts, loaded, now, true) {
                // Whoever has no credential would be refused as well: then the trail has who it was.
                Err(Interrupt::Refused(_)) => Err(Interrupt::Refused(refused)),
                decided => decided,
            }
        }
        decided => decided,
    }
}

/// Decides about the caller, or about somebody who sends the same without a credential.
fn decide_for(
    engine: &Tenancy,
    facts: &RequestFacts<'_>,
    loaded: &Loaded,
    now: Timestamp,
    visitor: bool,
) -> Step<Admitted> {
    let decision = Decider {
        engine: engine.inner(),
        facts,
        loaded,
        now,
        visitor,
        read_at: Cell::new(loaded.began().unwrap_or(now)),
        belongs: Cell::new(false),
        entering: OnceCell::new(),
        verified_by: Cell::new(None),
        known_key: OnceCell::new(),
    };
    decision.readable_page()?;
    let asked = decision.asked();
    let context = |whole| TenantContext::new(engine.clone(), whole, facts.client.clone());
    if let Some(whole) = asked.and_then(|asked| decision.remembered_whole(asked)) {
        return Ok(Admitted::Tenant(context(whole)));
    }
    let before = engine.inner().versions.of_any();
    if let Some(whole) = decision.remembered_with_key()? {
        return Ok(Admitted::Tenant(context(whole)));
    }
    let principal = decision.principal()?;
    if let Some(principal) = &principal {
        decision.not_taken_back(principal)?;
    }
    let question = decision.question(principal.as_ref());
    if let (Some(question), Some(principal)) = (&question, &principal)
        && let Some(parts) = decision.remembered(question)?
    {
        let tenant = parts.tenant.id;
        decision
            .not_taken_back_in(principal, tenant)
            .map_err(|interrupt| interrupt.in_tenant(tenant).of_principal(principal))?;
        let whole = decision.whole(asked, principal, parts, before);
        return Ok(Admitted::Tenant(context(whole)));
    }
    let with_actor = |interrupt: Interrupt| match &principal {
        Some(principal) => interrupt.of_principal(principal),
        None => interrupt,
    };
    let decided = decision.context_parts(principal.as_ref());
    let Some(parts) = decided.map_err(with_actor)? else {
        return Ok(Admitted::NoTenant(principal));
    };
    let parts = Arc::new(parts);
    // Whose news was not told, nothing ends what would be kept about them.
    if let (Some(question), true) = (question, loaded.feed_answered() != Some(false)) {
        let inner = engine.inner();
        let before = loaded.answers_began().map_or(before, |(_, before)| before);
        inner
            .admissions
            .keep(question, &parts, &inner.versions, before, now);
    }
    let principal = principal.unwrap_or_else(anonymous);
    let whole = decision.whole(asked, &principal, parts, before);
    Ok(Admitted::Tenant(context(whole)))
}

/// The user whose membership counts, if one does.
pub(super) fn subject(principal: &Principal) -> Option<UserId> {
    match (&principal.actor, principal.on_behalf_of) {
        (Actor::User(user), _) => Some(*user),
        (Actor::Key(_), creator) => creator,
        // An operator has no rights of its own in a tenant.
        (Actor::Operator(_), impersonated) => impersonated,
        (Actor::Service(_) | Actor::Anonymous | Actor::System | Actor::Job(_), _) => None,
    }
}

struct Decider<'a> {
    engine: &'a Inner,
    facts: &'a RequestFacts<'a>,
    loaded: &'a Loaded,
    now: Timestamp,
    /// Whether the credential counts as none.
    visitor: bool,
    /// When the oldest answer began to be read, of those that were used.
    read_at: Cell<Timestamp>,
    /// Whether the tenant is known to be the caller's. Until then, nothing may tell that there is one.
    belongs: Cell<bool>,
    /// Who wants to enter a tenant, once that is what is being decided.
    entering: OnceCell<Option<Arc<Principal>>>,
    /// Which authenticator has verified the credential, if one has.
    verified_by: Cell<Option<usize>>,
    /// The key that was presented and can be used, and what stands for the rest of the question, if the answer
    /// can be remembered.
    known_key: OnceCell<(Arc<CachedKey>, Digest)>,
}

static ANONYMOUS: LazyLock<Arc<Principal>> = LazyLock::new(|| {
    let mut principal = Principal::new(Actor::Anonymous, AllowedTenants::Memberships, "anonymous");
    principal.scope = PermissionSet::EMPTY;
    Arc::new(principal)
});

/// The principal of a caller without a credential: nobody, with no permission.
fn anonymous() -> Arc<Principal> {
    Arc::clone(&ANONYMOUS)
}

impl Decider<'_> {
    /// What stands for the question, if it is one whose answer can be remembered.
    fn question(&self, principal: Option<&Arc<Principal>>) -> Option<Digest> {
        // Each entering makes a principal of its own, which nobody asks for again.
        let lasting = principal.is_some_and(|principal| !principal.actor.is_service_itself());
        if !lasting || self.facts.needs.tenant == TenantNeed::Central {
            return None;
        }
        let asking = AdmissionKey {
            principal: principal?,
            hints: self.facts.hints.as_ref().ok()?,
            project: self.facts.project.ok()?,
        };
        asking.digest()
    }

    /// The answer to the same question before.
    fn remembered(&self, question: &Digest) -> Step<Option<Arc<Parts>>> {
        let Inner {
            admissions,
            versions,
            ..
        } = self.engine;
        let known = || match admissions.get(question, versions, self.now) {
            Some(parts) => {
                let read_at = parts.read_at;
                Probe::Found(parts, read_at)
            }
            None => Probe::Unknown,
        };
        match self.cached(known)? {
            Probe::Found(parts, _) => Ok(Some(parts)),
            Probe::Absent | Probe::Unknown => Ok(None),
        }
    }

    /// Who is asking; `None` if nobody said and the route can do without.
    fn principal(&self) -> Step<Option<Arc<Principal>>> {
        self.not_of_another_site()?;
        if self.visitor {
            return Ok(None);
        }
        let credential = match &self.facts.presented {
            PresentedCredential::Nothing => {
                let needs = self.facts.needs;
                let dispensable = needs.anonymous || needs.tenant != TenantNeed::Required;
                return if dispensable {
                    Ok(None)
                } else {
                    refuse(RefusalKind::Unauthenticated, "credential-absent")
                };
            }
            PresentedCredential::Several => {
                return refuse(RefusalKind::Unauthenticated, "credential-repeated");
            }
            PresentedCredential::Fault(fault) => {
                return refuse(RefusalKind::Unauthenticated, fault.reason());
            }
            PresentedCredential::Text(text) => *text,
            PresentedCredential::OwnedText(text) => Credential::new(text),
            PresentedCredential::Established(principal) => {
                return self.holding(Arc::clone(principal));
            }
            PresentedCredential::Verified(principal) => return self.admitted_before(principal),
        };
        let source = (self.facts.source).and_then(|index| self.engine.sources.get(index));
        if let Some(keys) = &self.engine.keys
            && source.is_some_and(|source| source.keys)
            && keys.config.recognizes(credential.expose())
        {
            return self.holding(self.key_holder(keys, credential)?);
        }
        for &index in source.map_or(&[][..], |source| &source.authenticators) {
            let Some(authenticator) = self.engine.authenticators.get(index) else {
                continue;
            };
            let verdict = match self.loaded.get::<Checked>(&index) {
                Some(verdict) => verdict.clone(),
                None => authenticator.probe(credential, self.now),
            };
            return match verdict {
                Verdict::NotMine => continue,
                Verdict::Verified(principal) => {
                    self.verified_by.set(Some(index));
                    self.holding(principal)
                }
                Verdict::Rejected(rejection) => {
                    refuse(RefusalKind::Unauthenticated, rejection.reason())
                }
                Verdict::NeedsLookup => Err(Interrupt::Load(Load::of::<Checked>(index))),
            };
        }
        refuse(RefusalKind::Unauthenticated, "credential-unknown-kind")
    }

    /// Whoever was admitted before: a key is looked at again, anything else must still hold.
    fn admitted_before(&self, principal: &Arc<Principal>) -> Step<Option<Arc<Principal>>> {
        match (&principal.actor, &self.engine.keys) {
            (Actor::Key(id), Some(keys)) => self.holding(self.key_holder_again(keys, *id)?),
            (Actor::Operator(_), _) => self.holding(self.impersonator_again(principal)?),
            _ => self.holding(Arc::clone(principal)),
        }
    }

    /// A verified credential must hold now, also when it came from a cache.
    fn holding(&self, principal: Arc<Principal>) -> Step<Option<Arc<Principal>>> {
        // The service itself sends no credential, and nobody in particular has none.
        // A key is presented, and never vouched for by somebody else.
        let impossible = matches!(
            (&principal.actor, &self.facts.presented),
            (Actor::System | Actor::Job(_) | Actor::Anonymous, _)
                | (
                    Actor::Key(_) | Actor::Operator(_),
                    PresentedCredential::Established(_)
                )
        ) || matches!(principal.actor, Actor::Operator(_))
            && principal.impersonation.is_none();
        if impossible && !matches!(self.facts.presented, PresentedCredential::Verified(_)) {
            tracing::error!(
                issuer = %principal.issuer,
                actor = principal.actor.kind(),
                "a credential was taken for an actor that none can stand for"
            );
            return refuse(RefusalKind::Unauthenticated, "credential-actor");
        }
        if !self.is_for_tenants(&principal) {
            return refuse(RefusalKind::Unauthenticated, "credential-of-operators");
        }
        if principal.holds_at(self.now) {
            Ok(Some(principal))
        } else {
            refuse(RefusalKind::Unauthenticated, "credential-expired")
        }
    }

    /// Everything a context consists of; `None` if the request has no tenant and needs none.
    fn context_parts(&self, principal: Option<&Arc<Principal>>) -> Step<Option<Parts>> {
        let central = self.facts.needs.tenant == TenantNeed::Central;
        if central && principal.is_some_and(|principal| principal.impersonation.is_some()) {
            // What has no tenant is about the user's account, or about everybody.
            return refuse(
                RefusalKind::PermissionDenied,
                "impersonation-without-tenant",
            );
        }
        if central || (principal.is_none() && !self.facts.needs.anonymous) {
            self.page_of_a_tenant()?;
            if let Some(principal) = principal {
                self.not_taken_back_where_bound(principal)?;
            }
            return Ok(None);
        }
        self.not_turned_away(principal)?;
        self.parts_in_tenant(principal)
            .map_err(|interrupt| self.as_to_a_stranger(principal, interrupt))
    }

    /// The same where a tenant may be named.
    fn parts_in_tenant(&self, principal: Option<&Arc<Principal>>) -> Step<Option<Parts>> {
        self.entering.get_or_init(|| principal.cloned());
        let hinted = self.hinted_tenant()?;
        let Some(tenant) = self.agreed_tenant(principal, hinted)? else {
            return match self.facts.needs.tenant {
                TenantNeed::Required => refuse(RefusalKind::TenantRequired, "tenant-not-named"),
                _ => Ok(None),
            };
        };
        let id = tenant.id;
        self.parts_of(principal, tenant)
            .map(Some)
            .map_err(|interrupt| interrupt.in_tenant(id))
    }

    fn parts_of(
        &self,
        principal: Option<&Arc<Principal>>,
        tenant: Arc<TenantRecord>,
    ) -> Step<Parts> {
        let nobody = anonymous();
        let principal = principal.unwrap_or(&nobody);
        // Membership comes before status: a stranger does not learn that a tenant is suspended.
        // A key is worth what its creator's membership is worth now.
        let subject = subject(principal);
        if matches!(principal.actor, Actor::Key(_) | Actor::Operator(_)) && subject.is_none() {
            return refuse(RefusalKind::TenantNotFound, "key-without-creator");
        }
        let role = match subject {
            Some(user) => Some(self.membership(tenant.id, user)?.role.clone()),
            None => None,
        };
        self.belongs.set(principal.actor != Actor::Anonymous);
        self.not_taken_back_in(principal, tenant.id)?;
        match tenant.status {
            status if status.is_served() => {}
            TenantStatus::Deleted => {
                return refuse(RefusalKind::TenantNotFound, "tenant-deleted");
            }
            // A visitor who belongs to nobody learns no more than that there is nothing to see.
            _ if principal.actor == Actor::Anonymous => {
                return refuse(RefusalKind::TenantNotFound, "tenant-not-served");
            }
            TenantStatus::Suspended => {
                return refuse(RefusalKind::TenantSuspended, "tenant-suspended");
            }
            _ => return refuse(RefusalKind::TenantInactive, "tenant-inactive"),
        }
        let project = self.project(tenant.id, (principal, subject), role.as_ref())?;
        let mut permissions =
            self.permissions(principal, tenant.id, role.as_ref(), project.as_deref())?;
        let plan = self.plan(&tenant)?;
        let overrides = self.overrides(tenant.id)?;
        if self.engine.plans.is_some() && !principal.actor.is_service_itself() {
            let permitted = plan.as_ref().map_or(PermissionSet::EMPTY, Plan::permitted);
            permissions = permissions.intersection(permitted);
        }
        Ok(Parts {
            plan,
            overrides,
            tenant,
            // A key has no role of its own: whoever asks for a role must not get its creator's.
            role: role.filter(|_| principal.user().is_some() || principal.impersonation.is_some()),
            project: project.map(|access| access.project.id),
            permissions,
            read_at: self.read_at.get(),
        })
    }

    fn permissions(
        &self,
        principal: &Principal,
        tenant: TenantId,
        role: Option<&RoleName>,
        project: Option<&ProjectForUser>,
    ) -> Step<PermissionSet> {
        let Some(role) = role else {
            return Ok(match principal.actor {
                Actor::Service(_) | Actor::System | Actor::Job(_) => principal.scope,
                Actor::User(_) | Actor::Key(_) | Actor::Operator(_) | Actor::Anonymous => {
                    PermissionSet::EMPTY
                }
            });
        };
        let table = self.roles(tenant)?;
        // A role that is gone may have carried a denial; nobody knows, so nothing is allowed.
        let mask = |role: &RoleName| {
            table.mask(role).unwrap_or_else(|| {
                tracing::warn!(tenant.id = %tenant, role = %role, "unknown role: nothing is allowed");
                RoleMask::SEALED
            })
        };
        let in_project = project.and_then(|access| access.role.as_ref());
        let combined = match in_project {
            Some(project_role) => mask(role).combine(mask(project_role)),
            None => mask(role),
        };
        Ok(combined.effective().intersection(principal.scope))
    }
}
