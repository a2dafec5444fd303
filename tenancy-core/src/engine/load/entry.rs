//! All that entering a tenant takes, in one question.

use std::{fmt, sync::Arc};

use super::{
    Fact, LoadContext, Loaded, MembershipOf, ProjectForUser, ProjectOf, RolesOf, TenantNamed,
    cached::Version, roles, tenant,
};
use crate::{
    DirectoryError, Entry, EntryQuery, Membership, MembershipStatus, RoleTable, TenantKey,
    TenantRecord, Timestamp,
    cache::{CacheVersion, SingleFlight, Work},
    engine::Inner,
};

/// A tenant as it is asked for by whoever wants to enter.
pub(in crate::engine) struct Entered;

/// What there is to know about entering.
#[derive(Clone)]
pub(in crate::engine) struct Answer {
    tenant: Option<Arc<TenantRecord>>,
    membership: Option<Arc<Membership>>,
    roles: Option<Arc<RoleTable>>,
    project: Option<Arc<ProjectForUser>>,
    /// Whether the membership, and what depends on it, was asked for: of a tenant that the credential
    /// reaches, and of none.
    is_reached: bool,
}

type Told = (Timestamp, Result<Answer, DirectoryError>);

/// Questions under way. One that began before a change is not joined after it.
pub(in crate::engine) struct Entries(SingleFlight<(EntryQuery, CacheVersion), Told>);

impl Entries {
    pub(in crate::engine) fn new() -> Self {
        Self(SingleFlight::new())
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").finish_non_exhaustive()
    }
}

impl Fact for Entered {
    type Key = EntryQuery;
    type Value = Answer;
    type Error = DirectoryError;

    async fn load(
        context: LoadContext<'_>,
        query: &EntryQuery,
    ) -> Result<(Timestamp, Answer), DirectoryError> {
        let (inner, now) = (context.engine.inner(), context.now);
        let version = Version::before_any(inner);
        let flight = (query.clone(), version.version());
        let engine = context.engine.clone();
        let begin = || {
            let query = query.clone();
            Box::pin(async move {
                let inner = engine.inner();
                let answer = match inner.directory.find_entry(&query).await {
                    Ok(entry) => Answer::read(inner, &query, entry),
                    Err(error) => Err(error),
                };
                (now, answer)
            }) as Work<Told>
        };
        let (read_at, answer) = inner.entries.0.join(&flight, begin).await;
        let answer = answer?;
        answer.keep(inner, query, version, read_at);
        Ok((read_at, answer))
    }

    fn note(query: EntryQuery, answer: Answer, loaded: &mut Loaded) {
        let tenant = answer
            .tenant
            .as_ref()
            .map_or(query.nobody, |tenant| tenant.id);
        if let (Some(user), true) = (query.user, answer.is_reached) {
            let membership = answer.membership.clone();
            loaded.put::<MembershipOf>((tenant, user), membership);
        }
        if let Some(roles) = &answer.roles {
            loaded.put::<RolesOf>(tenant, Some(Arc::clone(roles)));
        }
        if let (Some(project), true) = (query.project, answer.is_of_a_member()) {
            let key = (tenant, project, query.user);
            loaded.put::<ProjectOf>(key, answer.project.clone());
        }
        loaded.put::<TenantNamed>(query.tenant.clone(), answer.tenant.clone());
        loaded.put::<Self>(query, answer);
    }
}

/// The record that is cached, if it is the same. Members of one tenant share it, however large it is.
fn shared(inner: &Inner, key: &TenantKey, record: TenantRecord) -> Arc<TenantRecord> {
    let cached = inner.caches.tenants.peek(key);
    cached
        .filter(|cached| **cached == record)
        .unwrap_or_else(|| Arc::new(record))
}

impl Answer {
    fn read(inner: &Inner, query: &EntryQuery, entry: Entry) -> Result<Self, DirectoryError> {
        let tenant = entry
            .tenant
            .filter(|record| tenant::is_named(&query.tenant, record))
            .map(|record| shared(inner, &query.tenant, record));
        let Some(tenant) = tenant else {
            return Ok(Self {
                tenant: None,
                membership: None,
                roles: None,
                project: None,
                is_reached: true,
            });
        };
        let roles = match entry.roles {
            Some(own) => Some(roles::compiled(inner, tenant.id, own)?),
            None => None,
        };
        let project = entry
            .project
            .map(|(project, role)| Arc::new(ProjectForUser { project, role }));
        Ok(Self {
            is_reached: query.reaches(&tenant),
            membership: entry.membership.map(Arc::new),
            roles,
            project,
            tenant: Some(tenant),
        })
    }

    /// Whether the roles and the project were asked for.
    fn is_of_a_member(&self) -> bool {
        let is_active = |member: &Arc<Membership>| member.status == MembershipStatus::Active;
        let is_member = self.membership.as_ref().is_some_and(is_active);
        self.tenant.is_some() && self.is_reached && is_member
    }

    fn keep(&self, inner: &Inner, query: &EntryQuery, version: Version, read_at: Timestamp) {
        // The record may be told in part to who is no member.
        let is_whole = query.for_visitors
            || self.tenant.is_none()
            || self.is_of_a_member()
            || (query.user.is_none() && self.is_reached);
        if is_whole {
            version.keep::<TenantNamed>(inner, &query.tenant, self.tenant.as_ref(), read_at);
        }
        let Some(tenant) = self.tenant.as_ref().filter(|_| self.is_reached) else {
            return;
        };
        let Some(version) = version.of_tenant(inner, tenant.id) else {
            return;
        };
        if let Some(user) = query.user {
            let key = (tenant.id, user);
            version.keep::<MembershipOf>(inner, &key, self.membership.as_ref(), read_at);
        }
        if self.roles.is_some() {
            version.keep::<RolesOf>(inner, &tenant.id, self.roles.as_ref(), read_at);
        }
        if let (Some(project), true) = (query.project, self.is_of_a_member()) {
            let key = (tenant.id, project, query.user);
            version.keep::<ProjectOf>(inner, &key, self.project.as_ref(), read_at);
        }
    }
}
