//! A change, by the engine that remembers or by another, of whose changes it is told.

use std::time::Duration;

use ipnet::IpNet;

use super::world::{Issued, World};
use crate::{
    Directory, DirectoryStore, Grant, Membership, ProjectAccess, ProjectMembership, RoleName, Slug,
    StoreError, StoreErrorKind, SystemRole, Tenancy, TenantId, TokenSubject, UserId,
    key::{KeyStore, NewKey},
};

impl<D: Directory + DirectoryStore + KeyStore + Clone> World<D> {
    /// Changes something, in this process or in another whose news is heard of before the next request.
    ///
    /// A change that is refused, such as one of a key that is revoked, is none.
    pub(super) async fn change(&mut self) {
        let elsewhere = self.random.one_in(2).then(|| self.fresh());
        let tenant = self.random.of(&self.tenants).id;
        let user = *self.random.of(&self.users);
        match self.random.below(24) {
            0..=13 => {
                self.change_directory(elsewhere.as_ref(), tenant, user)
                    .await
            }
            14..=20 => self.change_keys(elsewhere.as_ref(), tenant, user).await,
            21 | 22 => self.bind_a_domain(elsewhere.as_ref()).await,
            _ => self.change_a_name(elsewhere.as_ref()).await,
        }
        if elsewhere.is_some() {
            self.engine.catch_up().await.unwrap();
        }
    }

    async fn change_directory(
        &mut self,
        elsewhere: Option<&Tenancy>,
        tenant: TenantId,
        user: UserId,
    ) {
        let role = self.role();
        let what = self.random.below(14);
        if what == 11 {
            self.replace_an_issuer();
        }
        let of = match self.random.below(8) {
            0 => TokenSubject::Tenant(tenant),
            1 => TokenSubject::Issuer(self.plain.as_str().into()),
            _ => TokenSubject::User(user),
        };
        let project = self.random.of(&self.projects).clone();
        let seldom = self.random.one_in(3);
        let admin = elsewhere
            .unwrap_or(&self.engine)
            .admin(crate::testing::service());
        match what {
            0 => drop(admin.suspend(tenant).await),
            1 | 2 => drop(admin.activate(tenant).await),
            3..=7 => {
                let member = Membership::new(tenant, user, role);
                but_for_the_last_owner(admin.put_membership(&member).await);
            }
            8 => but_for_the_last_owner(admin.remove_membership(tenant, user).await),
            9 if seldom => {
                let done = admin.remove_project_membership(project.tenant, project.id, user);
                done.await.unwrap();
            }
            9 => {
                let member = ProjectMembership::new(project.tenant, project.id, user, role);
                let _ = admin.put_project_membership(&member).await;
            }
            10 if seldom => admin.revoke_tokens(&of).await.unwrap(),
            10 => {
                let access = match self.random.one_in(2) {
                    true => ProjectAccess::RoleOnly,
                    false => ProjectAccess::Members,
                };
                let done = admin.put_project(&project.with_access(access)).await;
                done.unwrap();
            }
            _ => {}
        }
    }

    /// Takes a tenant's slug or a domain away, or gives it back.
    async fn change_a_name(&mut self, elsewhere: Option<&Tenancy>) {
        let tenant = self.random.of(&self.tenants).clone();
        let another: Slug = format!("a{}", tenant.slug).parse().unwrap();
        let (own, domain) = (tenant.slug.clone(), self.domain_of(tenant.id));
        let slug = self
            .random
            .of(&[own.clone(), own.clone(), own, another])
            .clone();
        let of_domain = self.random.one_in(3);
        let admin = elsewhere
            .unwrap_or(&self.engine)
            .admin(crate::testing::service());
        if of_domain {
            admin.unbind_domain(tenant.id, &domain).await.unwrap();
        } else {
            admin.set_slug(tenant.id, &slug).await.unwrap();
        }
    }

    async fn change_keys(&mut self, elsewhere: Option<&Tenancy>, tenant: TenantId, user: UserId) {
        // Most changes make keys, because others end them for good.
        let what = self.random.below(24);
        if what < 10 {
            self.issue(elsewhere).await;
            return;
        }
        let scopes = self.scopes();
        let seldom = self.random.one_in(3);
        let overlap = *self.random.of(&[0, 1, 30, 300]);
        let key = self.random.of(&self.keys);
        let (of, id) = (key.tenant, key.id);
        let keys = elsewhere
            .unwrap_or(&self.engine)
            .keys()
            .unwrap()
            .by(crate::testing::service());
        match what {
            10..=12 => {
                let rotated = keys.rotate(of, id, Duration::from_secs(overlap)).await;
                if let Ok(issued) = rotated {
                    self.keep(&issued);
                }
            }
            13..=15 => drop(keys.set_scopes(of, id, scopes).await),
            16 => drop(keys.set_networks(of, id, [network()]).await),
            17 => drop(keys.set_networks(of, id, []).await),
            18 => drop(keys.disable(of, id).await),
            19 => drop(keys.enable(of, id).await),
            20 => drop(keys.rename(of, id, "another name").await),
            21 => drop(keys.revoke(of, id).await),
            22 if seldom => drop(keys.revoke_creator(user).await),
            23 if seldom => drop(keys.revoke_tenant(tenant).await),
            _ => {}
        }
    }

    /// Issues a key, if the user who is drawn is a member of the tenant that is drawn.
    pub(super) async fn issue(&mut self, elsewhere: Option<&Tenancy>) {
        let tenant = self.random.of(&self.tenants).id;
        let user = *self.random.of(&self.users);
        let mut new = NewKey::new(tenant, user, "a key", self.scopes());
        if self.random.one_in(4) {
            let life = *self.random.of(&[5, 40, 300]);
            new = new.expires_at(self.now() + Duration::from_secs(life));
        }
        if self.random.one_in(4) {
            new = new.network(network());
        }
        if self.random.one_in(6) {
            new = new.project(self.random.of(&self.projects).id);
        }
        let keys = elsewhere
            .unwrap_or(&self.engine)
            .keys()
            .unwrap()
            .by(crate::testing::service());
        if let Ok(issued) = keys.issue(new).await {
            self.keep(&issued);
        }
    }

    fn keep(&mut self, issued: &crate::key::IssuedKey) {
        self.keys.push(Issued {
            tenant: issued.record().tenant,
            id: issued.record().id,
            text: issued.expose().to_owned(),
        });
        // The oldest go, so that most of those that are used still hold.
        if self.keys.len() > 6 {
            self.keys.remove(0);
        }
    }

    fn role(&mut self) -> RoleName {
        let roles = [SystemRole::Viewer, SystemRole::Member, SystemRole::Owner];
        self.random.of(&roles).name()
    }

    fn scopes(&mut self) -> Vec<Grant> {
        let scopes = ["*", "notes:read", "notes:write"];
        vec![self.random.of(&scopes).parse().unwrap()]
    }
}

/// The one of two addresses from which the model sends.
fn network() -> IpNet {
    "192.0.2.0/24".parse().unwrap()
}

/// A change that is made, unless it would leave the tenant without an owner.
fn but_for_the_last_owner(done: Result<(), StoreError>) {
    if let Err(error) = done {
        assert_eq!(error.kind(), StoreErrorKind::Conflict, "{error}");
    }
}
