//! Members in PostgreSQL: the last owner, ownership and keys that are handed on, with each step of a race held still,
//! by each login, and heard of in another process.

use std::{sync::Arc, time::Duration};

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tenancy_core::{
    Clock, KeysGo, ManualClock, Membership, MembershipDirectory as _, OwnershipOffer,
    OwnershipStore as _, OwnershipTerms, RefusalKind, StoreError, StoreErrorKind, SystemClock,
    SystemRole, UserId,
    key::{KeyDirectory as _, NewKey},
    testing::{FakeRequest, StoreDirectly as _, service, unattributed},
};
use tenancy_sqlx::{PgDirectory, RegistryPool};
use tenancy_tests::{
    Server, logwatch,
    notes::{self, Notes, PASSWORD, on_every_server, sqlstate},
};

use super::{
    admit,
    held::{FAIL_SAFE, open, waited_for},
    revocations::engine_with_keys,
};

/// Makes Alice the one owner of acme, beside another one who is returned.
async fn the_other_owner(notes: &Notes) -> anyhow::Result<UserId> {
    let owners = tenancy_core::MemberFilter::new().role(SystemRole::Owner);
    let owners = notes
        .directory
        .list_members(notes.acme.id, &owners, None, 10)
        .await?;
    let other = owners.iter().find(|owner| owner.user != notes.alice);
    let other = other
        .ok_or_else(|| anyhow::anyhow!("acme has one owner"))?
        .user;
    anyhow::ensure!(owners.len() == 2);
    Ok(other)
}

/// One owner goes by hand, in a transaction that is open; the other one by each of the ways. The second waits for the
/// first, sees what it has left, and stays.
#[tokio::test]
async fn an_owner_who_goes_while_the_other_is_going_stays() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (acme, alice) = (notes.acme.id, notes.alice);
        let other = the_other_owner(notes).await?;
        let admin = notes.tenancy.admin(service());
        for way in 0..4 {
            let goes = format!(
                "DELETE FROM tenancy.memberships WHERE tenant_id = '{acme}' AND user_id = '{other}'"
            );
            let (mut by_hand, pid) = open(notes, goes).await?;
            let goes_too = async {
                match way {
                    0 => admin.remove_membership(acme, alice).await,
                    1 => admin.suspend_member(acme, alice).await.map(drop),
                    2 => admin
                        .change_role(acme, alice, SystemRole::Admin.name())
                        .await
                        .map(drop),
                    _ => {
                        let viewer = Membership::new(acme, alice, SystemRole::Viewer.name());
                        admin.put_membership(&viewer).await
                    }
                }
            };
            let first = async {
                waited_for(notes, pid).await?;
                by_hand.execute("COMMIT").await?;
                anyhow::Ok(())
            };
            let (first, second) = tokio::join!(first, goes_too);
            first?;
            let refused = second.unwrap_err();
            assert_eq!(
                refused.kind(),
                StoreErrorKind::Conflict,
                "way {way}: {refused}"
            );
            assert!(
                refused
                    .to_string()
                    .contains("make somebody else an owner first")
            );
            let stays = notes.directory.find_membership(acme, alice).await?;
            assert!(stays.is_some_and(|stays| stays.is_active_owner()));
            let back = Membership::new(acme, other, SystemRole::Owner.name());
            notes.directory.put_membership(&back).await?;
        }
        Ok(())
    })
    .await
}

/// The rule is the database's: it holds for each login, and for a statement by hand.
#[tokio::test]
async fn no_login_takes_the_last_owner_away() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let acme = notes.acme.id;
        let other = the_other_owner(notes).await?;
        notes.directory.remove_membership(acme, other).await?;
        for role in ["tenancy_registry", "tenancy_system"] {
            let options = notes.database.options_as(role, Some(PASSWORD));
            let mut login = PgConnection::connect_with(&options).await?;
            let as_acme = format!("SELECT set_config('tenancy.tenant_id', '{acme}', false)");
            login.execute(AssertSqlSafe(as_acme)).await?;
            for statement in [
                format!("DELETE FROM tenancy.memberships WHERE tenant_id = '{acme}'"),
                format!("UPDATE tenancy.memberships SET role = 'admin' WHERE tenant_id = '{acme}'"),
                format!(
                    "UPDATE tenancy.memberships SET status = 'invited' WHERE tenant_id = '{acme}'"
                ),
            ] {
                let done = login.execute(AssertSqlSafe(statement.clone())).await;
                assert_eq!(sqlstate(done), "TN005", "{role}: {statement}");
            }
            login.close().await?;
        }
        // The app role reads no offers, and makes none.
        let mut app = PgConnection::connect_with(&notes.app_options()).await?;
        let asked = app.execute("SELECT FROM tenancy.ownership_offers").await;
        assert_eq!(sqlstate(asked), "42501");
        app.close().await?;
        Ok(())
    })
    .await
}

/// Through the login of self-service, which names one tenant: all of it works, and of another tenant nothing is
/// found. The other tenant has what could be found.
#[tokio::test]
async fn the_registry_login_hands_ownership_and_keys_on_within_its_tenant() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let registry = notes
            .database
            .options_as("tenancy_registry", Some(PASSWORD));
        let registry = RegistryPool::connect_with(registry).await?;
        let reading = notes.directory(notes.app_options(), 2).await?;
        let directory = reading.with_registry(&registry);
        let (acme, globex, now) = (notes.acme.id, notes.globex.id, notes.tenancy.clock().now());
        let (carol, dave) = (UserId::new(), UserId::new());
        let mut offers = Vec::new();
        for (tenant, owner) in [(acme, notes.alice), (globex, notes.bob)] {
            for user in [carol, dave] {
                let member = Membership::new(tenant, user, SystemRole::Member.name());
                directory.put_membership(&member).await?;
            }
            let offer = OwnershipOffer::new(tenant, owner, carol, &OwnershipTerms::new(), now);
            directory
                .put_ownership_offer(&offer, now, &unattributed())
                .await?;
            offers.push(offer);
        }
        let mut admin = notes.database.admin().await?;
        let as_acme = format!(
            "SET ROLE tenancy_registry; SELECT set_config('tenancy.tenant_id', '{acme}', false)"
        );
        admin.execute(AssertSqlSafe(as_acme)).await?;
        let seen: Vec<sqlx::types::Uuid> =
            sqlx::query_scalar("SELECT tenant_id FROM tenancy.ownership_offers")
                .fetch_all(&mut admin)
                .await?;
        assert_eq!(seen, [acme.as_uuid()], "and none of globex, which has one");

        directory
            .accept_ownership(&offers[0], now, &unattributed())
            .await?;
        let carols = directory.find_membership(acme, carol).await?;
        assert!(carols.is_some_and(|carols| carols.is_active_owner()));
        let theirs = directory.find_ownership_offer(globex, now).await?;
        assert_eq!(theirs.as_ref(), Some(&offers[1]));

        // A key of dave's goes on with carol, and one in globex stays his.
        let keys = engine_with_keys(notes)?;
        let mut issued = Vec::new();
        for tenant in [acme, globex] {
            let new = NewKey::new(tenant, dave, "ci", ["*".parse()?]);
            let key = keys.keys()?.by(service()).issue(new).await?;
            logwatch::issued_key(&key);
            issued.push(key);
        }
        let engine = notes::builder(directory.clone())?.build()?;
        let by_registry = engine.admin(service());
        by_registry
            .remove_membership_with(acme, dave, KeysGo::To(carol))
            .await?;
        let handed = directory.find_key(issued[0].record().id).await?;
        let handed = handed.ok_or_else(|| anyhow::anyhow!("the key is gone"))?;
        assert_eq!((handed.creator, handed.revoked_at), (carol, None));
        assert!(handed.scopes.iter().all(|scope| !scope.is_everything()));
        let stays = directory.find_key(issued[1].record().id).await?;
        assert_eq!(
            stays.map(|stays| (stays.creator, stays.revoked_at)),
            Some((dave, None))
        );

        directory.close().await;
        registry.close().await;
        Ok(())
    })
    .await
}

/// A key is being issued when its creator is removed: the removal waits for it, and revokes it.
#[tokio::test]
async fn a_key_that_is_being_issued_is_revoked_with_its_creator() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (acme, carol) = (notes.acme.id, UserId::new());
        let member = Membership::new(acme, carol, SystemRole::Member.name());
        notes.directory.put_membership(&member).await?;
        let issuing = format!(
            "SELECT FROM tenancy.memberships WHERE tenant_id = '{acme}' AND user_id = '{carol}' FOR KEY SHARE;
             INSERT INTO tenancy.api_keys (id, tenant_id, creator, environment, name, scopes, networks, metadata,
                 digest, digest_version, created_at, disabled)
             VALUES ('{carol}', '{acme}', '{carol}', 'live', 'late', '{{*}}', '{{}}', '{{}}',
                 decode(repeat('07', 32), 'hex'), 1, now(), false)"
        );
        let (mut by_hand, pid) = open(notes, issuing).await?;
        let removing = notes.directory.remove_membership(acme, carol);
        let issued = async {
            waited_for(notes, pid).await?;
            by_hand.execute("COMMIT").await?;
            anyhow::Ok(())
        };
        let (issued, removed) = tokio::join!(issued, removing);
        issued?;
        removed?;
        let late = tenancy_core::KeyId::from_uuid(carol.as_uuid());
        let late = notes.directory.find_key(late).await?;
        assert!(late.is_some_and(|late| late.revoked_at.is_some()));
        Ok(())
    })
    .await
}

/// Another role, a suspension, a removal and a handover elsewhere count in another process within the bound.
#[tokio::test]
async fn what_is_changed_of_members_holds_elsewhere_within_the_bound() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let clock = Arc::new(ManualClock::now_frozen());
        let shared: Arc<dyn Clock> = clock.clone();
        let notes = Notes::start_with(&server, shared.clone(), |builder| builder).await?;
        let reading = PgDirectory::connect_with(notes.app_options(), 2).await?;
        let elsewhere = notes::builder(reading)?.clock(shared).build()?;
        let (acme, alice) = (notes.acme.id, notes.alice);
        let admin = notes.tenancy.admin(service());
        let wait = || clock.advance(elsewhere.max_staleness() + Duration::from_millis(1));
        for _ in 0..2 {
            let context = admit(&elsewhere, alice, "acme").await?;
            assert_eq!(context.role(), Some(&SystemRole::Owner.name()));
        }
        admin
            .change_role(acme, alice, SystemRole::Viewer.name())
            .await?;
        let here = admit(&notes.tenancy, alice, "acme").await?;
        assert_eq!(here.role(), Some(&SystemRole::Viewer.name()));
        wait();
        let context = admit(&elsewhere, alice, "acme").await?;
        assert_eq!(context.role(), Some(&SystemRole::Viewer.name()));

        admin.suspend_member(acme, alice).await?;
        let refused = admit(&notes.tenancy, alice, "acme").await.unwrap_err();
        assert_eq!(refused.kind(), RefusalKind::TenantNotFound);
        wait();
        let refused = admit(&elsewhere, alice, "acme").await.unwrap_err();
        assert_eq!(refused.kind(), RefusalKind::TenantNotFound);
        admin.resume_member(acme, alice).await?;
        wait();
        admit(&elsewhere, alice, "acme").await?;
        notes.database.close().await?;
    }
    Ok(())
}

/// A key is used while its creator goes: refused from then on in this process, and alive no more when the user comes
/// back.
#[tokio::test]
async fn keys_die_with_the_membership_and_stay_dead() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let engine = engine_with_keys(notes)?;
        let carol = UserId::new();
        let member = Membership::new(notes.acme.id, carol, SystemRole::Member.name());
        notes.directory.put_membership(&member).await?;
        let new = NewKey::new(notes.acme.id, carol, "ci", ["*".parse()?]);
        let key = engine.keys()?.by(service()).issue(new).await?;
        logwatch::issued_key(&key);
        let asks = || FakeRequest::new("/notes").bearer(key.expose());
        let needs = tenancy_core::RouteNeeds::tenant;
        super::admit_request(&engine, &asks(), needs()).await?;
        let admin = engine.admin(service());
        admin.remove_membership(notes.acme.id, carol).await?;
        for _ in 0..2 {
            let refused = super::admit_request(&engine, &asks(), needs())
                .await
                .unwrap_err();
            assert_eq!(refused.reason(), "key-revoked");
            admin.put_membership(&member).await?;
        }
        Ok::<_, anyhow::Error>(())
    })
    .await
}

/// Acceptances and removals of many at once end, and never in a circle.
#[tokio::test]
async fn changes_at_once_do_not_wait_in_a_circle() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (acme, now) = (notes.acme.id, notes.tenancy.clock().now());
        let admin = notes.tenancy.admin(service());
        for _ in 0..10 {
            let mut users = Vec::new();
            for role in [SystemRole::Owner, SystemRole::Member, SystemRole::Member] {
                let member = Membership::new(acme, UserId::new(), role.name());
                notes.directory.put_membership(&member).await?;
                users.push(member.user);
            }
            let offer = OwnershipOffer::new(acme, users[0], users[1], &OwnershipTerms::new(), now);
            notes
                .directory
                .put_ownership_offer(&offer, now, &unattributed())
                .await?;
            let record = unattributed();
            let all = async {
                tokio::join!(
                    notes.directory.accept_ownership(&offer, now, &record),
                    admin.remove_membership_with(acme, users[2], KeysGo::To(users[1])),
                    admin.remove_membership_with(acme, users[1], KeysGo::To(users[2])),
                    admin.suspend_member(acme, users[0]),
                )
            };
            let (a, b, c, d) = tokio::time::timeout(FAIL_SAFE, all).await?;
            let done: [Option<StoreError>; 4] = [a.err(), b.err(), c.err(), d.err()];
            for error in done.iter().flatten() {
                assert_ne!(error.kind(), StoreErrorKind::Unavailable, "{done:?}");
            }
            let open = notes.directory.find_ownership_offer(acme, now).await?;
            assert_eq!(open, None, "{done:?}");
        }
        Ok(())
    })
    .await
}

/// A process whose clock is ten days slow, and the database: an offer that is over by one of them is over.
#[tokio::test]
async fn of_clocks_that_differ_the_earliest_end_of_an_offer_counts() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        const DAY: Duration = Duration::from_secs(24 * 3_600);
        let (acme, carol, now) = (notes.acme.id, UserId::new(), SystemClock.now());
        let slow = now - 10 * DAY;
        let directory = &notes.directory;
        let member = Membership::new(acme, carol, SystemRole::Member.name());
        directory.put_membership(&member).await?;
        for (lasts, is_open) in [(9 * DAY, false), (11 * DAY, true)] {
            let terms = OwnershipTerms::new().lasts(lasts);
            let offer = OwnershipOffer::new(acme, notes.alice, carol, &terms, slow);
            assert!(offer.is_open_at(slow), "by the slow clock both are open");
            directory
                .put_ownership_offer(&offer, slow, &unattributed())
                .await?;
            let found = directory.find_ownership_offer(acme, slow).await?;
            assert_eq!(found.is_some(), is_open);
            let record = unattributed();
            let declined = directory.end_ownership_offer(&offer, slow, &record);
            if !is_open {
                let over = declined.await.unwrap_err();
                assert_eq!(over.kind(), StoreErrorKind::NotFound, "{over}");
            }
            let accepted = directory.accept_ownership(&offer, slow, &record).await;
            let carols = directory.find_membership(acme, carol).await?;
            let owns = carols.is_some_and(|carols| carols.is_active_owner());
            assert_eq!((accepted.is_ok(), owns), (is_open, is_open), "{accepted:?}");
        }
        Ok(())
    })
    .await
}
