//! Writing the directory in memory.

use async_trait::async_trait;

use super::{
    MemoryDirectory,
    list::{page, place},
};
use crate::{
    ChangeRecord, DomainName, NameStore, Project, ProjectFilter, ProjectId, ProjectMembership,
    ProjectStore, RevocationStore, RevokedBefore, RoleDefinition, RoleName, RoleSeen, RoleStore,
    RoleTable, Settings, Slug, StoreError, StoreErrorKind, TenantFilter, TenantId, TenantKey,
    TenantRecord, TenantStatus, TenantStore, Timestamp, TokenSubject, UserId, invitation::Inviter,
};

#[async_trait]
impl TenantStore for MemoryDirectory {
    async fn create_tenant(
        &self,
        tenant: &TenantRecord,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            let slug = TenantKey::Slug(tenant.slug.clone());
            if state.tenants.contains_key(&tenant.id) || state.names.contains_key(&slug) {
                let taken = format!(
                    "the id `{}` or the slug `{}` is taken",
                    tenant.id, tenant.slug
                );
                return Err(StoreError::new(StoreErrorKind::Conflict, taken));
            }
            state.take_slug(tenant.id, &tenant.slug, self.outbox.now())?;
            state.names.insert(slug, tenant.id);
            state.tenants.insert(tenant.id, tenant.clone());
            state.note_change(tenant.id);
            Ok(())
        })
    }

    async fn set_status(
        &self,
        tenant: TenantId,
        to: TenantStatus,
        record: &ChangeRecord,
    ) -> Result<TenantRecord, StoreError> {
        self.change(record, |state| {
            let record = state.tenant(tenant)?;
            record.status = record.status.transition_to(to)?;
            state.touch(tenant)?;
            state.tenant(tenant).cloned()
        })
    }

    async fn set_settings(
        &self,
        tenant: TenantId,
        settings: &Settings,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            state.tenant(tenant)?.settings = Settings::new(settings.as_json().clone());
            state.touch(tenant)
        })
    }

    async fn set_plan(
        &self,
        tenant: TenantId,
        plan: Option<&str>,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            state.tenant(tenant)?.plan = plan.map(str::to_owned);
            state.touch(tenant)
        })
    }

    async fn replace_plan(
        &self,
        tenant: TenantId,
        from: Option<&str>,
        plan: Option<&str>,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            let known = &mut state.tenant(tenant)?.plan;
            if known.as_deref() != from {
                return Err(StoreError::other_plan());
            }
            *known = plan.map(str::to_owned);
            state.touch(tenant)
        })
    }

    async fn rename(
        &self,
        tenant: TenantId,
        name: &str,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            name.clone_into(&mut state.tenant(tenant)?.name);
            state.touch(tenant)
        })
    }

    async fn set_slug(
        &self,
        tenant: TenantId,
        slug: &Slug,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            let before = state.tenant(tenant)?.slug.clone();
            let after = TenantKey::Slug(slug.clone());
            if state.names.get(&after).is_some_and(|id| *id != tenant) {
                let taken = format!("the slug `{slug}` is taken");
                return Err(StoreError::new(StoreErrorKind::Conflict, taken));
            }
            if before != *slug {
                state.replace_slug(tenant, &before, slug, self.outbox.now())?;
            }
            state.names.remove(&TenantKey::Slug(before));
            state.names.insert(after, tenant);
            state.tenant(tenant)?.slug = slug.clone();
            state.touch(tenant)
        })
    }

    async fn list_tenants(
        &self,
        filter: &TenantFilter,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantRecord>, StoreError> {
        let state = self.read();
        let these = state
            .tenants
            .values()
            .filter(|tenant| filter.matches(tenant));
        Ok(page(these, |tenant| tenant.id, after, limit))
    }
}

#[async_trait]
impl NameStore for MemoryDirectory {
    async fn bind_domain(
        &self,
        tenant: TenantId,
        domain: &DomainName,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            state.bind(TenantKey::Domain(domain.clone()), tenant)
        })
    }

    async fn bind_external(
        &self,
        tenant: TenantId,
        provider: &str,
        id: &str,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            state.bind(
                TenantKey::External {
                    provider: provider.into(),
                    id: id.into(),
                },
                tenant,
            )
        })
    }

    async fn unbind_domain(
        &self,
        tenant: TenantId,
        domain: &DomainName,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            state.unbind(&TenantKey::Domain(domain.clone()), tenant)
        })
    }

    async fn unbind_external(
        &self,
        tenant: TenantId,
        provider: &str,
        id: &str,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        let external = TenantKey::External {
            provider: provider.into(),
            id: id.into(),
        };
        self.change(record, |state| state.unbind(&external, tenant))
    }

    async fn list_names(
        &self,
        tenant: TenantId,
        after: Option<&TenantKey>,
        limit: u32,
    ) -> Result<Vec<TenantKey>, StoreError> {
        let state = self.read();
        let own = state.names.iter().filter(|(_, owner)| **owner == tenant);
        let further = own.map(|(name, _)| name).filter(|name| place(name).0 > 0);
        Ok(page(further, place, after.map(place), limit))
    }
}

#[async_trait]
impl ProjectStore for MemoryDirectory {
    async fn put_project(
        &self,
        project: &Project,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            let clash = state.projects.values().any(|other| {
                (other.id == project.id && other.tenant != project.tenant)
                    || (other.tenant == project.tenant
                        && other.slug == project.slug
                        && other.id != project.id)
            });
            if clash {
                let taken = format!(
                    "the id `{}` or the slug `{}` is taken",
                    project.id, project.slug
                );
                return Err(StoreError::new(StoreErrorKind::Conflict, taken));
            }
            state.touch(project.tenant)?;
            state
                .projects
                .insert((project.tenant, project.id), project.clone());
            Ok(())
        })
    }

    async fn put_project_membership(
        &self,
        membership: &ProjectMembership,
        seen: &RoleSeen,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            let ProjectMembership {
                tenant,
                project,
                user,
                role,
            } = membership;
            if !state.projects.contains_key(&(*tenant, *project)) {
                let unknown = format!("there is no project `{project}` in tenant `{tenant}`");
                return Err(StoreError::new(StoreErrorKind::NotFound, unknown));
            }
            if !state.memberships.contains_key(&(*tenant, *user)) {
                return Err(StoreError::no_membership(*tenant, *user));
            }
            seen.check(state.project_roles.get(&(*tenant, *project, *user)))?;
            state.touch(*tenant)?;
            state
                .project_roles
                .insert((*tenant, *project, *user), role.clone());
            Ok(())
        })
    }

    async fn remove_project(
        &self,
        tenant: TenantId,
        project: ProjectId,
        at: Timestamp,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            state.tenant(tenant)?;
            if state.projects.remove(&(tenant, project)).is_none() {
                return Ok(());
            }
            state
                .project_roles
                .retain(|(of, in_project, _), _| (*of, *in_project) != (tenant, project));
            for key in state.keys.values_mut() {
                if key.tenant == tenant && key.project == Some(project) {
                    key.project = None;
                    key.revoked_at = key.revoked_at.or(Some(at));
                }
            }
            state.touch(tenant)
        })
    }

    async fn remove_project_membership(
        &self,
        tenant: TenantId,
        project: ProjectId,
        user: UserId,
        seen: &RoleSeen,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            seen.check(state.project_roles.get(&(tenant, project, user)))?;
            state.project_roles.remove(&(tenant, project, user));
            state.touch(tenant)
        })
    }

    async fn list_projects(
        &self,
        tenant: TenantId,
        filter: &ProjectFilter,
        after: Option<ProjectId>,
        limit: u32,
    ) -> Result<Vec<Project>, StoreError> {
        let state = self.read();
        let these = (state.projects.values()).filter(|project| {
            let has_role = |user| (state.project_roles).contains_key(&(tenant, project.id, user));
            project.tenant == tenant && filter.matches(project, has_role)
        });
        Ok(page(these, |project| project.id, after, limit))
    }

    async fn list_project_members(
        &self,
        tenant: TenantId,
        project: ProjectId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<ProjectMembership>, StoreError> {
        let state = self.read();
        let these: Vec<_> = (state.project_roles.iter())
            .filter(|((of, in_project, _), _)| (*of, *in_project) == (tenant, project))
            .map(|((_, _, user), role)| {
                ProjectMembership::new(tenant, project, *user, role.clone())
            })
            .collect();
        Ok(page(&these, |member| member.user, after, limit))
    }
}

#[async_trait]
impl RoleStore for MemoryDirectory {
    async fn put_role(
        &self,
        tenant: TenantId,
        role: &RoleDefinition,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            let own = state.roles.get(&tenant);
            let others = own.map_or(0, |own| {
                own.keys().filter(|name| **name != role.name).count()
            });
            if others >= RoleTable::MAX_ROLES {
                return Err(StoreError::too_many_roles());
            }
            state.touch(tenant)?;
            state
                .roles
                .entry(tenant)
                .or_default()
                .insert(role.name.clone(), role.clone());
            Ok(())
        })
    }

    async fn remove_role(
        &self,
        tenant: TenantId,
        role: &RoleName,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            state.roles.entry(tenant).or_default().remove(role);
            state.touch(tenant)
        })
    }

    async fn list_roles(&self, tenant: TenantId) -> Result<Vec<RoleDefinition>, StoreError> {
        let state = self.read();
        let own = state.roles.get(&tenant).into_iter();
        Ok(own.flat_map(|own| own.values().cloned()).collect())
    }
}

#[async_trait]
impl RevocationStore for MemoryDirectory {
    async fn revoke_before(
        &self,
        of: &TokenSubject,
        to: RevokedBefore,
        record: &ChangeRecord,
    ) -> Result<(), StoreError> {
        self.change(record, |state| {
            state.changes += 1;
            let change = state.changes;
            state.token_revocations.raise(of, to, change);
            if let TokenSubject::Service(account) = of {
                state.revoke_invitations_by(&Inviter::Account(*account));
            }
            Ok(())
        })
    }

    async fn forget_token_revocations(
        &self,
        before: RevokedBefore,
        record: &ChangeRecord,
    ) -> Result<u64, StoreError> {
        let forgotten = self.write().token_revocations.forget(before);
        if forgotten > 0 {
            self.outbox
                .commit(record)
                .map_err(StoreError::unavailable)?;
        }
        Ok(forgotten)
    }
}
