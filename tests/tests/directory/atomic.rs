//! A change, its entry in the audit trail and its event: all of them or none, wherever it fails, and whenever
//! the process that makes it is cut off.
#![allow(clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::AssertSqlSafe;
use tenancy_core::{
    Account, Accounts, Admin, Clock as _, DomainName, ExternalSubject, IssuerRecord, KeyAdmin,
    KeyId, MemberFilter, Membership, MembershipStatus, PasswordResets, Passwords, Project,
    ProjectMembership, Provisioning, RoleDefinition, Settings, StoreError, SystemClock, SystemRole,
    TenantKey, TenantRecord, TokenSubject, UserId,
    key::{NewKey, Pepper, SecretHash},
    one_time::OneTimeTokens,
    testing::service,
};
use tenancy_tests::{logwatch, notes::Notes, notes::PEPPER, notes::on_every_server};

use super::revocations::engine_with_keys;

/// Everything that a change may touch.
struct Scene<'a> {
    notes: &'a Notes,
    admin: Admin,
    keys: KeyAdmin,
    project: Project,
    key: KeyId,
    accounts: Accounts,
    resets: PasswordResets,
    account: UserId,
}

type Outcome = Result<(), StoreError>;
type Making<'s> = BoxFuture<'s, Outcome>;

/// A change, by its name in the audit trail.
type Change = (&'static str, for<'s> fn(&'s Scene<'_>) -> Making<'s>);

macro_rules! change {
    ($action:literal, |$scene:ident| $made:expr) => {
        ($action, |$scene: &Scene<'_>| -> Making<'_> {
            Box::pin(async move { $made.await.map(drop) })
        })
    };
}

fn new_key(scene: &Scene<'_>) -> NewKey {
    let scope = "*".parse().expect("a grant");
    NewKey::new(scene.notes.acme.id, scene.notes.alice, "a key", [scope])
}

fn account(email: &str) -> Account {
    let hash = SecretHash::from_stored("a hash");
    Account::with_password(email.parse().expect("an address"), hash)
}

fn subject() -> ExternalSubject {
    let name = slug("sub");
    ExternalSubject::new("https://sso.example", name.as_str()).expect("a subject")
}

fn slug(prefix: &str) -> tenancy_core::Slug {
    let unique = UserId::new().as_uuid().simple().to_string();
    format!("{prefix}-{unique}").parse().expect("a slug")
}

/// A viewer of this status.
async fn viewer(scene: &Scene<'_>, status: MembershipStatus) -> Result<UserId, StoreError> {
    let these = MemberFilter::new().role(SystemRole::Viewer).status(status);
    let acme = scene.notes.acme.id;
    let members = scene.admin.list_members(acme, &these, None, 1).await?;
    Ok(members.first().expect("a viewer").user)
}

/// Each changes something every time that it is made.
const CHANGES: &[Change] = &[
    change!("tenant.create", |scene| {
        let tenant = TenantRecord::new(slug("new"), "New");
        let admin = scene.admin.clone();
        async move { admin.create_tenant(&tenant).await }
    }),
    change!("tenant.provision", |scene| {
        let email = format!("{}@example.com", slug("carol"));
        let carol = account(&email).subject(subject());
        let wanted = Provisioning::with_account(slug("whole"), "Whole", carol)
            .external("stripe", slug("cus").as_str())
            .domain(format!("{}.example", slug("d")).parse().expect("a domain"))
            .project(slug("p"), "P")
            .first_key("a key", ["*".parse().expect("a grant")])
            .idempotency_key(slug("form").as_str());
        let admin = scene.admin.clone();
        async move {
            let made = admin.provision(&wanted).await?;
            if let Some(key) = &made.first_key {
                logwatch::issued_key(key);
            }
            Ok(())
        }
    }),
    change!("account.create", |scene| {
        let account = account(&format!("{}@example.com", slug("dave")));
        async move { scene.accounts.create(&account).await }
    }),
    change!("account.set-password", |scene| {
        let hash = SecretHash::from_stored(slug("hash").as_str());
        async move { scene.accounts.set_password(scene.account, hash).await }
    }),
    change!("account.link", |scene| async move {
        scene.accounts.link(scene.account, subject()).await
    }),
    change!("account.unlink", |scene| async move {
        let account = scene
            .accounts
            .find(scene.account)
            .await?
            .expect("an account");
        let subject = account.subjects.first().expect("a subject").clone();
        scene.accounts.unlink(scene.account, subject).await
    }),
    change!("account.disable", |scene| async move {
        scene.accounts.disable(scene.account).await
    }),
    change!("account.enable", |scene| async move {
        scene.accounts.enable(scene.account).await
    }),
    change!("account.request-reset", |scene| {
        let email = format!("{}@example.com", slug("erin"));
        async move {
            let email = email.parse().expect("an address");
            let asked = scene.resets.request(&email, None).await;
            asked.map_err(|refusal| StoreError::unavailable(refusal.to_string()))
        }
    }),
    change!("tenant.set-settings", |scene| {
        let settings = Settings::new(serde_json::json!({ "at": SystemClock.now().to_string() }));
        async move {
            scene
                .admin
                .set_settings(scene.notes.acme.id, &settings)
                .await
        }
    }),
    change!("tenant.set-plan", |scene| {
        let plan = slug("plan");
        async move {
            let plan = Some(plan.as_str());
            scene.admin.set_plan(scene.notes.acme.id, plan).await
        }
    }),
    change!("tenant.bind-domain", |scene| {
        let domain: DomainName = format!("{}.example", slug("d")).parse().expect("a domain");
        async move { scene.admin.bind_domain(scene.notes.acme.id, &domain).await }
    }),
    change!("tenant.bind-external", |scene| {
        let id = slug("id");
        async move {
            let tenant = scene.notes.acme.id;
            scene
                .admin
                .bind_external(tenant, "github", id.as_str())
                .await
        }
    }),
    change!("membership.put", |scene| {
        let viewer = SystemRole::Viewer.name();
        let member = Membership::new(scene.notes.acme.id, UserId::new(), viewer);
        async move { scene.admin.put_membership(&member).await }
    }),
    change!("project.put", |scene| {
        let project = Project::new(scene.notes.acme.id, slug("p"), "P");
        async move { scene.admin.put_project(&project).await }
    }),
    change!("project-membership.put", |scene| {
        let (tenant, viewer) = (scene.notes.acme.id, SystemRole::Viewer.name());
        let member = ProjectMembership::new(tenant, scene.project.id, scene.notes.alice, viewer);
        async move { scene.admin.put_project_membership(&member).await }
    }),
    change!("role.put", |scene| {
        let role = RoleDefinition::new(slug("r").as_str().parse().expect("a role"));
        async move { scene.admin.put_role(scene.notes.acme.id, &role).await }
    }),
    change!("token.revoke", |scene| async move {
        scene
            .admin
            .revoke_tokens(&TokenSubject::User(UserId::new()))
            .await
    }),
    change!("key.issue", |scene| async move {
        let issued = scene.keys.issue(new_key(scene)).await?;
        logwatch::issued_key(&issued);
        Ok(())
    }),
    change!("key.rename", |scene| {
        let name = slug("name");
        async move {
            let tenant = scene.notes.acme.id;
            scene.keys.rename(tenant, scene.key, name.as_str()).await
        }
    }),
    change!("key.rotate", |scene| async move {
        let issued = scene.keys.issue(new_key(scene)).await?;
        logwatch::issued_key(&issued);
        let (tenant, id) = (scene.notes.acme.id, issued.record().id);
        let rotated = scene.keys.rotate(tenant, id, Duration::ZERO).await?;
        logwatch::issued_key(&rotated);
        Ok(())
    }),
    change!("key.revoke-tenant", |scene| async move {
        let issued = scene.keys.issue(new_key(scene)).await?;
        logwatch::issued_key(&issued);
        scene.keys.revoke_tenant(scene.notes.acme.id).await
    }),
    change!("key.revoke-creator", |scene| async move {
        let issued = scene.keys.issue(new_key(scene)).await?;
        logwatch::issued_key(&issued);
        scene.keys.revoke_creator(scene.notes.alice).await
    }),
    change!("tenant.rename", |scene| {
        let name = slug("name");
        async move { scene.admin.rename(scene.notes.acme.id, name.as_str()).await }
    }),
    change!("tenant.set-slug", |scene| {
        let slug = slug("slug");
        async move { scene.admin.set_slug(scene.notes.acme.id, &slug).await }
    }),
    // Each removes what the change of the same number above has added.
    change!("tenant.unbind-domain", |scene| async move {
        let names = scene.admin.list_names(scene.notes.acme.id, None, 1).await?;
        let Some(TenantKey::Domain(domain)) = names.first() else {
            unreachable!("a domain was bound above");
        };
        scene.admin.unbind_domain(scene.notes.acme.id, domain).await
    }),
    change!("role.remove", |scene| async move {
        let roles = scene.admin.list_roles(scene.notes.acme.id).await?;
        let role = &roles.first().expect("a role").name;
        scene.admin.remove_role(scene.notes.acme.id, role).await
    }),
    change!("project-membership.remove", |scene| async move {
        let (tenant, project) = (scene.notes.acme.id, scene.project.id);
        let members = scene
            .admin
            .list_project_members(tenant, project, None, 1)
            .await?;
        let user = members.first().expect("a member").user;
        scene
            .admin
            .remove_project_membership(tenant, project, user)
            .await
    }),
    change!("project.remove", |scene| async move {
        scene
            .admin
            .remove_project(scene.notes.acme.id, scene.project.id)
            .await
    }),
    change!("issuer.put", |scene| {
        let name = format!("https://{}.example", slug("sso"));
        let issuer = IssuerRecord::new(name, scene.notes.acme.id, "a key".into());
        async move { scene.admin.put_issuer(&issuer).await }
    }),
    change!("issuer.remove", |scene| async move {
        let tenant = scene.notes.acme.id;
        let issuers = scene.admin.list_issuers(tenant, None, 1).await?;
        let name = &issuers.first().expect("an issuer").issuer;
        scene.admin.remove_issuer(tenant, name).await
    }),
    // Each of a member that the change of the same name above has added.
    change!("membership.suspend", |scene| async move {
        let (tenant, user) = (
            scene.notes.acme.id,
            viewer(scene, MembershipStatus::Active).await?,
        );
        scene.admin.suspend_member(tenant, user).await
    }),
    change!("membership.resume", |scene| async move {
        let (tenant, user) = (
            scene.notes.acme.id,
            viewer(scene, MembershipStatus::Suspended).await?,
        );
        scene.admin.resume_member(tenant, user).await
    }),
    change!("membership.set-role", |scene| async move {
        let (tenant, user) = (
            scene.notes.acme.id,
            viewer(scene, MembershipStatus::Active).await?,
        );
        let role = SystemRole::Member.name();
        scene.admin.change_role(tenant, user, role).await
    }),
    // These end what the others need, and stand at the end.
    change!("membership.remove", |scene| async move {
        scene
            .admin
            .remove_membership(scene.notes.acme.id, scene.notes.alice)
            .await
    }),
    change!("tenant.set-status", |scene| async move {
        scene.admin.suspend(scene.notes.acme.id).await
    }),
];

/// Where a change is cut off: a trigger there raises an error, or ends the server's process.
const PLACES: &[(&str, &str)] = &[
    ("at the entry", "BEFORE INSERT ON tenancy.audit_records"),
    ("at the event", "BEFORE INSERT ON tenancy.outbox_events"),
    ("after the event", "AFTER INSERT ON tenancy.outbox_events"),
    (
        "at the commit",
        "AFTER INSERT ON tenancy.audit_records DEFERRABLE INITIALLY DEFERRED",
    ),
];

const WAYS: &[(&str, &str)] = &[
    ("an error", "RAISE EXCEPTION 'refused by a test'"),
    (
        "the end of the process",
        "PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(10)",
    ),
];

/// The registry's rows, but for those that the change before it in the same step has made; and how many
/// entries there are of an action, and how many events that they have caused.
async fn state(notes: &Notes, action: &str) -> anyhow::Result<(String, i64, i64)> {
    let tables = [
        "tenants",
        "domains",
        "external_ids",
        "memberships",
        "ownership_offers",
        "projects",
        "project_memberships",
        "roles",
        "token_epochs",
        "issuers",
        "provisionings",
        "accounts",
        "account_subjects",
        "password_resets",
    ];
    let rows = tables.map(|table| {
        format!("(SELECT coalesce(string_agg(t::text, '|' ORDER BY t::text), '') FROM tenancy.{table} AS t)")
    });
    let mut admin = notes.database.admin().await?;
    let registry = format!("SELECT md5({})", rows.join(" || "));
    let registry = sqlx::query_scalar(AssertSqlSafe(registry));
    let registry = registry.fetch_one(&mut admin).await?;
    let entries = "SELECT count(*) FROM tenancy.audit_entries WHERE action = $1";
    let entries = sqlx::query_scalar(entries).bind(action);
    let entries = entries.fetch_one(&mut admin).await?;
    let events = "SELECT count(*) FROM tenancy.outbox_events AS e
        JOIN tenancy.audit_entries AS a ON a.id = e.caused_by WHERE a.action = $1";
    let events = sqlx::query_scalar(events).bind(action);
    Ok((registry, entries, events.fetch_one(&mut admin).await?))
}

async fn keys_state(notes: &Notes) -> anyhow::Result<(i64, i64, String)> {
    let mut admin = notes.database.admin().await?;
    let keys = "SELECT count(*), count(revoked_at), coalesce(string_agg(name, '|' ORDER BY id), '')
        FROM tenancy.api_keys";
    Ok(sqlx::query_as(keys).fetch_one(&mut admin).await?)
}

#[tokio::test]
async fn a_change_its_entry_and_its_event_are_written_together_or_not_at_all() -> anyhow::Result<()>
{
    on_every_server(async |notes| {
        let engine = engine_with_keys(notes)?;
        let (admin, keys) = (engine.admin(service()), engine.keys()?.by(service()));
        let project = Project::new(notes.acme.id, "papers".parse()?, "Papers");
        admin.put_project(&project).await?;
        let accounts = engine.accounts(service());
        let carol = account("carol@example.com");
        accounts.create(&carol).await?;
        let mut scene = Scene {
            notes,
            admin,
            keys,
            project,
            key: KeyId::new(),
            resets: accounts.resets(
                Passwords::builder().build()?,
                OneTimeTokens::new(Pepper::new(1, PEPPER)?),
            ),
            accounts,
            account: carol.user,
        };
        let issued = scene.keys.issue(new_key(&scene)).await?;
        logwatch::issued_key(&issued);
        scene.key = issued.record().id;
        for (action, make) in CHANGES {
            for (place, when) in PLACES {
                for (way, body) in WAYS {
                    let case = format!("{action}, {place}, by {way}");
                    // Only what this change writes: others prepare it.
                    let kind = match place.contains("event") {
                        true => {
                            "EXISTS (SELECT FROM tenancy.audit_entries AS a \
                                 WHERE a.id = NEW.caused_by AND a.action = '$')"
                        }
                        false => "NEW.action = '$'",
                    };
                    let kind = kind.replace('$', action);
                    let constraint = when.contains("DEFERRABLE").then_some("CONSTRAINT ");
                    let (before, keys_before) =
                        (state(notes, action).await?, keys_state(notes).await?);
                    notes
                        .as_admin(&format!(
                            "CREATE FUNCTION public.cut_off() RETURNS trigger LANGUAGE plpgsql
                                 SECURITY DEFINER AS $$ BEGIN
                                 IF {kind} THEN {body}; END IF; RETURN NEW; END $$;
                             CREATE {}TRIGGER cut_off {when}
                                 FOR EACH ROW EXECUTE FUNCTION public.cut_off();",
                            constraint.unwrap_or_default()
                        ))
                        .await?;
                    let made = make(&scene).await;
                    notes
                        .as_admin("DROP FUNCTION public.cut_off() CASCADE")
                        .await?;
                    assert!(made.is_err(), "{case}: it was made");
                    assert_eq!(state(notes, action).await?, before, "{case}");
                    let keys = keys_state(notes).await?;
                    // A key may have been issued for the change; nothing happened to it.
                    assert_eq!(keys.1, keys_before.1, "{case}: keys were revoked");
                    let prepared = matches!(
                        *action,
                        "key.rotate" | "key.revoke-tenant" | "key.revoke-creator"
                    );
                    assert_eq!(keys.0, keys_before.0 + i64::from(prepared), "{case}");
                }
            }
            let (before, keys_before) = (state(notes, action).await?, keys_state(notes).await?);
            make(&scene)
                .await
                .map_err(|error| anyhow::anyhow!("{action}: {error}"))?;
            let (after, keys) = (state(notes, action).await?, keys_state(notes).await?);
            assert!(
                after.0 != before.0 || keys != keys_before,
                "{action} has changed nothing"
            );
            assert!(after.1 > before.1, "{action} has no entry");
            assert!(after.2 > before.2, "{action} has no event");
        }
        Ok(())
    })
    .await
}
