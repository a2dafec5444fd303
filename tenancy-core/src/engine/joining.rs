//! Joining by the domain of a verified address: what is offered, and who becomes a member.

use serde_json::json;

use super::{Admin, Authority, Tenancy, author::Author};
use crate::{
    ChangeAction, Membership, Refusal, RefusalKind, RoleName, StoreError, StoreErrorKind, TenantId,
    TenantKey, UserId, VerifiedEmail,
    change::Change,
    domain_join::{DomainJoin, DomainJoinStore, DomainJoined, JoinMode},
};

/// A tenant that somebody may join by the domain of their address.
///
/// ```
/// use tenancy_core::DomainOffer;
///
/// fn shown(offer: &DomainOffer) -> String {
///     format!("Join {} as {}", offer.tenant_name, offer.role)
/// }
/// # let _ = shown;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DomainOffer {
    /// The tenant.
    pub tenant: TenantId,
    /// Its name for people to read.
    pub tenant_name: String,
    /// The role that it gives.
    pub role: RoleName,
}

/// What the domain of somebody's address has led to: from [`Tenancy::join_by_domain`].
///
/// ```
/// use tenancy_core::JoinedByDomain;
///
/// assert!(JoinedByDomain::default().joined.is_none());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct JoinedByDomain {
    /// The membership that was added, if there was an automatic rule, and a seat.
    pub joined: Option<Membership>,
    /// The tenants that the user may join: see [`Tenancy::take_domain_offer`].
    pub suggested: Vec<DomainOffer>,
}

impl Tenancy {
    /// Makes a user a member of the tenant that has the domain of this address for
    /// [automatic](JoinMode::Automatic) joins, and tells up to 100 tenants that suggest themselves. Where several have it for
    /// automatic joins, it is the one that has had it so for longest and is served; the others count as suggested. Where the user is a member
    /// already, or the tenant is not served or has no seat left, nobody joins there, and that is no error.
    ///
    /// # Errors
    /// A [`Refusal`] with status 503 if the store does not answer, and 500 if the engine has no store of rules.
    ///
    /// # Security
    /// The user is believed, and the address has to be this user's. The names of tenants with a rule are told to whoever
    /// has an address at their domain.
    pub async fn join_by_domain(
        &self,
        user: UserId,
        email: &VerifiedEmail,
    ) -> Result<JoinedByDomain, Refusal> {
        let mut answer = JoinedByDomain::default();
        // Of several tenants that have the domain so, the first one that is served.
        let mut has_automatic = false;
        for rule in self.rules_of(email).await? {
            let Some((name, is_member)) = self.served(&rule, user).await? else {
                continue;
            };
            let joins = rule.mode == JoinMode::Automatic && !has_automatic;
            has_automatic |= joins;
            if is_member {
                continue;
            }
            if joins {
                match self.join(&rule, user).await {
                    Ok(member) => answer.joined = Some(member),
                    Err(refusal) if refusal.kind() == RefusalKind::Unavailable => {
                        return Err(refusal);
                    }
                    Err(refusal) => tracing::debug!(%refusal, "nobody joined by a domain"),
                }
                continue;
            }
            answer.suggested.push(DomainOffer {
                tenant: rule.tenant,
                tenant_name: name,
                role: rule.role,
            });
        }
        Ok(answer)
    }

    /// Makes a user a member of a tenant that has a rule for the domain of this address.
    ///
    /// # Errors
    /// A [`Refusal`]: 404 `domain-offer-unknown` if there is no such rule, 409 `domain-already-member`, 402 if all seats are
    /// taken, 403 if the tenant is not served, 503 if the store does not answer.
    ///
    /// # Security
    /// As for [`join_by_domain`](Self::join_by_domain). The tenant may be one that a request names: the rule decides.
    ///
    /// ```
    /// # use tenancy_core::{Refusal, Tenancy, TenantId, UserId, VerifiedEmail};
    /// # async fn handler(tenancy: Tenancy, me: UserId, email: VerifiedEmail, chosen: TenantId) -> Result<(), Refusal> {
    /// let member = tenancy.take_domain_offer(me, &email, chosen).await?;
    /// println!("welcome as {}", member.role);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn take_domain_offer(
        &self,
        user: UserId,
        email: &VerifiedEmail,
        tenant: TenantId,
    ) -> Result<Membership, Refusal> {
        let store = self.domain_joins().map_err(|error| told(&error))?;
        let found = store
            .find_domain_join(tenant, email.address().domain())
            .await;
        match found.map_err(|error| told(&error))? {
            Some(rule) => self.join(&rule, user).await,
            None => Err(Refusal::new(RefusalKind::NotFound, "domain-offer-unknown")),
        }
    }

    async fn rules_of(&self, email: &VerifiedEmail) -> Result<Vec<DomainJoin>, Refusal> {
        let store = self.domain_joins().map_err(|error| told(&error))?;
        let found = store.find_domain_joins(email.address().domain()).await;
        found.map_err(|error| told(&error))
    }

    fn domain_joins(&self) -> Result<&dyn DomainJoinStore, StoreError> {
        self.inner().stores.domain_join_store()
    }

    /// The name of a rule's tenant, if the tenant is served, and whether the user is a member of it.
    async fn served(
        &self,
        rule: &DomainJoin,
        user: UserId,
    ) -> Result<Option<(String, bool)>, Refusal> {
        let directory = &self.inner().directory;
        let unavailable = |error| told(&StoreError::unavailable(error));
        let tenant = directory.find_tenant(&TenantKey::Id(rule.tenant)).await;
        let Some(tenant) = tenant.map_err(unavailable)? else {
            return Ok(None);
        };
        let member = directory.find_membership(rule.tenant, user).await;
        let is_member = member.map_err(unavailable)?.is_some();
        let served = tenant.status.is_served();
        Ok(served.then_some((tenant.name, is_member)))
    }

    async fn join(&self, rule: &DomainJoin, user: UserId) -> Result<Membership, Refusal> {
        let reason = "joined by the domain of a verified address";
        let admin = Admin {
            author: Author {
                engine: self.clone(),
                authority: Authority::of_joining(user, "domain", reason),
            },
        };
        let change = Change::new(ChangeAction::DomainJoin, rule.tenant)
            .to("domain", &rule.domain)
            .to("user", user)
            .with(json!({ "role": rule.role }));
        let mut said = None;
        let made = admin
            .author
            .make_as(change, Some(rule.tenant), async |_, record| {
                // Its role may have been defined anew since the rule was made.
                if !admin.is_member_like(rule.tenant, &rule.role).await? {
                    said = Some(DomainJoined::Gone);
                    return no(DomainJoined::Gone);
                }
                let seats = admin.seats(rule.tenant).await?;
                let limit = seats.as_ref().map(|seats| seats.limit);
                let store = self.domain_joins()?;
                let joined = store.join_by_domain(rule, user, limit, &record).await?;
                said = Some(joined);
                match (joined, &seats) {
                    (DomainJoined::Done, _) => Ok(()),
                    (DomainJoined::Full { taken }, Some(seats)) => Err(seats.full(taken)),
                    (joined, _) => no(joined),
                }
            })
            .await;
        let refused = |kind, reason| Err(Refusal::new(kind, reason));
        match (said, made) {
            (_, Ok(())) => Ok(Membership::new(rule.tenant, user, rule.role.clone())),
            (Some(DomainJoined::AlreadyMember), _) => {
                refused(RefusalKind::Conflict, "domain-already-member")
            }
            (Some(DomainJoined::NotServed), _) => {
                refused(RefusalKind::TenantInactive, "domain-tenant")
            }
            (Some(DomainJoined::Gone), _) => refused(RefusalKind::NotFound, "domain-offer-unknown"),
            (_, Err(error)) => Err(error.refusal().cloned().unwrap_or_else(|| told(&error))),
        }
    }
}

/// What makes the trail say that it was refused.
fn no(joined: DomainJoined) -> Result<(), StoreError> {
    let message = format!("nobody has joined: {joined:?}");
    Err(StoreError::new(StoreErrorKind::Forbidden, message))
}

/// What a caller is told where the store did not decide.
fn told(error: &StoreError) -> Refusal {
    match error.kind() {
        StoreErrorKind::Unavailable => {
            Refusal::new(RefusalKind::Unavailable, "directory-unavailable")
        }
        _ => {
            tracing::error!(%error, "nobody can join by a domain");
            Refusal::new(RefusalKind::Misconfigured, "domain-joins-missing")
        }
    }
}
