//! What the tables of the guides say is what the code does.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use tenancy_core::{
    Account, Actor, Admin, ChangeAction, EmailAddress, ExternalSubject, ImpersonationPolicy,
    IssuerRecord, KeyAdmin, KeysGo, Membership, MemoryDirectory, NewImpersonation, Operator,
    OperatorContext, OperatorRole, Operators, OwnershipTerms, Passwords, PermissionRegistry,
    PlanBook, PlanDefinition, Project, ProjectMembership, Provisioning, RoleDefinition, SystemRole,
    Tenancy, TenantId, TenantRecord, TenantStatus, TokenSubject, UserId, VerifiedEmail,
    async_trait,
    domain_join::{DomainJoin, JoinMode, VerifiedDomain},
    invitation::NewInvitation,
    jwt::{Algorithm, JwtAuthenticator, VerificationKey},
    key::{
        ApiKeys, Environment, HmacKeyHasher, ImportedFormat, ImportedKeys, KeyFormat,
        LowEntropySecret, NewKey, Pepper,
    },
    one_time::OneTimeTokens,
    outbox::{ClaimRequest, Event, EventHandler, HandlerError, Outbox as _, OutboxConsumer},
    quota::{Limit, LimitOverride, Meter, Quotas},
    testing::{ContextBuilder, FakeRequest, TestTokens, service},
};

/// A kind, the names in its payload, and whether it is about a tenant.
type Shape = (String, BTreeSet<String>, bool);

/// Notes how each event looks.
#[derive(Clone, Default)]
struct Shapes(Arc<Mutex<BTreeSet<Shape>>>);

#[async_trait]
impl EventHandler for Shapes {
    async fn handle(&self, event: &Event) -> Result<(), HandlerError> {
        let names = event.payload.as_object().unwrap().keys().cloned().collect();
        let shape = (event.kind.clone(), names, event.tenant.is_some());
        self.0.lock().unwrap().insert(shape);
        Ok(())
    }
}

fn keys(directory: &MemoryDirectory) -> ApiKeys {
    let format = KeyFormat::new("acme", Environment::Live).unwrap();
    let hasher = HmacKeyHasher::new(Pepper::new(1, [7; 32]).unwrap());
    let imported = ImportedFormat::separated("oldco_", '.').unwrap();
    ApiKeys::new(format, hasher, directory.clone()).imported(ImportedKeys::new(imported))
}

fn engine(directory: &MemoryDirectory, staff: &TestTokens) -> Tenancy {
    let pepper = Pepper::new(1, [7; 32]).unwrap();
    let operators = Operators::new(directory.clone())
        .authenticator(staff.verifier().build().unwrap())
        .impersonation(ImpersonationPolicy::new(pepper).two_operators());
    let key = VerificationKey::hmac(Algorithm::HS256, [7; 32]).unwrap();
    let tokens = JwtAuthenticator::builder("https://login.example", "notes").key(key);
    let permissions = PermissionRegistry::builder().permission("notes:read", SystemRole::Viewer);
    Tenancy::builder(directory.clone())
        .authenticator(tokens.build().unwrap())
        .keys(keys(directory))
        .permissions(permissions.build().unwrap())
        .plans(
            PlanBook::new()
                .plan("free", ["*"])
                .limits("free", [Limit::held("projects", 1)]),
        )
        .quotas(Quotas::new().meter(Meter::held("projects")))
        .stored_plans(directory.clone())
        .stored_overrides(directory.clone())
        .operators(operators)
        .invitations(OneTimeTokens::new(Pepper::new(1, [7; 32]).unwrap()))
        .build()
        .unwrap()
}

async fn change_tenants(admin: &Admin, acme: &TenantRecord) {
    let id = acme.id;
    admin.create_tenant(acme).await.unwrap();
    admin.set_status(id, TenantStatus::Active).await.unwrap();
    let settings = serde_json::from_value(json!({ "color": "blue" })).unwrap();
    admin.set_settings(id, &settings).await.unwrap();
    admin.set_plan(id, None).await.unwrap();
    let pro = json!({ "permissions": ["*"], "limits": { "projects": "unlimited" } });
    let pro = PlanDefinition::from_json("pro", pro).unwrap();
    admin.add_plan_version(&pro).await.unwrap();
    let more = LimitOverride::new(Limit::held("projects", 2));
    admin.put_limit_override(id, &more).await.unwrap();
    admin
        .remove_limit_override(id, "projects-held")
        .await
        .unwrap();
    admin.rename(id, "Acme").await.unwrap();
    admin
        .set_slug(id, &"acme-ltd".parse().unwrap())
        .await
        .unwrap();
    let domain = "notes.acme.test".parse().unwrap();
    admin.bind_domain(id, &domain).await.unwrap();
    admin.unbind_domain(id, &domain).await.unwrap();
    admin.bind_external(id, "crm", "4711").await.unwrap();
    admin.unbind_external(id, "crm", "4711").await.unwrap();
    let issuer = IssuerRecord::new("https://sso.acme.test", id, "a key".into());
    admin.put_issuer(&issuer).await.unwrap();
    admin.remove_issuer(id, &issuer.issuer).await.unwrap();
}

async fn change_accounts(tenancy: &Tenancy, directory: &MemoryDirectory) {
    let (accounts, passwords) = (tenancy.accounts(service()), passwords());
    let secret = |text: &str| LowEntropySecret::new(text).unwrap();
    let subject = |name: &str| ExternalSubject::new("https://sso.example", name).unwrap();
    let hash = passwords.hash(secret("chosen by carol")).await.unwrap();
    let email: EmailAddress = "carol@example.com".parse().unwrap();
    let carol = Account::with_password(email.clone(), hash.clone());
    let initech = Provisioning::with_account("initech".parse().unwrap(), "Initech", carol.clone())
        .project("general".parse().unwrap(), "General")
        .first_key("first key", ["notes:read".parse().unwrap()]);
    let admin = tenancy.admin(service());
    drop(admin.provision(&initech).await.unwrap());
    accounts
        .create(&Account::external(subject("dave")))
        .await
        .unwrap();
    let user = carol.user;
    accounts.set_password(user, hash).await.unwrap();
    accounts.link(user, subject("carol")).await.unwrap();
    accounts.unlink(user, subject("carol")).await.unwrap();
    accounts.disable(user).await.unwrap();
    accounts.enable(user).await.unwrap();
    let tokens = OneTimeTokens::new(Pepper::new(1, [7; 32]).unwrap());
    let resets = accounts.resets(passwords, tokens);
    resets.request(&email, None).await.unwrap();
    let claim = ClaimRequest::new("mail".parse().unwrap());
    let claim = directory.outbox().claim(&claim).await.unwrap().unwrap();
    let event = directory
        .outbox()
        .next_page(&claim, 1_000)
        .await
        .unwrap()
        .new;
    let mail = resets.mail(event.last().unwrap()).await.unwrap().unwrap();
    let new = secret("chosen anew by carol");
    resets.reset(mail.token.expose(), new, None).await.unwrap();
}

fn passwords() -> Passwords {
    Passwords::builder().build().unwrap()
}

async fn change_members(admin: &Admin, tenant: TenantId, alice: UserId) {
    let role = SystemRole::Owner.name();
    let member = Membership::new(tenant, alice, role.clone());
    admin.put_membership(&member).await.unwrap();
    let bob = Membership::new(tenant, UserId::new(), role.clone());
    admin.put_membership(&bob).await.unwrap();
    admin.remove_membership(tenant, bob.user).await.unwrap();
    let project = Project::new(tenant, "roadmap".parse().unwrap(), "Roadmap");
    admin.put_project(&project).await.unwrap();
    let writer = ProjectMembership::new(tenant, project.id, alice, role);
    admin.put_project_membership(&writer).await.unwrap();
    admin
        .remove_project_membership(tenant, project.id, alice)
        .await
        .unwrap();
    admin.remove_project(tenant, project.id).await.unwrap();
    let auditor = RoleDefinition::new("auditor".parse().unwrap());
    admin.put_role(tenant, &auditor).await.unwrap();
    admin.remove_role(tenant, &auditor.name).await.unwrap();
}

/// What members do themselves, and what is done to one who goes.
async fn change_places(tenancy: &Tenancy, acme: &TenantRecord, alice: UserId) {
    let admin = tenancy.admin(service());
    let tenant = acme.id;
    let (carol, dave) = (UserId::new(), UserId::new());
    for user in [carol, dave] {
        let member = Membership::new(tenant, user, SystemRole::Member.name());
        admin.put_membership(&member).await.unwrap();
    }
    let viewer = SystemRole::Viewer.name();
    admin.change_role(tenant, carol, viewer).await.unwrap();
    admin.suspend_member(tenant, carol).await.unwrap();
    admin.resume_member(tenant, carol).await.unwrap();
    let own = |user| {
        let context = ContextBuilder::new(tenancy, acme.clone()).user(user);
        tenancy.admin(context.build().own_authority().unwrap())
    };
    let terms = OwnershipTerms::new().becomes(SystemRole::Owner.name());
    let offer = async || {
        own(alice).offer_ownership(carol, &terms).await.unwrap();
    };
    offer().await;
    own(carol).decline_ownership().await.unwrap();
    offer().await;
    own(alice).withdraw_ownership_offer(tenant).await.unwrap();
    offer().await;
    own(carol).accept_ownership().await.unwrap();
    own(carol).leave().await.unwrap();
    let to_alice = KeysGo::To(alice);
    admin
        .remove_membership_with(tenant, dave, to_alice)
        .await
        .unwrap();
}

async fn change_people(tenancy: &Tenancy, tenant: TenantId) {
    let invitations = tenancy.invitations(service());
    let ann: EmailAddress = "ann@acme.test".parse().unwrap();
    let viewer = SystemRole::Viewer.name();
    let new = || NewInvitation::new(tenant, ann.clone(), viewer.clone());
    let first = invitations.invite(&new()).await.unwrap().id;
    invitations.resend(tenant, first).await.unwrap();
    let role = SystemRole::Member.name();
    invitations
        .set_roles(tenant, first, &role, &[])
        .await
        .unwrap();
    invitations.revoke(tenant, first).await.unwrap();
    let second = invitations.invite(&new()).await.unwrap().id;
    let mail = invitations.mail(second).await.unwrap().unwrap();
    let email = VerifiedEmail::vouched_by_application(ann.clone());
    let token = mail.token().expose();
    tenancy
        .accept_invitation(token, UserId::new(), &email)
        .await
        .unwrap();

    let admin = tenancy.admin(service());
    let domain = VerifiedDomain::vouched_by_application("acme.test".parse().unwrap()).unwrap();
    let rule = DomainJoin::new(tenant, domain, JoinMode::Automatic, viewer.clone());
    admin.put_domain_join(&rule).await.unwrap();
    let by_domain = tenancy.join_by_domain(UserId::new(), &email).await.unwrap();
    assert!(by_domain.joined.is_some());
    admin
        .remove_domain_join(tenant, &rule.domain)
        .await
        .unwrap();
}

async fn change_keys(keys: &KeyAdmin, tenant: TenantId, alice: UserId) {
    let new = || NewKey::new(tenant, alice, "nightly", ["notes:read".parse().unwrap()]);
    let key = keys.issue(new()).await.unwrap().record().id;
    keys.rename(tenant, key, "weekly").await.unwrap();
    let read = "notes:read".parse().unwrap();
    keys.set_scopes(tenant, key, [read]).await.unwrap();
    keys.set_networks(tenant, key, ["192.0.2.0/24".parse().unwrap()])
        .await
        .unwrap();
    keys.set_limits(tenant, key, []).await.unwrap();
    let noted = json!({ "for": "export" }).as_object().cloned().unwrap();
    keys.set_metadata(tenant, key, noted).await.unwrap();
    keys.disable(tenant, key).await.unwrap();
    keys.enable(tenant, key).await.unwrap();
    let _ = keys.rotate(tenant, key, Duration::ZERO).await.unwrap();
    let secret = LowEntropySecret::new("chosen by somebody").unwrap();
    let theirs = keys
        .import(new(), "4711".parse().unwrap(), secret)
        .await
        .unwrap();
    keys.revoke(tenant, theirs.id).await.unwrap();
    let _ = keys.issue(new()).await.unwrap();
    keys.revoke_prefix("acme_live_").await.unwrap();
    let _ = keys.issue(new()).await.unwrap();
    keys.revoke_creator(alice).await.unwrap();
    keys.revoke_tenant(tenant).await.unwrap();
}

async fn revoke_tokens(admin: &Admin, tenant: TenantId, alice: UserId) {
    for subject in [
        TokenSubject::Issuer("https://login.example".into()),
        TokenSubject::User(alice),
        TokenSubject::Service(tenancy_core::ServiceId::new()),
        TokenSubject::Tenant(tenant),
    ] {
        admin.revoke_tokens(&subject).await.unwrap();
    }
}

async fn change_operators(tenancy: &Tenancy, staff: &TestTokens, tenant: TenantId, alice: UserId) {
    let admin = tenancy.admin(service());
    let known = async |role| -> OperatorContext {
        let one = Operator::new(TestTokens::ISSUER, UserId::new(), "Somebody", [role]);
        admin.put_operator(&one).await.unwrap();
        let request = FakeRequest::new("/").bearer(&staff.sign(one.subject));
        let pending = tenancy.authenticate_operator(&request);
        pending.resolve().await.unwrap()
    };
    let mia = known(OperatorRole::Support).await;
    let sam = known(OperatorRole::Security).await;
    let until = tenancy.clock().now() + Duration::from_secs(600);
    admin.grant_support_access(tenant, until).await.unwrap();
    let asked = NewImpersonation::new(tenant, alice, "a test");
    let id = mia.impersonate(asked).await.unwrap().impersonation.id;
    sam.approve(tenant, id, "a test").await.unwrap();
    sam.end(tenant, id, "a test").await.unwrap();
    admin.revoke_support_access(tenant).await.unwrap();
}

/// Makes every change that has an event.
async fn make_every_change(directory: &MemoryDirectory) {
    let staff = TestTokens::new("console");
    let tenancy = engine(directory, &staff);
    let admin = tenancy.admin(service());
    let acme = TenantRecord::new("acme".parse().unwrap(), "Acme Ltd");
    let alice = UserId::new();
    change_tenants(&admin, &acme).await;
    change_members(&admin, acme.id, alice).await;
    change_places(&tenancy, &acme, alice).await;
    change_keys(&tenancy.keys().unwrap().by(service()), acme.id, alice).await;
    change_operators(&tenancy, &staff, acme.id, alice).await;
    revoke_tokens(&admin, acme.id, alice).await;
    change_accounts(&tenancy, directory).await;
    change_people(&tenancy, acme.id).await;
}

/// The table of `docs/outbox.md`.
fn told() -> BTreeSet<Shape> {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/outbox.md");
    let guide = fs::read_to_string(guide).unwrap();
    let table = guide
        .split("## Events of the library's own changes")
        .nth(1)
        .unwrap();
    let table = table.split("\n## ").next().unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let shape = |row: &str| {
        let cells: Vec<_> = row.split(" | ").collect();
        let [kind, payload, tenant, _] = cells.as_slice() else {
            panic!("four cells expected: {row}");
        };
        let names = payload
            .split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect();
        (
            kind.trim_end_matches('`').to_owned(),
            names,
            *tenant == "yes",
        )
    };
    rows.map(shape).collect()
}

/// Every change that a directory in memory makes: it keeps no chains. `tests/trail` makes the others.
fn in_memory() -> impl Iterator<Item = ChangeAction> {
    let of_chains = [ChangeAction::TrailPrune, ChangeAction::TrailErase];
    let all = ChangeAction::ALL.iter().copied();
    all.filter(move |action| !of_chains.contains(action))
}

#[tokio::test]
async fn the_guide_to_the_outbox_has_each_event_of_a_change_with_its_payload() {
    let directory = MemoryDirectory::new();
    let outbox = directory.outbox().clone();
    make_every_change(&directory).await;

    let shapes = Shapes::default();
    let consumer = OutboxConsumer::builder("guide", outbox, shapes.clone());
    consumer.build().unwrap().run_until_idle().await.unwrap();
    let seen = shapes.0.lock().unwrap().clone();
    let kinds: BTreeSet<_> = seen.iter().map(|(kind, ..)| kind.as_str()).collect();
    let all = in_memory().filter_map(ChangeAction::event);
    assert_eq!(kinds, all.collect(), "this test should make every change");
    assert_eq!(told(), seen);
}

/// HTTP APIs, a console and the command line call these methods and nothing else, so that none of them changes
/// anything without an author.
#[tokio::test]
async fn each_change_leaves_an_entry_that_says_who() {
    let directory = MemoryDirectory::new();
    make_every_change(&directory).await;
    let trail = directory.outbox().trail();
    for entry in &trail {
        // What members do to their own place needs no reason.
        let has_reason = entry.reason.is_some() || matches!(entry.actor, Some(Actor::User(_)));
        assert!(entry.actor.is_some() && has_reason, "{entry:?}");
    }
    let seen: BTreeSet<_> = trail.iter().map(|entry| &*entry.action).collect();
    // These have no event: `tests/counters` and the core's tests make them.
    let elsewhere = [ChangeAction::HeldImport, ChangeAction::TokenForget];
    let all = in_memory().filter(|action| !elsewhere.contains(action));
    assert_eq!(seen, all.map(|action| action.as_str()).collect());
}

/// Texts in double quotes of the sources below a folder.
fn quoted_below(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            quoted_below(&path, found);
        } else {
            let source = fs::read_to_string(path).unwrap();
            found.extend(source.split('"').skip(1).map(str::to_owned));
        }
    }
}

/// Whoever looks up a reason of the log finds it in the tables, spelled as in the log.
#[test]
fn the_guides_have_reasons_that_the_engine_gives() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut given = BTreeSet::new();
    quoted_below(&root.join("tenancy-core/src"), &mut given);
    for (page, head) in [
        ("developing-locally.md", "| status | reason"),
        ("first-hour.md", "| answer | `reason`"),
    ] {
        let guide = fs::read_to_string(root.join("docs").join(page)).unwrap();
        let table = guide.split(head).nth(1).unwrap();
        let rows = table
            .lines()
            .skip(2)
            .take_while(|line| line.starts_with('|'));
        let cells = rows.filter_map(|row| row.split(" | ").nth(1));
        let reasons: Vec<_> = cells
            .flat_map(|cell| cell.split('`').skip(1).step_by(2))
            .collect();
        assert!(reasons.len() > 5, "{reasons:?}");
        for reason in reasons {
            assert!(
                given.contains(reason),
                "{page}: no refusal has the reason `{reason}`"
            );
        }
    }
}

/// Code that is compiled goes on being right. Which pages are is said in `tests/src/lib.rs`.
#[test]
fn each_guide_with_code_in_rust_is_compiled() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let compiled = fs::read_to_string(root.join("tests/src/lib.rs")).unwrap();
    for entry in fs::read_dir(root.join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "md") {
            continue;
        }
        let guide = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy();
        let included = format!("include_str!(\"../../docs/{name}\")");
        assert!(
            !guide.contains("```rust") || compiled.contains(&included),
            "the code of {name} is not compiled"
        );
    }
}
