//! Changes: what is written with one, in its transaction.

mod caller;

use std::fmt;

use serde_json::{Value, json};

pub use caller::CallerSeen;

use crate::{AuditEntry, AuditTarget, OperatorRight, ProjectId, TenantId, outbox::NewEvent};

/// What a store writes in the transaction of a change: the entry in the audit trail, and the events; and whom it looks at
/// again there.
///
/// The engine makes it from the [`Authority`](crate::Authority) that makes the change; a store writes it as it is.
///
/// A store writes both parts in the transaction of the change. This is what it is given:
///
/// ```
///
/// use tenancy_core::{AuditEntry, ChangeRecord, Clock as _, Outcome, SystemClock, outbox::NewEvent};
///
/// let entry = AuditEntry::new(SystemClock.now(), "tenant.rename", Outcome::Allowed);
/// let event = NewEvent::new("tenant.renamed", serde_json::json!({ "name": "Acme" }))?;
/// let record = ChangeRecord::new(entry).event(event);
/// assert_eq!(record.events[0].cause(), Some(record.entry.id));
/// # Ok::<(), tenancy_core::outbox::InvalidEvent>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ChangeRecord {
    /// Who made which change, to what.
    pub entry: AuditEntry,
    /// What consumers of the outbox are told.
    pub events: Vec<NewEvent>,
    /// The member on whose authority the change is made, whom a store [looks at again](CallerSeen::check) in the
    /// transaction; `None` where it is no member's, or the change is one of that membership itself.
    pub caller: Option<CallerSeen>,
}

impl ChangeRecord {
    /// A record without events.
    #[must_use]
    pub const fn new(entry: AuditEntry) -> Self {
        Self {
            entry,
            events: Vec::new(),
            caller: None,
        }
    }

    /// The same, made by a member who is looked at again.
    #[must_use]
    pub fn by(mut self, caller: CallerSeen) -> Self {
        self.caller = Some(caller);
        self
    }

    /// The same with an event, caused by the entry.
    #[must_use]
    pub fn event(mut self, event: NewEvent) -> Self {
        self.events.push(event.caused_by(self.entry.id));
        self
    }

    /// The part of a change of many tenants that befell one of them, with how many things it concerned
    /// there: an entry of its own, and the events.
    #[must_use]
    pub fn for_tenant(&self, tenant: TenantId, count: u64) -> Self {
        let mut entry = self.entry.clone();
        entry.id = uuid::Uuid::now_v7();
        entry.tenant = Some(tenant);
        entry.details = Some(json!({ "part_of": self.entry.id, "count": count }));
        let events = self.events.iter().map(|event| {
            let event = event.copy_of_tenant(tenant, json!({ "count": count }));
            event.caused_by(entry.id)
        });
        Self {
            events: events.collect(),
            entry,
            caller: None,
        }
    }
}

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident: $action:literal $(=> $event:literal)?,)+) => {
        /// What is done by changing something. The names are those in the audit trail.
        ///
        /// ```
        /// use tenancy_core::ChangeAction;
        ///
        /// let action = ChangeAction::TenantCreate;
        /// assert_eq!((action.as_str(), action.event()), ("tenant.create", Some("tenant.created")));
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ChangeAction {
            $($(#[$doc])* $variant,)+
        }

        impl ChangeAction {
            /// Every action.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name in the audit trail, such as `tenant.create`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $action,)+
                }
            }

            /// The kind of the event that tells of it, such as `tenant.created`; `None` if none does.
            #[must_use]
            pub const fn event(self) -> Option<&'static str> {
                match self {
                    $(Self::$variant => actions!(@event $($event)?),)+
                }
            }
        }
    };
    (@event $event:literal) => { Some($event) };
    (@event) => { None };
}

actions! {
    /// A tenant was added.
    TenantCreate: "tenant.create" => "tenant.created",
    /// A tenant was made with its owner, and with all that it begins with.
    TenantProvision: "tenant.provision" => "tenant.provisioned",
    /// A tenant's status was moved.
    TenantSetStatus: "tenant.set-status" => "tenant.status-changed",
    /// A tenant's settings were replaced.
    TenantSetSettings: "tenant.set-settings" => "tenant.settings-changed",
    /// A tenant was put on another plan.
    TenantSetPlan: "tenant.set-plan" => "tenant.plan-changed",
    /// A tenant was given another name for people to read.
    TenantRename: "tenant.rename" => "tenant.renamed",
    /// A tenant was given another slug.
    TenantSetSlug: "tenant.set-slug" => "tenant.slug-changed",
    /// A custom domain was made to name a tenant.
    TenantBindDomain: "tenant.bind-domain" => "tenant.domain-bound",
    /// A custom domain names its tenant no more.
    TenantUnbindDomain: "tenant.unbind-domain" => "tenant.domain-unbound",
    /// Another system's id was made to name a tenant.
    TenantBindExternal: "tenant.bind-external" => "tenant.external-id-bound",
    /// Another system's id names its tenant no more.
    TenantUnbindExternal: "tenant.unbind-external" => "tenant.external-id-unbound",
    /// A membership was added or replaced.
    MembershipPut: "membership.put" => "membership.changed",
    /// A membership was removed.
    MembershipRemove: "membership.remove" => "membership.removed",
    /// A member was given another role.
    MembershipSetRole: "membership.set-role" => "membership.role-changed",
    /// A member was suspended.
    MembershipSuspend: "membership.suspend" => "membership.suspended",
    /// A suspended member was made active again.
    MembershipResume: "membership.resume" => "membership.resumed",
    /// A member left of its own accord.
    MembershipLeave: "membership.leave" => "membership.removed",
    /// An owner offered the ownership to another member.
    OwnershipOffer: "ownership.offer" => "ownership.offered",
    /// A member accepted the ownership.
    OwnershipAccept: "ownership.accept" => "ownership.transferred",
    /// A member declined the ownership.
    OwnershipDecline: "ownership.decline" => "ownership.declined",
    /// An offer of the ownership was taken back.
    OwnershipWithdraw: "ownership.withdraw" => "ownership.withdrawn",
    /// Addresses were invited.
    InvitationCreate: "invitation.create" => "invitation.created",
    /// An invitation was sent anew.
    InvitationResend: "invitation.resend" => "invitation.resent",
    /// An invitation was made to give other roles.
    InvitationSetRoles: "invitation.set-roles" => "invitation.changed",
    /// An invitation was taken back.
    InvitationRevoke: "invitation.revoke" => "invitation.revoked",
    /// Somebody has become a member by an invitation.
    InvitationAccept: "invitation.accept" => "invitation.accepted",
    /// People with an address at a domain were let join.
    DomainJoinPut: "domain-join.put" => "domain-join.changed",
    /// They were let join no more.
    DomainJoinRemove: "domain-join.remove" => "domain-join.removed",
    /// Somebody has become a member by the domain of their address.
    DomainJoin: "domain-join.join" => "domain-join.joined",
    /// A project was added or replaced.
    ProjectPut: "project.put" => "project.changed",
    /// A project was removed.
    ProjectRemove: "project.remove" => "project.removed",
    /// A user was given a role in a project.
    ProjectMembershipPut: "project-membership.put" => "project-membership.changed",
    /// A user's role in a project was taken away.
    ProjectMembershipRemove: "project-membership.remove" => "project-membership.removed",
    /// A role of a tenant's own was added or replaced.
    RolePut: "role.put" => "role.changed",
    /// A role of a tenant's own was removed.
    RoleRemove: "role.remove" => "role.removed",
    /// A tenant was given a limit of its own.
    LimitOverridePut: "limit-override.put" => "limit-override.changed",
    /// A limit of a tenant's own was taken back.
    LimitOverrideRemove: "limit-override.remove" => "limit-override.removed",
    /// What a tenant had before it was counted is counted now.
    HeldImport: "held.import",
    /// A version of a stored plan was added.
    PlanAddVersion: "plan.add-version" => "plan.version-added",
    /// Tokens were taken back.
    TokenRevoke: "token.revoke" => "token.revoked",
    /// TokenRevocations that concern no token any more were forgotten.
    TokenForget: "token.forget",
    /// A tenant was made to trust an issuer of tokens.
    IssuerPut: "issuer.put" => "issuer.changed",
    /// A tenant trusts an issuer no more.
    IssuerRemove: "issuer.remove" => "issuer.removed",
    /// Somebody got an account of the service.
    AccountCreate: "account.create" => "account.created",
    /// An account was given another password.
    AccountSetPassword: "account.set-password" => "account.password-changed",
    /// An account was disabled.
    AccountDisable: "account.disable" => "account.disabled",
    /// An account was enabled again.
    AccountEnable: "account.enable" => "account.enabled",
    /// An account was linked with somebody at an identity provider.
    AccountLink: "account.link" => "account.linked",
    /// An account was parted from somebody at an identity provider.
    AccountUnlink: "account.unlink" => "account.unlinked",
    /// Somebody has asked to reset the password of an address.
    PasswordResetRequest: "account.request-reset" => "account.reset-requested",
    /// A password was reset.
    PasswordResetUse: "account.reset-password" => "account.password-reset",
    /// An API key was issued.
    KeyIssue: "key.issue" => "key.issued",
    /// A key of another system was taken over.
    KeyImport: "key.import" => "key.imported",
    /// A key was put in another's place.
    KeyRotate: "key.rotate" => "key.rotated",
    /// A key was renamed.
    KeyRename: "key.rename" => "key.changed",
    /// A key's scopes were replaced.
    KeySetScopes: "key.set-scopes" => "key.changed",
    /// The networks from which a key may be used were replaced.
    KeySetNetworks: "key.set-networks" => "key.changed",
    /// The limits that a key has of its own were replaced.
    KeySetLimits: "key.set-limits" => "key.changed",
    /// What the application keeps with a key was replaced.
    KeySetMetadata: "key.set-metadata" => "key.changed",
    /// A key was switched off.
    KeyDisable: "key.disable" => "key.changed",
    /// A key was switched on.
    KeyEnable: "key.enable" => "key.changed",
    /// A key was revoked.
    KeyRevoke: "key.revoke" => "key.revoked",
    /// All keys of a tenant were revoked.
    KeyRevokeTenant: "key.revoke-tenant" => "key.revoked",
    /// All keys whose text begins alike were revoked.
    KeyRevokePrefix: "key.revoke-prefix" => "key.revoked",
    /// All keys that a user has made were revoked.
    KeyRevokeCreator: "key.revoke-creator" => "key.revoked",
    /// An operator was added, or its record replaced.
    OperatorPut: "operator.put" => "operator.changed",
    /// An operator began to act as a user of a tenant, or asked for an approval.
    ImpersonationStart: "impersonation.start" => "impersonation.started",
    /// A second operator approved an impersonation.
    ImpersonationApprove: "impersonation.approve" => "impersonation.approved",
    /// An impersonation was ended before its time.
    ImpersonationEnd: "impersonation.end" => "impersonation.ended",
    /// A tenant agreed to impersonations for a while.
    SupportAccessGrant: "support-access.grant" => "support-access.granted",
    /// A tenant agrees to impersonations no more.
    SupportAccessRevoke: "support-access.revoke" => "support-access.revoked",
    /// Old entries of the trail were removed.
    TrailPrune: "trail.prune" => "trail.pruned",
    /// What the trail had about a person was erased.
    TrailErase: "trail.erase" => "trail.erased",
}

impl ChangeAction {
    /// The right that an operator needs to do it; `None` if no operator may.
    pub(crate) const fn operator_right(self) -> Option<OperatorRight> {
        use OperatorRight as Right;
        Some(match self {
            Self::TenantCreate
            | Self::TenantProvision
            | Self::TenantSetStatus
            | Self::TenantSetSettings
            | Self::TenantRename
            | Self::TenantSetSlug
            | Self::TenantBindDomain
            | Self::TenantUnbindDomain
            | Self::TenantBindExternal
            | Self::TenantUnbindExternal
            | Self::ProjectPut
            | Self::ProjectRemove => Right::ChangeTenants,
            Self::MembershipPut
            | Self::MembershipRemove
            | Self::MembershipSetRole
            | Self::MembershipSuspend
            | Self::MembershipResume
            | Self::OwnershipWithdraw
            | Self::InvitationCreate
            | Self::InvitationResend
            | Self::InvitationSetRoles
            | Self::InvitationRevoke
            | Self::DomainJoinPut
            | Self::DomainJoinRemove
            | Self::AccountEnable
            | Self::AccountUnlink
            | Self::ProjectMembershipPut
            | Self::ProjectMembershipRemove
            | Self::RolePut
            | Self::RoleRemove
            | Self::IssuerRemove => Right::ChangeAccess,
            Self::TenantSetPlan
            | Self::LimitOverridePut
            | Self::LimitOverrideRemove
            | Self::HeldImport
            | Self::PlanAddVersion => Right::ChangePlans,
            // Whoever gets the text of a key acts as its creator, and whoever runs an issuer signs tokens of any member.
            Self::KeyIssue | Self::KeyImport | Self::KeyRotate | Self::IssuerPut => return None,
            Self::KeyRename
            | Self::KeySetScopes
            | Self::KeySetNetworks
            | Self::KeySetLimits
            | Self::KeySetMetadata
            | Self::KeyEnable => Right::ManageKeys,
            Self::TokenRevoke
            | Self::TokenForget
            | Self::KeyDisable
            | Self::KeyRevoke
            | Self::KeyRevokeTenant
            | Self::KeyRevokePrefix
            | Self::KeyRevokeCreator
            | Self::AccountDisable => Right::Revoke,
            Self::OperatorPut => Right::ManageOperators,
            Self::ImpersonationStart => Right::Impersonate,
            Self::ImpersonationApprove => Right::ApproveImpersonations,
            Self::ImpersonationEnd => Right::EndImpersonations,
            // Who could remove what was recorded of it.
            Self::TrailPrune | Self::TrailErase => return None,
            // What a tenant agrees to is the tenant's to say.
            Self::SupportAccessGrant | Self::SupportAccessRevoke => return None,
            // The member's own to do, or that of whoever becomes one.
            Self::MembershipLeave
            | Self::OwnershipOffer
            | Self::OwnershipAccept
            | Self::OwnershipDecline
            | Self::InvitationAccept
            | Self::DomainJoin => return None,
            // Whoever sets a password, or says how somebody signs in, is the user from then on.
            Self::AccountCreate
            | Self::AccountSetPassword
            | Self::AccountLink
            | Self::PasswordResetRequest
            | Self::PasswordResetUse => return None,
        })
    }

    /// Whether it makes what somebody acts with as a user: the text of a key, or trust in an issuer of tokens.
    pub(crate) const fn speaks_for_a_user(self) -> bool {
        matches!(
            self,
            Self::KeyIssue | Self::KeyImport | Self::KeyRotate | Self::IssuerPut
        )
    }

    /// Whether the membership itself is changed of the user who is named.
    pub(crate) const fn changes_a_membership(self) -> bool {
        matches!(
            self,
            Self::MembershipPut
                | Self::MembershipRemove
                | Self::MembershipSetRole
                | Self::MembershipSuspend
                | Self::MembershipResume
        )
    }

    /// Whether somebody who acts as a user may do it on that user's authority. What gives or takes access, takes money
    /// or agrees to something is the user's own.
    pub(crate) const fn may_be_done_as_somebody_else(self) -> bool {
        matches!(
            self,
            Self::TenantSetSettings
                | Self::TenantRename
                | Self::ProjectPut
                | Self::ImpersonationEnd
        )
    }
}

impl fmt::Display for ChangeAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A change that is about to be made: what, where, to what.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) action: ChangeAction,
    /// The tenant that it concerns; `None` for one that concerns several.
    pub(crate) tenant: Option<TenantId>,
    /// The project in which it stays; `None` for one that concerns the tenant as a whole.
    pub(crate) project: Option<ProjectId>,
    /// Whether it concerns nothing but the caller's own place in the tenant.
    pub(crate) own: bool,
    pub(crate) targets: Vec<AuditTarget>,
    pub(crate) details: Value,
}

impl Change {
    pub(crate) fn new(action: ChangeAction, tenant: impl Into<Option<TenantId>>) -> Self {
        Self {
            action,
            tenant: tenant.into(),
            project: None,
            own: false,
            targets: Vec::new(),
            details: Value::Null,
        }
    }

    /// The same, which concerns nothing outside of a project.
    pub(crate) const fn within(mut self, project: Option<ProjectId>) -> Self {
        self.project = project;
        self
    }

    /// The same, which concerns nothing but the caller's own place in the tenant.
    pub(crate) const fn own(mut self) -> Self {
        self.own = true;
        self
    }

    /// The same, done to this.
    pub(crate) fn to(mut self, kind: &'static str, id: impl fmt::Display) -> Self {
        self.targets.push(AuditTarget::new(kind, id.to_string()));
        self
    }

    /// The same, with what else there is to say.
    pub(crate) fn with(mut self, details: Value) -> Self {
        self.details = details;
        self
    }
}
