//! Accepting an invitation: by a user who is no member yet, with the link's token and a verified address.

use serde_json::json;

use crate::{
    Actor, AuditEntry, ChangeAction, Grant, KeyId, Membership, MembershipStatus, Outcome,
    PermissionSet, ProjectAccess, Refusal, RefusalKind, StoreError, StoreErrorKind, Tenancy,
    TenantId, TenantKey, TenantRecord, Timestamp, UserId, VerifiedEmail,
    change::Change,
    engine::{
        Admin, Authority,
        author::Author,
        keys::configured,
        load::{ProjectForUser, ProjectOf, load},
    },
    invitation::{Acceptance, Accepted, Invitation, InvitationState, Inviter},
    key::{ApiKey, KeyState},
    one_time::OneTimeKind,
};

/// How often it is looked at again where the inviter's membership changes meanwhile.
const TRIES: usize = 3;

/// How many rotations of the inviter's key are followed at most.
const MAX_SUCCESSORS: usize = 100;

/// What a token leads to.
pub(super) enum Looked {
    /// An invitation that can be accepted.
    Open(Box<Invitation>),
    /// One that was accepted or revoked, or has expired; the token is right.
    Over(Box<Invitation>),
    /// Nothing, or an invitation of which it is not the newest token.
    Unknown,
}

impl Tenancy {
    /// Makes a user a member by an invitation: its token, and the user's verified address.
    ///
    /// The invitation is spent by that, and by nothing else. Of two who accept at once, one becomes a member. Its roles are
    /// looked at again: the inviter has to be an active member still, hold the permission by which it was made, and hold
    /// what the roles give. If not, the invitation stays open, and somebody else may send it anew.
    ///
    /// # Errors
    /// A [`Refusal`]:
    ///
    /// | status | [reason](Refusal::reason) | cause |
    /// |---|---|---|
    /// | 404 | `invitation-unknown` | the token is none, or not the newest one |
    /// | 404 | `invitation-other-address` | the address is not the one that was invited |
    /// | 404 | `invitation-over` | it was accepted or revoked, or has expired |
    /// | 409 | `invitation-already-member` | the user is a member, whose role stays; the invitation stays open |
    /// | 403 | `invitation-inviter` | the inviter may not give these roles any more |
    /// | 403 | `invitation-tenant` | the tenant is not served |
    /// | 429 | `invitation-attempts-spent` | the user has tried too many tokens that were none: 20 in a minute |
    /// | 503 | | the store did not answer |
    ///
    /// The three with 404 look alike to the caller. Each is recorded in the audit trail as `invitation.accept`, with its
    /// reason.
    ///
    /// # Security
    /// The user is believed: take the one of your session, and never one that a request names. The address has to be this
    /// user's.
    ///
    /// ```
    /// # use tenancy_core::{Refusal, Tenancy, UserId, VerifiedEmail};
    /// # async fn handler(tenancy: Tenancy, token: &str, me: UserId, email: VerifiedEmail) -> Result<(), Refusal> {
    /// match tenancy.accept_invitation(token, me, &email).await {
    ///     Ok(member) => println!("welcome to {}", member.tenant),
    ///     Err(refusal) if refusal.reason() == "invitation-already-member" => println!("you are in already"),
    ///     Err(refusal) => return Err(refusal),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn accept_invitation(
        &self,
        token: &str,
        user: UserId,
        email: &VerifiedEmail,
    ) -> Result<Membership, Refusal> {
        let now = self.clock().now();
        let inviting = self.inviting().map_err(|error| told(&error))?;
        let begun = inviting.attempts.by_user(user, now).map_err(|wait| {
            Refusal::new(RefusalKind::RateLimited, "invitation-attempts-spent")
                .with_retry_after(wait)
        })?;
        let no = |found: Option<&Invitation>, reason| {
            self.refuse(user, found, Refusal::new(RefusalKind::NotFound, reason))
        };
        let found = match self.look_at(token, now).await? {
            Looked::Unknown => return Err(no(None, "invitation-unknown")),
            Looked::Open(found) | Looked::Over(found) if found.email != *email.address() => {
                return Err(no(Some(&found), "invitation-other-address"));
            }
            Looked::Over(found) => return Err(no(Some(&found), "invitation-over")),
            Looked::Open(found) => found,
        };
        // Whoever was invited and tries again later has spent nothing.
        begun.take_back(now);
        self.accept(*found, user, now).await
    }

    async fn accept(
        &self,
        found: Invitation,
        user: UserId,
        now: Timestamp,
    ) -> Result<Membership, Refusal> {
        let refused =
            |kind, reason| Err(self.refuse(user, Some(&found), Refusal::new(kind, reason)));
        let tenant = self.tenant_of(&found).await?;
        if tenant.is_none_or(|tenant| !tenant.status.is_served()) {
            return refused(RefusalKind::TenantInactive, "invitation-tenant");
        }
        let reason = "accepted an invitation";
        let admin = Admin {
            author: Author {
                engine: self.clone(),
                authority: Authority::of_joining(user, "invitation", reason),
            },
        };
        for _ in 0..TRIES {
            let (inviter, key) = match answering(&admin, &found, now).await {
                Ok(answers) => answers,
                Err(error) if error.kind() == StoreErrorKind::Unavailable => {
                    return Err(told(&error));
                }
                Err(_) => return refused(RefusalKind::PermissionDenied, "invitation-inviter"),
            };
            let mut acceptance = Acceptance::new(found.clone(), user, inviter, now);
            acceptance.key = key;
            return match self.record_acceptance(&admin, &acceptance).await? {
                Accepted::Done => Ok(Membership::new(found.tenant, user, found.role)),
                Accepted::InviterChanged => continue,
                Accepted::Gone => Err(Refusal::new(RefusalKind::NotFound, "invitation-over")),
                Accepted::AlreadyMember => Err(Refusal::new(
                    RefusalKind::Conflict,
                    "invitation-already-member",
                )),
                Accepted::NotServed => Err(Refusal::new(
                    RefusalKind::TenantInactive,
                    "invitation-tenant",
                )),
            };
        }
        refused(RefusalKind::Unavailable, "invitation-inviter-changes")
    }

    /// Has the store decide. What it says no to is recorded as refused.
    async fn record_acceptance(
        &self,
        admin: &Admin,
        acceptance: &Acceptance,
    ) -> Result<Accepted, Refusal> {
        let invitation = &acceptance.invitation;
        let change = Change::new(ChangeAction::InvitationAccept, invitation.tenant)
            .to("invitation", invitation.id)
            .to("user", acceptance.user)
            .with(json!({ "role": invitation.role }));
        let mut said = None;
        let made = admin
            .author
            .make_as(change, Some(invitation.tenant), async |_, record| {
                let store = self.invitation_store()?;
                let accepted = store.accept_invitation(acceptance, &record).await?;
                said = Some(accepted);
                match accepted {
                    Accepted::Done => Ok(()),
                    no => Err(StoreError::new(
                        StoreErrorKind::Forbidden,
                        format!("the invitation was not accepted: {no:?}"),
                    )),
                }
            })
            .await;
        match (said, made) {
            (Some(said), _) => Ok(said),
            (None, Err(error)) => Err(told(&error)),
            (None, Ok(())) => Err(Refusal::new(RefusalKind::Internal, "invitation-undecided")),
        }
    }

    /// What a token leads to. Takes as long for one that leads nowhere.
    pub(super) async fn look_at(&self, token: &str, now: Timestamp) -> Result<Looked, Refusal> {
        let tokens = &self.inviting().map_err(|error| told(&error))?.tokens;
        let store = self.invitation_store().map_err(|error| told(&error))?;
        let Some(presented) = OneTimeKind::Invitation.read(token) else {
            return Ok(Looked::Unknown);
        };
        let id = crate::InvitationId::from_uuid(presented.id());
        let found = store.find_invitation(id).await;
        let Some(found) = found.map_err(|error| told(&error))? else {
            tokens.verify_nothing(&presented);
            return Ok(Looked::Unknown);
        };
        if !tokens.verify(&presented, &found.digest) {
            return Ok(Looked::Unknown);
        }
        Ok(match found.state_at(now) {
            InvitationState::Pending => Looked::Open(Box::new(found)),
            _ => Looked::Over(Box::new(found)),
        })
    }

    pub(super) async fn tenant_of(
        &self,
        found: &Invitation,
    ) -> Result<Option<TenantRecord>, Refusal> {
        let key = TenantKey::Id(found.tenant);
        let tenant = self.inner().directory.find_tenant(&key).await;
        tenant.map_err(|error| told(&StoreError::unavailable(error)))
    }

    /// Records a refusal.
    fn refuse(&self, user: UserId, found: Option<&Invitation>, refusal: Refusal) -> Refusal {
        let action = ChangeAction::InvitationAccept.as_str();
        let mut entry = AuditEntry::new(self.clock().now(), action, Outcome::Refused)
            .actor(Actor::User(user))
            .reason(refusal.reason());
        if let Some(found) = found {
            entry = entry.tenant(found.tenant).about("invitation", found.id);
        }
        self.audit().record(entry);
        refusal
    }
}

/// The member who answers for an invitation, who may still give what it gives, and the key by which; `None` where no member
/// has to.
async fn answering(
    admin: &Admin,
    found: &Invitation,
    now: Timestamp,
) -> Result<(Option<Membership>, Option<KeyId>), StoreError> {
    let (user, permission, key) = match &found.inviter {
        Inviter::Member { user, permission } => (*user, permission, None),
        Inviter::Key {
            key,
            user,
            permission,
        } => (*user, permission, Some(*key)),
        Inviter::Account(_) | Inviter::Operator(_) | Inviter::Service => return Ok((None, None)),
    };
    let engine = &admin.author.engine;
    let key = match key {
        Some(key) => Some(usable_key(engine, (found.tenant, user), key, now).await?),
        None => None,
    };
    let member = engine.inner().directory.find_membership(found.tenant, user);
    let member = member.await.map_err(StoreError::unavailable)?;
    let active = member.filter(|member| member.status == MembershipStatus::Active);
    let active = active.ok_or_else(|| gone("the inviter is no member any more"))?;
    let scope = match &key {
        Some(key) => {
            let scopes = key.scopes.iter().map(Grant::as_str);
            engine.permissions().scope(scopes)
        }
        None => PermissionSet::ALL,
    };
    admin
        .member_may_offer((&active, scope), permission, &found.role, &found.projects)
        .await?;
    let open_only = key.as_ref().is_some_and(|key| key.open_projects_only);
    for one in &found.projects {
        let place = (found.tenant, one.project, Some(user));
        let project = load::<ProjectOf>(engine, &place).await;
        let project = project.map_err(StoreError::unavailable)?;
        let (actor, role) = (Actor::User(user), Some(&active.role));
        let admits = |found: &ProjectForUser| {
            let is_open = found.project.access == ProjectAccess::Members;
            (is_open || !open_only) && found.admits(&actor, role)
        };
        if !project.is_some_and(|project| admits(&project)) {
            return Err(gone(
                "a project of the invitation does not admit the inviter any more",
            ));
        }
    }
    Ok((Some(active), key.map(|key| key.id)))
}

/// The key by which a member has invited, or the one that has taken its place, if it can be used now and is that member's.
async fn usable_key(
    engine: &Tenancy,
    (tenant, user): (TenantId, UserId),
    key: KeyId,
    now: Timestamp,
) -> Result<ApiKey, StoreError> {
    let directory = &configured(engine)?.config.directory;
    let mut next = Some(key);
    for _ in 0..MAX_SUCCESSORS {
        let Some(id) = next else { break };
        let found = directory.find_key(id).await;
        let found = found.map_err(StoreError::unavailable)?;
        let own = |key: &ApiKey| (key.id, key.tenant, key.creator) == (id, tenant, user);
        next = match found.filter(own) {
            Some(key) if key.state_at(now) == KeyState::Active => return Ok(key),
            Some(key) if key.state_at(now) == KeyState::Rotated => key.successor,
            _ => None,
        };
    }
    Err(gone(
        "the key by which somebody was invited can't be used any more",
    ))
}

fn gone(message: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Forbidden, message)
}

/// What a caller is told where the store did not decide.
pub(super) fn told(error: &StoreError) -> Refusal {
    match error.kind() {
        StoreErrorKind::Unavailable => {
            Refusal::new(RefusalKind::Unavailable, "directory-unavailable")
        }
        _ => {
            tracing::error!(%error, "an invitation can't be looked at");
            Refusal::new(RefusalKind::Misconfigured, "invitations-missing")
        }
    }
}
