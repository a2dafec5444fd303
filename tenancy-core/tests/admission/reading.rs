//! A directory that only reads: an engine over it serves, and says what it can't change.

use std::time::Duration;

use tenancy_core::{
    AuditFilter, Capability, Clock as _, ConfigError, Directory, DirectoryError, DomainName,
    EntryDirectory, FeedCursor, FeedPage, GenerationFeed, Identification, IssuerRecord,
    MemberFilter, Membership, MembershipDirectory, Outcome, PersonErasure, Project,
    ProjectDirectory, ProjectId, Provisioning, Retention, RevokedBefore, RoleDefinition,
    RoleDirectory, RoleName, RouteNeeds, StoreError, StoreErrorKind, Stores, SystemRole, Tenancy,
    TenancyBuilder, TenantDirectory, TenantFilter, TenantId, TenantKey, TenantRecord, TenantStatus,
    TokenRevocationDirectory, TokenSubject, UserId, async_trait,
    invitation::InvitationFilter,
    jwt::JwtAuthenticator,
    key::ApiKeys,
    testing::{StoreDirectly as _, SwitchedDirectory, service},
};

use crate::{
    keys,
    support::{ISSUER, World, key},
};

/// Somebody else's registry: it is read, and has no method that writes.
#[derive(Debug)]
struct Registry(SwitchedDirectory);

#[async_trait]
impl TenantDirectory for Registry {
    async fn find_tenant(&self, key: &TenantKey) -> Result<Option<TenantRecord>, DirectoryError> {
        self.0.find_tenant(key).await
    }
}

#[async_trait]
impl MembershipDirectory for Registry {
    async fn find_membership(
        &self,
        tenant: TenantId,
        user: UserId,
    ) -> Result<Option<Membership>, DirectoryError> {
        self.0.find_membership(tenant, user).await
    }
}

#[async_trait]
impl ProjectDirectory for Registry {
    async fn find_project(
        &self,
        tenant: TenantId,
        project: ProjectId,
    ) -> Result<Option<Project>, DirectoryError> {
        self.0.find_project(tenant, project).await
    }

    async fn find_project_role(
        &self,
        tenant: TenantId,
        project: ProjectId,
        user: UserId,
    ) -> Result<Option<RoleName>, DirectoryError> {
        self.0.find_project_role(tenant, project, user).await
    }
}

#[async_trait]
impl RoleDirectory for Registry {
    async fn find_roles(&self, tenant: TenantId) -> Result<Vec<RoleDefinition>, DirectoryError> {
        self.0.find_roles(tenant).await
    }
}

impl EntryDirectory for Registry {}

#[async_trait]
impl TokenRevocationDirectory for Registry {
    async fn find_token_revocation(
        &self,
        of: &[TokenSubject],
    ) -> Result<RevokedBefore, DirectoryError> {
        self.0.find_token_revocation(of).await
    }
}

#[async_trait]
impl GenerationFeed for Registry {
    async fn changes_since(&self, cursor: Option<FeedCursor>) -> Result<FeedPage, DirectoryError> {
        self.0.changes_since(cursor).await
    }
}

impl Directory for Registry {}

/// An engine over a registry that is only read.
fn over(w: &World) -> TenancyBuilder {
    let tokens = JwtAuthenticator::builder(ISSUER, "notes").key(key());
    Tenancy::builder(Registry(w.directory.clone()))
        .identification(Identification::new().subdomains_of("notes.example"))
        .authenticator(tokens.build().unwrap())
        .shared_audit(w.audit.clone())
        .clock(w.clock.clone())
}

async fn reading(options: impl FnOnce(TenancyBuilder) -> TenancyBuilder) -> World {
    let mut w = World::new().await;
    w.tenancy = options(over(&w)).build().unwrap();
    w
}

/// One use of each capability.
async fn change(w: &World, capability: Capability) -> Result<(), StoreError> {
    let admin = w.tenancy.admin(service());
    let (acme, user) = (w.acme.id, UserId::new());
    let domain: DomainName = "acme.example.org".parse().unwrap();
    match capability {
        Capability::Tenants => {
            let tenant = TenantRecord::new("new".parse().unwrap(), "New");
            admin.create_tenant(&tenant).await
        }
        Capability::Names => admin.bind_domain(acme, &domain).await,
        Capability::Members => {
            let member = Membership::new(acme, user, SystemRole::Viewer.name());
            admin.put_membership(&member).await
        }
        Capability::Projects => {
            let project = Project::new(acme, "p".parse().unwrap(), "P");
            admin.put_project(&project).await
        }
        Capability::Roles => {
            let role = RoleDefinition::new("editor".parse().unwrap());
            admin.put_role(acme, &role).await
        }
        Capability::TokenRevocations => admin.revoke_tokens(&TokenSubject::User(user)).await,
        Capability::Issuers => {
            let issuer = IssuerRecord::new("https://sso.example", acme, "a key".into());
            admin.put_issuer(&issuer).await
        }
        Capability::Audit => {
            let all = AuditFilter::new();
            admin
                .list_entries(Some(acme), &all, None, 10)
                .await
                .map(drop)
        }
        Capability::Ownership => admin.find_ownership_offer(acme).await.map(drop),
        Capability::Plans => {
            let listed = admin.list_plan_versions(None, None, 10).await;
            listed.map(drop)
        }
        Capability::LimitOverrides => admin.remove_limit_override(acme, "exports").await,
        Capability::DomainJoins => admin.list_domain_joins(acme).await.map(drop),
        Capability::Invitations => {
            let invitations = w.tenancy.invitations(service());
            let all = InvitationFilter::new();
            invitations.list(acme, &all, None, 10).await.map(drop)
        }
        Capability::Provisioning => {
            let new = Provisioning::new("made".parse().unwrap(), "Made", user);
            admin.provision(&new).await.map(drop)
        }
        Capability::Accounts => {
            let accounts = w.tenancy.accounts(service());
            accounts.find(user).await.map(drop)
        }
        other => panic!("no change of {other} is known here"),
    }
}

/// What the engine changes by `Tenancy::admin`, and a directory in memory keeps.
fn of_admin() -> impl Iterator<Item = Capability> {
    let all = Capability::ALL.iter().copied();
    all.filter(|capability| {
        !matches!(
            capability,
            Capability::Keys | Capability::PasswordResets | Capability::Trail
        )
    })
}

/// Memory ends with its process, and keeps no chains.
#[tokio::test]
async fn a_directory_in_memory_says_that_it_keeps_no_chains() {
    let w = World::new().await;
    let admin = w.tenancy.admin(service());
    let missing = [
        admin.verify_trail(Some(w.acme.id), &[]).await.err(),
        admin.list_chain_heads(None, 10).await.err(),
        admin.apply_trail_retention(Retention::Days(30)).await.err(),
        admin
            .erase_person_from_trail(None, &PersonErasure::new(w.alice))
            .await
            .err(),
    ];
    for missing in missing {
        let missing = missing.unwrap();
        assert_eq!(missing.kind(), StoreErrorKind::ReadOnly, "{missing}");
        let name = Capability::Trail.as_str();
        assert!(missing.to_string().contains(name), "{missing}");
    }
    let required = over(&w).require([Capability::Trail]).build().unwrap_err();
    assert!(required.to_string().contains(Capability::Trail.as_str()));
}

#[tokio::test]
async fn a_directory_that_only_reads_serves_without_a_line_that_writes() {
    let w = reading(|builder| builder).await;
    let context = w.admit(&w.alice_at("acme.notes.example")).await.unwrap();
    assert_eq!(context.tenant_id(), w.acme.id);

    // What others change is heard of.
    let to = TenantStatus::Suspended;
    w.directory.set_status(w.acme.id, to).await.unwrap();
    w.tenancy.catch_up().await.unwrap();
    let (status, _) = w.refused(&w.alice_at("acme.notes.example")).await;
    assert_eq!(status, 403);
}

#[tokio::test]
async fn a_change_without_its_store_is_read_only_names_the_capability_and_is_recorded() {
    let w = reading(|builder| builder).await;
    for capability in of_admin() {
        let recorded = w.audit.entries().len();
        let missing = change(&w, capability).await.unwrap_err();
        assert_eq!(missing.kind(), StoreErrorKind::ReadOnly, "{missing}");
        let text = missing.to_string();
        assert!(text.contains(capability.as_str()), "{text}");
        assert!(text.contains("TenancyBuilder::stores"), "{text}");
        // These are listed.
        if matches!(
            capability,
            Capability::Accounts
                | Capability::Audit
                | Capability::DomainJoins
                | Capability::Invitations
                | Capability::Ownership
                | Capability::Plans
        ) {
            continue;
        }
        let entries = w.audit.entries();
        assert_eq!(entries.len(), recorded + 1, "{capability}");
        assert_eq!(entries[recorded].outcome, Outcome::Failed, "{capability}");
    }
    let admin = w.tenancy.admin(service());
    let listed = [
        admin
            .list_tenants(&TenantFilter::new(), None, 10)
            .await
            .err(),
        admin.list_names(w.acme.id, None, 10).await.err(),
        admin
            .list_members(w.acme.id, &MemberFilter::new(), None, 10)
            .await
            .err(),
        admin.list_projects(w.acme.id, None, 10).await.err(),
        admin.list_roles(w.acme.id).await.err(),
    ];
    for missing in listed {
        assert_eq!(missing.unwrap().kind(), StoreErrorKind::ReadOnly);
    }
}

#[tokio::test]
async fn a_store_that_is_required_and_missing_is_named_at_build() {
    let w = World::new().await;
    for capability in of_admin() {
        let missing = over(&w).require([capability]).build().unwrap_err();
        let text = missing.to_string();
        assert!(text.contains(capability.as_str()), "{text}");
        assert!(text.contains("TenancyBuilder::stores"), "{text}");
    }
    // All that is missing, and nothing else.
    let stores = Stores::none().members(w.directory.clone());
    let both = over(&w).stores(stores.clone()).require(of_admin()).build();
    let text = both.unwrap_err().to_string();
    for capability in of_admin() {
        let is_missing = capability != Capability::Members;
        assert_eq!(text.contains(capability.as_str()), is_missing, "{text}");
    }
    let members = [Capability::Members];
    assert!(over(&w).stores(stores).require(members).build().is_ok());
    // A directory that writes has all of them.
    let tokens = JwtAuthenticator::builder(ISSUER, "notes").key(key());
    let both = Tenancy::builder(w.directory.clone()).authenticator(tokens.build().unwrap());
    assert!(both.require(of_admin()).build().is_ok());
}

#[tokio::test]
async fn a_store_that_is_given_changes_what_it_is_for_and_nothing_else() {
    let mut w = World::new().await;
    for given in of_admin() {
        let directory = w.directory.clone();
        let stores = match given {
            Capability::Tenants => Stores::none().tenants(directory),
            Capability::Names => Stores::none().names(directory),
            Capability::Members => Stores::none().members(directory),
            Capability::Projects => Stores::none().projects(directory),
            Capability::Roles => Stores::none().roles(directory),
            Capability::TokenRevocations => Stores::none().token_revocations(directory),
            Capability::Issuers => Stores::none().issuers(directory.directory().clone()),
            Capability::Plans => Stores::none().plans(directory.directory().clone()),
            Capability::LimitOverrides => {
                Stores::none().limit_overrides(directory.directory().clone())
            }
            Capability::Audit => Stores::none().audit(directory.directory().clone()),
            Capability::Ownership => Stores::none().ownership(directory.directory().clone()),
            Capability::DomainJoins => Stores::none().domain_joins(directory.directory().clone()),
            Capability::Invitations => Stores::none().invitations(directory.directory().clone()),
            Capability::Provisioning => Stores::none().provisioning(directory.directory().clone()),
            Capability::Accounts => Stores::none().accounts(directory.directory().clone()),
            other => panic!("no store of {other} is known here"),
        };
        w.tenancy = over(&w).stores(stores).build().unwrap();
        for capability in of_admin() {
            let done = change(&w, capability).await.map_err(|error| error.kind());
            let expected = match capability == given {
                true => Ok(()),
                false => Err(StoreErrorKind::ReadOnly),
            };
            assert_eq!(done, expected, "{capability} with {given}");
        }
    }
}

#[tokio::test]
async fn nothing_is_forgotten_without_a_store_of_token_revocations() {
    let w = reading(|builder| builder.longest_token_lifetime(Duration::from_secs(3_600))).await;
    let directory = w.directory.directory();
    let of = TokenSubject::User(w.alice);
    let revoked = RevokedBefore::revoking_at(w.clock.now());
    directory.revoke_before(&of, revoked).await.unwrap();
    let recorded = w.audit.entries().len();
    let pass_days = async |tenancy: &Tenancy| {
        for _ in 0..3 {
            w.clock.advance(Duration::from_secs(2 * 86_400));
            // Forgetting happens in a poll that a request has spawned.
            let _ = tenancy.admit(&w.alice_at("acme.notes.example"), RouteNeeds::tenant());
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
    };
    pass_days(&w.tenancy).await;
    let still = directory
        .find_token_revocation(std::slice::from_ref(&of))
        .await;
    assert_eq!(still.unwrap(), revoked);
    assert_eq!(w.audit.entries().len(), recorded);

    // With one it would be.
    let stores = Stores::none().token_revocations(w.directory.clone());
    let hour = Duration::from_secs(3_600);
    let forgetting = over(&w).longest_token_lifetime(hour).stores(stores);
    pass_days(&forgetting.build().unwrap()).await;
    let gone = directory.find_token_revocation(&[of]).await;
    assert_eq!(gone.unwrap(), RevokedBefore::NONE);
}

#[tokio::test]
async fn keys_that_are_issued_elsewhere_are_taken_by_an_engine_that_only_reads_them() {
    let mut w = keys::world().await;
    let issued = keys::issue(&w, keys::alices(&w)).await;
    let only_read = |w: &World| {
        let directory = w.directory.clone();
        over(w).keys(ApiKeys::read_only(
            keys::format(),
            keys::hasher(),
            directory,
        ))
    };
    let message = |built: Result<Tenancy, ConfigError>| built.unwrap_err().to_string();
    let required = message(only_read(&w).require([Capability::Keys]).build());
    assert!(required.contains("ApiKeys::new"), "{required}");
    let none = message(over(&w).require([Capability::Keys]).build());
    assert!(none.contains("TenancyBuilder::keys"), "{none}");

    w.tenancy = only_read(&w).build().unwrap();
    assert!(w.admit(&keys::with(&issued)).await.is_ok());
    let missing = w.tenancy.keys().unwrap_err().to_string();
    assert!(missing.contains("ApiKeys::new"), "{missing}");
    let written = w.directory.uses_written();
    w.clock.advance(Duration::from_secs(120));
    assert!(w.admit(&keys::with(&issued)).await.is_ok());
    tokio::task::yield_now().await;
    assert_eq!(w.directory.uses_written(), written);
}
