//! Provisioning: a tenant with all that it begins with, in one transaction.

use serde_json::{Value, json};

use super::{Admin, grants::mask, name::check_name};
use crate::{
    ChangeAction, ChangeRecord, Membership, NewTenant, Project, ProjectMembership,
    ProvisionedBefore, RoleMask, RoleName, StoreError, StoreErrorKind, TenantKey, TenantRecord,
    TenantStatus,
    change::Change,
    engine::{author::event, authority::Who, keys::minted},
    key::{IssuedKey, NewKey},
    provisioning::{Idempotency, Provisioned, Provisioning, ProvisioningStore},
};

impl Admin {
    /// Makes a tenant with its owner, and with what else it is to begin with: names, plan, settings, a first project, a
    /// first API key, and the owner's account. All of it is one transaction with its entry and its events, so that what
    /// fails or is cancelled leaves nothing. The tenant is active at once.
    ///
    /// The outbox has an event for each part, as if each had been made by itself, and `tenant.provisioned`: that is the one
    /// for a welcome mail, or a space in another system. It has the ids of tenant, owner, project and key, the slug, the
    /// name and the plan.
    ///
    /// With an [idempotency key](Provisioning::idempotency_key), a request that is repeated gets the tenant that it has
    /// made, also if two arrive at once.
    ///
    /// What a tenant holds is not charged: where the plan limits projects or members, the first ones are counted as the
    /// application counts others.
    ///
    /// # Errors
    /// [`StoreErrorKind::Conflict`] if the slug rests or is taken, or a name, the account's address or subject is, or if
    /// the idempotency key was used for another request. [`StoreErrorKind::NotFound`] if there is no such plan.
    /// [`StoreErrorKind::Invalid`] if a name or the key can't be, or the role of the owner is none of those that a new tenant
    /// has. [`StoreErrorKind::Forbidden`] on a caller's authority,
    /// which is good for the caller's own tenant: a sign-up is the [service](crate::danger::service)'s.
    /// [`StoreErrorKind::ReadOnly`] if a key is asked for, and the engine has no [keys](crate::TenancyBuilder::keys).
    ///
    /// ```
    /// # use tenancy_core::{StoreError, StoreErrorKind, Tenancy, UserId};
    /// use tenancy_core::{Provisioning, danger};
    ///
    /// # async fn sign_up(tenancy: Tenancy, alice: UserId, form_key: String) -> Result<(), Box<dyn std::error::Error>> {
    /// let acme = Provisioning::new("acme".parse()?, "Acme Ltd", alice)
    ///     .plan("trial")
    ///     .project("general".parse()?, "General")
    ///     .idempotency_key(form_key);
    /// match tenancy.admin(danger::service("signed up")?).provision(&acme).await {
    ///     Err(taken) if taken.kind() == StoreErrorKind::Conflict => println!("choose another address"),
    ///     made => println!("made {}", made?.tenant),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn provision(&self, wanted: &Provisioning) -> Result<Provisioned, StoreError> {
        wanted.check()?;
        let signs_in = wanted.account.is_some() || wanted.first_key.is_some();
        if signs_in && matches!(self.author.authority.who, Who::Staff(_)) {
            let message = "an operator makes a tenant without an account and without a key: whoever has these acts as \
                           the owner";
            return Err(StoreError::new(StoreErrorKind::Forbidden, message));
        }
        self.is_first_role(&wanted.role)?;
        check_name(&wanted.name)?;
        if let Some((_, name)) = &wanted.project {
            check_name(name)?;
        }
        let idempotency = wanted.idempotency(self.author.authority.actor());
        let stores = self.stores();
        if let Some(of) = &idempotency {
            // Whoever may not make a tenant is told of none.
            if self.author.permits(None, None).await.is_ok()
                && let Some(before) = made_before(stores.provisioning_store()?, of).await?
            {
                return Ok(before.into());
            }
        }
        let plan = self.resolved_plan(wanted.plan.as_deref()).await?;
        let (unit, first_key) = self.unit(wanted, plan, idempotency)?;
        let made = self
            .make(summary(&unit), async |record| {
                let store = stores.provisioning_store()?;
                store.provision(&unit, &with_events(record, &unit)?).await
            })
            .await;
        match (made, &idempotency) {
            (Ok(()), _) => Ok(Provisioned {
                tenant: unit.tenant.id,
                owner: unit.owner.user,
                project: unit.project.map(|project| project.id),
                key: unit.key.map(|key| key.id),
                first_key,
                replayed: false,
            }),
            // Another one with the same key may have been first.
            (Err(taken), Some(of)) if taken.kind() == StoreErrorKind::Conflict => {
                let before = made_before(stores.provisioning_store()?, of).await?;
                before.map(Provisioned::from).ok_or(taken)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Refuses a role that a tenant without roles of its own does not have: nobody would get in.
    fn is_first_role(&self, role: &RoleName) -> Result<(), StoreError> {
        let roles = &self.author.engine.inner().base_roles;
        if mask(roles, Some(role)) != RoleMask::SEALED {
            return Ok(());
        }
        let usable = |role: &&RoleName| mask(roles, Some(role)) != RoleMask::SEALED;
        let usable: Vec<_> = roles.roles().filter(usable).map(RoleName::as_str).collect();
        let message = format!(
            "a new tenant has no role `{role}`, so that its owner could do nothing; give `Provisioning::role` one of \
             these: {}",
            usable.join(", ")
        );
        Err(StoreError::new(StoreErrorKind::Invalid, message))
    }

    fn unit(
        &self,
        wanted: &Provisioning,
        plan: Option<String>,
        idempotency: Option<Idempotency>,
    ) -> Result<(NewTenant, Option<IssuedKey>), StoreError> {
        let engine = &self.author.engine;
        let now = engine.clock().now();
        let mut tenant = TenantRecord::new(wanted.slug.clone(), wanted.name.clone())
            .with_status(TenantStatus::Active)
            .with_settings(wanted.settings.clone());
        tenant.plan = plan;
        tenant.created_at = now;
        let id = tenant.id;
        let owner = Membership::new(id, wanted.owner, wanted.role.clone());
        let mut unit = NewTenant::new(tenant, owner);
        unit.names.clone_from(&wanted.names);
        unit.account.clone_from(&wanted.account);
        unit.idempotency = idempotency;
        if let Some((slug, name)) = &wanted.project {
            let project = Project::new(id, slug.clone(), name.clone());
            let role = wanted.role.clone();
            let member = ProjectMembership::new(id, project.id, wanted.owner, role);
            unit.project = Some(project);
            unit.project_membership = Some(member);
        }
        let mut first_key = None;
        if let Some((name, scopes)) = &wanted.first_key {
            let new = NewKey::new(id, wanted.owner, name, scopes.iter().cloned());
            let issued = minted(engine, new, now)?;
            unit.key = Some(issued.record().clone());
            first_key = Some(issued);
        }
        Ok((unit, first_key))
    }
}

/// What was made with this key before; a conflict if that was something else.
async fn made_before(
    store: &dyn ProvisioningStore,
    of: &Idempotency,
) -> Result<Option<ProvisionedBefore>, StoreError> {
    let before = store.find_provisioned(&of.key).await?;
    if before
        .as_ref()
        .is_some_and(|before| before.request != of.request)
    {
        return Err(StoreError::new(
            StoreErrorKind::Conflict,
            "the idempotency key was used for another request; make a new key for each request, and send it again \
             only with what it was first sent with",
        ));
    }
    Ok(before)
}

fn summary(unit: &NewTenant) -> Change {
    let tenant = &unit.tenant;
    let mut change = Change::new(ChangeAction::TenantProvision, tenant.id)
        .to("tenant", tenant.id)
        .to("user", unit.owner.user);
    if let Some(project) = &unit.project {
        change = change.to("project", project.id);
    }
    if let Some(key) = &unit.key {
        change = change.to("key", key.id);
    }
    change.with(json!({ "slug": tenant.slug, "name": tenant.name, "plan": tenant.plan }))
}

/// The record with the events that each part has where it is made by itself.
fn with_events(mut record: ChangeRecord, unit: &NewTenant) -> Result<ChangeRecord, StoreError> {
    let id = unit.tenant.id;
    let of = |action| Change::new(action, id);
    let mut parts = vec![
        of(ChangeAction::TenantCreate)
            .to("tenant", id)
            .with(json!({ "slug": unit.tenant.slug, "plan": unit.tenant.plan })),
        of(ChangeAction::MembershipPut)
            .to("user", unit.owner.user)
            .with(json!({ "role": unit.owner.role, "status": unit.owner.status.as_str() })),
    ];
    if let Some(account) = &unit.account {
        parts.push(of(ChangeAction::AccountCreate).to("user", account.user));
    }
    for name in &unit.names {
        parts.extend(match name {
            TenantKey::Domain(domain) => {
                Some(of(ChangeAction::TenantBindDomain).to("domain", domain))
            }
            TenantKey::External { provider, id } => Some(
                of(ChangeAction::TenantBindExternal)
                    .to("external-id", id)
                    .with(json!({ "provider": provider })),
            ),
            _ => None,
        });
    }
    if let Some(project) = &unit.project {
        let (slug, archived): (_, Value) = (&project.slug, project.archived.into());
        parts.push(
            of(ChangeAction::ProjectPut)
                .to("project", project.id)
                .with(json!({ "slug": slug, "archived": archived, "access": project.access })),
        );
    }
    if let Some(member) = &unit.project_membership {
        parts.push(
            of(ChangeAction::ProjectMembershipPut)
                .to("project", member.project)
                .to("user", member.user)
                .with(json!({ "role": member.role })),
        );
    }
    if let Some(key) = &unit.key {
        parts.push(of(ChangeAction::KeyIssue).to("key", key.id));
    }
    // What tells of the whole comes last: whoever acts on it finds that the parts were told.
    let whole = std::mem::take(&mut record.events);
    for part in &parts {
        if let Some(kind) = part.action.event() {
            record = record.event(event(kind, part)?);
        }
    }
    record.events.extend(whole);
    Ok(record)
}
