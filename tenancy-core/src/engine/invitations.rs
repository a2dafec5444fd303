//! `Invitations`: made, sent anew, changed, revoked and listed on somebody's authority.

mod accept;
mod attempts;
mod mail;
mod preview;

use std::collections::HashMap;

use serde_json::json;

pub use mail::InvitationMail;
pub use preview::InvitationPreview;

use self::attempts::Attempts;
use super::{
    Admin, Authority, Tenancy, TenantContext,
    author::{Stale, event},
};
use crate::{
    ChangeAction, ChangeRecord, InvitationId, OperatorRight, RoleName, StoreError, StoreErrorKind,
    TenantId,
    change::Change,
    invitation::{
        Invitation, InvitationBatch, InvitationChange, InvitationFilter, InvitationState,
        InvitationStore, Invited, NewInvitation, ProjectRole, Seated,
    },
    one_time::{OneTimeId, OneTimeKind, OneTimeTokens},
};

/// How many invitations a page holds at most.
const MAX_PAGE: u32 = 1_000;

/// What an engine needs for invitations.
pub(super) struct Inviting {
    tokens: OneTimeTokens,
    attempts: Attempts,
}

impl Inviting {
    pub(super) fn new(tokens: OneTimeTokens) -> Self {
        Self {
            tokens,
            attempts: Attempts::new(),
        }
    }
}

/// Changes and lists the [invitations](crate::invitation) of tenants on somebody's [authority](Authority); made by
/// [`Tenancy::invitations`].
///
/// Each change is one transaction, with its entry in the audit trail and its event in the [outbox](crate::outbox):
/// `invitation.created`, `invitation.resent`, `invitation.changed`, `invitation.revoked`, `invitation.accepted`. An
/// event has the id and the role, and neither the address nor the token: see [`mail`](Self::mail).
///
/// # Errors
/// Besides what each method names: [`StoreErrorKind::Forbidden`] if the authority is not good for the change, or the roles
/// are more than the caller [may grant](crate::RoleTable::may_grant); [`StoreErrorKind::ReadOnly`] if the engine was built
/// without [invitations](crate::TenancyBuilder::invitations) or has no store of them.
///
/// ```
/// # use tenancy_core::{EmailAddress, StoreError, Tenancy, TenantContext, invitation::NewInvitation};
/// # async fn handler(tenancy: Tenancy, context: TenantContext, email: EmailAddress) -> Result<(), Box<dyn std::error::Error>> {
/// let invitations = tenancy.invitations(context.authority("members:invite")?);
/// let new = NewInvitation::new(context.tenant_id(), email, "viewer".parse()?);
/// let invitation = invitations.invite(&new).await?;
/// invitations.revoke(context.tenant_id(), invitation.id).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Invitations {
    admin: Admin,
}

/// What became of one address of many.
///
/// ```
/// use tenancy_core::InviteOutcome;
///
/// fn told(outcome: &InviteOutcome) -> String {
///     match outcome {
///         InviteOutcome::Invited(invitation) => format!("{} is invited", invitation.email),
///         InviteOutcome::AlreadyInvited => "has an invitation that is open".to_owned(),
///         InviteOutcome::NoSeat(full) => full.to_string(),
///         _ => "was not invited".to_owned(),
///     }
/// }
/// # let _ = told;
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum InviteOutcome {
    /// The invitation was made.
    Invited(Box<Invitation>),
    /// The address has an invitation to this tenant that is open, or stands in the list before.
    AlreadyInvited,
    /// All seats are taken.
    NoSeat(StoreError),
}

impl Tenancy {
    /// The invitations of tenants, on somebody's authority.
    pub fn invitations(&self, authority: Authority) -> Invitations {
        Invitations {
            admin: self.admin(authority),
        }
    }

    pub(in crate::engine) fn inviting(&self) -> Result<&Inviting, StoreError> {
        self.inner().invitations.as_ref().ok_or_else(|| {
            let message = "this engine has no invitations; give it tokens for them with \
                           `TenancyBuilder::invitations`";
            StoreError::new(StoreErrorKind::ReadOnly, message)
        })
    }

    pub(in crate::engine) fn invitation_store(&self) -> Result<&dyn InvitationStore, StoreError> {
        self.inner().stores.invitation_store()
    }
}

impl Invitations {
    /// How many addresses are invited at once at most: 1,000.
    pub const MAX_AT_ONCE: usize = 1_000;

    /// Invites an address.
    ///
    /// # Errors
    /// [`StoreErrorKind::Conflict`] if the address has an invitation to this tenant that is open: send that one
    /// [anew](Self::resend). [`StoreErrorKind::LimitReached`] if all [seats](crate::TenancyBuilder::seats) are taken,
    /// [`StoreErrorKind::Invalid`] if it would last for too long or names too many projects,
    /// [`StoreErrorKind::NotFound`] if there is no such tenant or project.
    ///
    /// # Security
    /// Whether the address belongs to a member already is not known here, because members are users and not addresses.
    /// That shows when the invitation is accepted. Limit how often the route may be called: each call sends a mail to an
    /// address that the caller chooses.
    pub async fn invite(&self, new: &NewInvitation) -> Result<Invitation, StoreError> {
        let outcomes = self
            .invite_all(new.tenant, std::slice::from_ref(new))
            .await?;
        match outcomes.into_iter().next() {
            Some(InviteOutcome::Invited(invitation)) => Ok(*invitation),
            Some(InviteOutcome::NoSeat(full)) => Err(full),
            Some(InviteOutcome::AlreadyInvited) | None => Err(StoreError::new(
                StoreErrorKind::Conflict,
                "this address has an invitation that is open; send that one anew, or revoke it",
            )),
        }
    }

    /// Invites up to [1,000](Self::MAX_AT_ONCE) addresses in one transaction: one outcome for each, in their order. What
    /// an address is refused for, the others are not. There is one entry in the audit trail, and an event for each
    /// invitation.
    ///
    /// # Errors
    /// As for [`invite`](Self::invite) what concerns all of them: then none is invited. So it is if the caller may not give
    /// one of the roles.
    pub async fn invite_all(
        &self,
        tenant: TenantId,
        new: &[NewInvitation],
    ) -> Result<Vec<InviteOutcome>, StoreError> {
        self.check(tenant, new)?;
        if new.is_empty() {
            return Ok(Vec::new());
        }
        let (engine, now) = (self.engine(), self.engine().clock().now());
        let inviter = self.admin.author.authority.inviter();
        let invitations = new.iter().map(|one| {
            let id = InvitationId::new();
            let token = OneTimeId::new(OneTimeKind::Invitation, id.as_uuid());
            let digest = engine.inviting()?.tokens.digest(token);
            let (email, role) = (one.email.clone(), one.role.clone());
            let ends = now + one.lifetime;
            let inviter = inviter.clone();
            let mut made = Invitation::new(id, tenant, email, role, inviter, digest, now, ends);
            made.projects.clone_from(&one.projects);
            Ok(made)
        });
        let invitations: Vec<_> = invitations.collect::<Result<_, StoreError>>()?;
        let mut change = Change::new(ChangeAction::InvitationCreate, tenant);
        for one in &invitations {
            change = change.to("invitation", one.id);
        }
        change = match invitations.as_slice() {
            [one] => change.with(json!({ "role": one.role })),
            many => change.with(json!({ "count": many.len() })),
        };
        self.make(change, async |caller, record: ChangeRecord| {
            self.know_projects(caller.as_ref(), tenant, &invitations)
                .await?;
            if let Some(caller) = &caller {
                self.may_offer_all(caller, &invitations).await?;
            }
            let seats = self.admin.seats(tenant).await?;
            let record = with_event_for_each(record, &invitations)?;
            let batch = InvitationBatch::new(tenant, invitations, record, now);
            let limit = seats.as_ref().map(|seats| seats.limit);
            let store = engine.invitation_store()?;
            let outcomes = store.add_invitations(&batch, limit).await?;
            let each = batch.invitations.into_iter().zip(outcomes);
            Ok(each
                .map(|(one, outcome)| match (outcome, &seats) {
                    (Invited::Added, _) => InviteOutcome::Invited(Box::new(one)),
                    (Invited::NoSeat { taken }, Some(seats)) => {
                        InviteOutcome::NoSeat(seats.full(taken))
                    }
                    _ => InviteOutcome::AlreadyInvited,
                })
                .collect())
        })
        .await
    }

    /// Sends an open invitation anew, also one that has expired: its link before is wrong from then on, and it lasts for
    /// as long as it did at first. Whoever sends it anew answers for it from then on.
    ///
    /// # Errors
    /// [`StoreErrorKind::NotFound`] if this tenant has no such invitation, [`StoreErrorKind::Conflict`] if it was
    /// accepted or revoked or has changed meanwhile, [`StoreErrorKind::LimitReached`] if it had expired and all seats are
    /// taken.
    pub async fn resend(
        &self,
        tenant: TenantId,
        id: InvitationId,
    ) -> Result<Invitation, StoreError> {
        let engine = self.engine();
        let change = of_one(ChangeAction::InvitationResend, tenant, id);
        self.make(change, async |caller, record| {
            let found = self.open(tenant, id).await?;
            if let Some(caller) = &caller {
                let found = std::slice::from_ref(&found);
                self.know_projects(Some(caller), tenant, found).await?;
                self.may_offer_all(caller, found).await?;
            }
            let now = engine.clock().now();
            let change = InvitationChange::Resend {
                digest: engine.inviting()?.tokens.digest(found.token().rotated()),
                inviter: self.admin.author.authority.inviter(),
                at: now,
                expires_at: now + found.expires_at.since(found.sent_at),
            };
            self.change(found, &change, &record).await
        })
        .await
    }

    /// Has an open invitation give other roles. Needs no seat. Whoever changes it answers for it from then on.
    ///
    /// # Errors
    /// As for [`resend`](Self::resend). [`StoreErrorKind::Forbidden`] also where the roles before are more than the caller
    /// may give.
    pub async fn set_roles(
        &self,
        tenant: TenantId,
        id: InvitationId,
        role: &RoleName,
        projects: &[ProjectRole],
    ) -> Result<Invitation, StoreError> {
        let change =
            of_one(ChangeAction::InvitationSetRoles, tenant, id).with(json!({ "role": role }));
        self.make(change, async |caller, record| {
            let found = self.open(tenant, id).await?;
            let change = InvitationChange::SetRoles {
                role: role.clone(),
                projects: projects.to_vec(),
                inviter: self.admin.author.authority.inviter(),
            };
            let changed = change.of(found.clone());
            let both = [found.clone(), changed];
            match &caller {
                Some(caller) => {
                    self.know_projects(Some(caller), tenant, &both).await?;
                    self.may_offer_all(caller, &both).await?;
                }
                None => {
                    let [_, changed] = &both;
                    self.know_projects(None, tenant, std::slice::from_ref(changed))
                        .await?;
                }
            }
            self.change(found, &change, &record).await
        })
        .await
    }

    /// Takes an open invitation back. Its seat is free again.
    ///
    /// # Errors
    /// As for [`resend`](Self::resend).
    pub async fn revoke(
        &self,
        tenant: TenantId,
        id: InvitationId,
    ) -> Result<Invitation, StoreError> {
        let change = of_one(ChangeAction::InvitationRevoke, tenant, id);
        self.make(change, async |_, record| {
            let found = self.open(tenant, id).await?;
            self.change(found, &InvitationChange::Revoke, &record).await
        })
        .await
    }

    /// A tenant's invitations in the order of their ids, which is that in which they were made. A page holds 1,000 at
    /// most and begins behind `after`; the one that is empty is the last.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer.
    ///
    /// ```
    /// # use tenancy_core::{StoreError, Tenancy, TenantContext, UserId};
    /// use tenancy_core::invitation::{InvitationFilter, InvitationState};
    ///
    /// # async fn handler(tenancy: Tenancy, context: TenantContext, ann: UserId) -> Result<(), Box<dyn std::error::Error>> {
    /// let invitations = tenancy.invitations(context.authority("members:invite")?);
    /// let now = tenancy.clock().now();
    /// let open = InvitationFilter::new().state(InvitationState::Pending, now).of_inviter(ann);
    /// for one in invitations.list(context.tenant_id(), &open, None, 100).await? {
    ///     println!("{} was invited as {}", one.email, one.role);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn list(
        &self,
        tenant: TenantId,
        filter: &InvitationFilter,
        after: Option<InvitationId>,
        limit: u32,
    ) -> Result<Vec<Invitation>, StoreError> {
        self.admin
            .author
            .may_list(
                "invitations",
                OperatorRight::ReadTenants,
                (Some(tenant), None),
            )
            .await?;
        let store = self.engine().invitation_store()?;
        store
            .list_invitations(tenant, filter, after, limit.min(MAX_PAGE))
            .await
    }

    const fn engine(&self) -> &Tenancy {
        &self.admin.author.engine
    }

    fn check(&self, tenant: TenantId, new: &[NewInvitation]) -> Result<(), StoreError> {
        let invalid = |message| Err(StoreError::new(StoreErrorKind::Invalid, message));
        if new.len() > Self::MAX_AT_ONCE {
            return invalid(
                "1,000 addresses are invited at once at most; invite the others after these",
            );
        }
        if new.iter().any(|one| one.tenant != tenant) {
            return invalid("all addresses of one call are invited into one tenant");
        }
        self.engine().inviting()?;
        new.iter().try_for_each(NewInvitation::check)
    }

    /// Whether a caller may give all of these. Many give the same.
    async fn may_offer_all(
        &self,
        caller: &TenantContext,
        invitations: &[Invitation],
    ) -> Result<(), StoreError> {
        let mut looked_at: HashMap<&RoleName, Vec<&[ProjectRole]>> = HashMap::new();
        for one in invitations {
            let seen = looked_at.entry(&one.role).or_default();
            if !seen.contains(&one.projects.as_slice()) {
                self.admin
                    .may_offer(caller, &one.role, &one.projects)
                    .await?;
                seen.push(&one.projects);
            }
        }
        Ok(())
    }

    /// Whether the projects are the tenant's.
    async fn know_projects(
        &self,
        caller: Option<&TenantContext>,
        tenant: TenantId,
        invitations: &[Invitation],
    ) -> Result<(), StoreError> {
        let named = invitations.iter().flat_map(|one| &one.projects);
        let mut projects: Vec<_> = named.map(|one| one.project).collect();
        projects.sort_unstable();
        projects.dedup();
        for project in projects {
            if let Some(caller) = caller {
                self.admin.author.admits(caller, project).await?;
                continue;
            }
            let directory = &self.engine().inner().directory;
            let found = directory.find_project(tenant, project).await;
            if found.map_err(StoreError::unavailable)?.is_none() {
                let message = format!("there is no project `{project}` in tenant `{tenant}`");
                return Err(StoreError::new(StoreErrorKind::NotFound, message));
            }
        }
        Ok(())
    }

    /// An invitation of this tenant that is neither accepted nor revoked.
    async fn open(&self, tenant: TenantId, id: InvitationId) -> Result<Invitation, StoreError> {
        let found = self
            .engine()
            .invitation_store()?
            .find_invitation(id)
            .await?;
        match found.filter(|one| one.tenant == tenant) {
            Some(one) if one.state == InvitationState::Pending => Ok(one),
            Some(one) => Err(StoreError::new(
                StoreErrorKind::Conflict,
                format!(
                    "the invitation is {} already; invite the address again",
                    one.state
                ),
            )),
            None => Err(StoreError::new(
                StoreErrorKind::NotFound,
                format!("there is no invitation `{id}` in tenant `{tenant}`"),
            )),
        }
    }

    async fn change(
        &self,
        found: Invitation,
        change: &InvitationChange,
        record: &ChangeRecord,
    ) -> Result<Invitation, StoreError> {
        // Only what was without a seat may need one.
        let seats = match change {
            InvitationChange::Resend { .. } => self.admin.seats(found.tenant).await?,
            InvitationChange::SetRoles { .. } | InvitationChange::Revoke => None,
        };
        let limit = seats.as_ref().map(|seats| seats.limit);
        let store = self.engine().invitation_store()?;
        match store
            .change_invitation(&found, change, limit, record)
            .await?
        {
            Some(Seated::Done) => Ok(change.of(found)),
            Some(full) => match &seats {
                Some(seats) => seats.seated(full).map(|()| found),
                None => Err(changed_meanwhile()),
            },
            None => Err(changed_meanwhile()),
        }
    }

    /// Makes a change. Invitations are not cached, so nothing is stale afterwards.
    async fn make<T>(
        &self,
        change: Change,
        store: impl AsyncFnOnce(Option<TenantContext>, ChangeRecord) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let author = &self.admin.author;
        author.make_as(change, Stale::Nothing, store).await
    }
}

fn of_one(action: ChangeAction, tenant: TenantId, id: InvitationId) -> Change {
    Change::new(action, tenant).to("invitation", id)
}

/// An event for each invitation, in the place of the one for all.
fn with_event_for_each(
    mut record: ChangeRecord,
    invitations: &[Invitation],
) -> Result<ChangeRecord, StoreError> {
    record.events.clear();
    let action = ChangeAction::InvitationCreate;
    for one in invitations {
        let of_it = of_one(action, one.tenant, one.id).with(json!({ "role": one.role }));
        if let Some(kind) = action.event() {
            record = record.event(event(kind, &of_it)?);
        }
    }
    Ok(record)
}

fn changed_meanwhile() -> StoreError {
    StoreError::new(
        StoreErrorKind::Conflict,
        "the invitation has changed meanwhile; look at it again",
    )
}
