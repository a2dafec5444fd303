//! Changes that an ordinary trigger does not see, and transaction ids of another cluster.

use std::{sync::Arc, time::Duration};

use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use tenancy_core::{
    Clock, FeedCursor, FeedPage, GenerationFeed as _, ManualClock, RefusalKind, RevokedBefore,
    SystemClock, TenantDirectory as _, TokenSubject,
};
use tenancy_sqlx::{PgDirectory, schema::Installer};
use tenancy_tests::{
    Server,
    notes::{self, MIGRATIONS, Notes, on_every_server},
};

use crate::admit;

/// Beyond any transaction id of a server that has just been started.
const FUTURE: u64 = 1 << 40;

fn tells(page: &FeedPage, tenant: tenancy_core::TenantId) -> bool {
    page.changed.iter().any(|(told, _)| *told == tenant)
}

async fn generation(notes: &Notes, tenant: &tenancy_core::TenantRecord) -> anyhow::Result<i64> {
    let found = notes.directory.find_tenant(&tenant.id.into()).await?;
    Ok(found.map_or(0, |tenant| tenant.generation.as_i64()))
}

/// D21. As replication writes: no ordinary trigger fires.
#[tokio::test]
async fn a_replica_session_is_heard_like_any() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let start = notes.directory.changes_since(None).await?.cursor;
        let alice = TokenSubject::User(notes.alice);
        notes
            .as_admin(&format!(
                "SET session_replication_role = replica;
                 DELETE FROM tenancy.memberships WHERE tenant_id = '{}';
                 INSERT INTO tenancy.token_epochs VALUES ('user', '{}', '2030-01-01', '7')",
                notes.acme.id, notes.alice
            ))
            .await?;
        let page = notes.directory.changes_since(Some(start)).await?;
        assert!(tells(&page, notes.acme.id));
        assert!(page.token_revocations.iter().any(|(of, _)| *of == alice));
        Ok(())
    })
    .await
}

/// What the publisher's generations and token revocations do to ours, if somebody publishes them too.
#[tokio::test]
async fn a_row_that_replication_brings_twice_is_no_duplicate_and_nothing_goes_back()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        let before = generation(notes, &notes.acme).await?;
        let (acme, alice) = (notes.acme.id, notes.alice);
        let ahead = before + 100;
        let brings = format!(
            "SET session_replication_role = replica;
             INSERT INTO tenancy.generations VALUES ('{acme}', 1, '7');
             INSERT INTO tenancy.generations VALUES ('{acme}', {ahead}, '7');
             UPDATE tenancy.generations SET generation = 3, changed_xid = '7'
                 WHERE tenant_id = '{acme}';
             INSERT INTO tenancy.token_epochs VALUES ('user', '{alice}', '2030-01-01', '7');
             INSERT INTO tenancy.token_epochs VALUES ('user', '{alice}', '2029-01-01', '7');
             UPDATE tenancy.token_epochs SET valid_after = '2028-01-01', changed_xid = '7'"
        );
        let start = notes.directory.changes_since(None).await?.cursor;
        notes.as_admin(&brings).await?;
        assert_eq!(generation(notes, &notes.acme).await?, ahead + 1);
        let page = notes.directory.changes_since(Some(start)).await?;
        assert!(tells(&page, acme));
        let in_2030 = tenancy_core::Timestamp::from_unix_seconds(1_893_456_000);
        let told = [(
            TokenSubject::User(alice),
            RevokedBefore::from_timestamp(in_2030),
        )];
        assert_eq!(page.token_revocations, told);
        Ok(())
    })
    .await
}

/// D21. A database that was restored into a younger cluster, and not re-based.
#[tokio::test]
async fn stamps_from_the_future_are_not_told_again_and_again_and_a_change_is() -> anyhow::Result<()>
{
    on_every_server(async |notes| {
        let feed = &notes.directory;
        stamp_the_future(notes).await?;
        let mut cursor = feed.changes_since(None).await?.cursor;
        for _ in 0..3 {
            let page = feed.changes_since(Some(cursor)).await?;
            assert_eq!((page.changed, page.token_revocations.len()), (vec![], 0));
            cursor = page.cursor;
        }
        // Whoever starts anew still learns of every token revocation.
        assert_eq!(feed.changes_since(None).await?.token_revocations.len(), 1);

        notes
            .as_admin(&format!(
                "UPDATE tenancy.tenants SET status = 'suspended' WHERE id = '{}';
                 UPDATE tenancy.token_epochs SET valid_after = '2031-01-01'",
                notes.acme.id
            ))
            .await?;
        let page = feed.changes_since(Some(cursor)).await?;
        assert!(tells(&page, notes.acme.id) && !tells(&page, notes.globex.id));
        assert_eq!(page.token_revocations.len(), 1);
        Ok(())
    })
    .await
}

/// Gives every generation, and a token revocation, the stamp of a cluster that is much older.
async fn stamp_the_future(notes: &Notes) -> anyhow::Result<()> {
    notes
        .as_admin(&format!(
            "INSERT INTO tenancy.token_epochs VALUES ('tenant', '{}', '2030-01-01');
             BEGIN;
             ALTER TABLE tenancy.generations DISABLE TRIGGER USER;
             ALTER TABLE tenancy.token_epochs DISABLE TRIGGER USER;
             UPDATE tenancy.generations SET changed_xid = '{FUTURE}';
             UPDATE tenancy.token_epochs SET changed_xid = '{FUTURE}';
             COMMIT;
             SELECT tenancy.arm_triggers()",
            notes.globex.id
        ))
        .await
}

/// D21. Also for a program of an earlier version, which asks for the same functions.
#[tokio::test]
async fn an_installation_rebases_a_database_that_is_another_one_now_and_does_so_once()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        let install = async || {
            let mut admin = notes.database.admin().await?;
            Installer::new().run_on(&mut admin, &MIGRATIONS).await?;
            anyhow::Ok(admin.close().await?)
        };
        // A copy of the template has another id than the template, as a restored database has.
        for future in [false, true] {
            if future {
                stamp_the_future(notes).await?;
            }
            let start = notes.directory.changes_since(None).await?;
            let strict = generation(notes, &notes.acme).await?;
            install().await?;
            let page = notes.directory.changes_since(Some(start.cursor)).await?;
            assert!(tells(&page, notes.acme.id) && tells(&page, notes.globex.id));
            assert_eq!(page.token_revocations.len(), usize::from(future));
            let rebased = generation(notes, &notes.acme).await?;
            assert!(rebased > strict + 1, "{strict} to {rebased}");
            let now = SystemClock.now().as_unix_micros() / 1000;
            assert!(
                (now - 60_000..=now + 60_000).contains(&rebased),
                "{rebased}"
            );

            install().await?;
            assert_eq!(generation(notes, &notes.acme).await?, rebased);
        }
        Ok(())
    })
    .await
}

/// A process that asks one database and then another, such as one that was restored in its place.
#[tokio::test]
async fn a_page_says_which_database_tells_it() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let (one, other) = (Notes::start(&server).await?, Notes::start(&server).await?);
        let first = one.directory.changes_since(None).await?;
        let cursor = first.cursor.clone();
        let again = one.directory.changes_since(Some(cursor)).await?;
        let elsewhere = other.directory.changes_since(Some(first.cursor)).await?;
        assert_eq!(first.origin, again.origin);
        assert_ne!(first.origin, elsewhere.origin);
        assert!(!first.origin.contains('?'), "{}", first.origin);
        one.database.close().await?;
        other.database.close().await?;
    }
    Ok(())
}

/// A server that keeps its control data to itself.
#[tokio::test]
async fn a_server_that_does_not_say_which_it_is_feeds_all_the_same() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        notes
            .as_admin(
                "REVOKE EXECUTE ON FUNCTION pg_control_system(), pg_walfile_name(pg_lsn)
                     FROM PUBLIC",
            )
            .await?;
        let page = notes
            .directory
            .changes_since(Some(FeedCursor::at(1)))
            .await?;
        assert!(page.origin.starts_with("?/") && page.origin.ends_with("/?"));
        assert!(tells(&page, notes.acme.id));
        Ok(())
    })
    .await
}

/// The bound for what nobody saw.
#[tokio::test]
async fn a_membership_that_was_deleted_with_the_triggers_off_ends_within_the_cache_age()
-> anyhow::Result<()> {
    for server in Server::all().await? {
        let clock = Arc::new(ManualClock::now_frozen());
        let shared: Arc<dyn Clock> = clock.clone();
        let notes = Notes::start_with(&server, shared.clone(), |builder| builder).await?;
        let directory = PgDirectory::connect_with(notes.app_options(), 2).await?;
        let other = notes::builder(directory)?.clock(shared).build()?;
        for _ in 0..2 {
            admit(&other, notes.alice, "acme").await?;
            admit(&other, notes.bob, "globex").await?;
        }
        let blind = format!(
            "BEGIN;
             ALTER TABLE tenancy.memberships DISABLE TRIGGER ALL;
             DELETE FROM tenancy.memberships WHERE user_id = '{}';
             ALTER TABLE tenancy.memberships ENABLE ALWAYS TRIGGER advance_generation;
             COMMIT",
            notes.alice
        );
        notes.as_admin(&blind).await?;
        let tick = Duration::from_millis(1);
        clock.advance(other.max_cache_age() - tick);
        // The feed answers, and has heard nothing.
        other.catch_up().await?;
        admit(&other, notes.alice, "acme").await?;
        clock.advance(tick);
        let refused = admit(&other, notes.alice, "acme").await.unwrap_err();
        assert_eq!(refused.kind(), RefusalKind::TenantNotFound);
        admit(&other, notes.bob, "globex").await?;
        notes.database.close().await?;
    }
    Ok(())
}

/// A trigger that somebody has switched off, or replaced, is armed by the next installation.
#[tokio::test]
async fn an_installation_arms_the_triggers_again() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let unarmed = "SELECT count(*) FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
             WHERE c.relnamespace = 'tenancy'::regnamespace AND c.relkind <> 'v' AND NOT t.tgisinternal
                 AND t.tgenabled <> 'A'";
        let mut admin = notes.database.admin().await?;
        let count: i64 = sqlx::query_scalar(unarmed).fetch_one(&mut admin).await?;
        assert_eq!(count, 0);
        let owner = "ALTER TABLE tenancy.memberships DISABLE TRIGGER advance_generation;
             ALTER TABLE tenancy.token_epochs ENABLE TRIGGER tell_change";
        admin.execute(AssertSqlSafe(owner.to_owned())).await?;
        Installer::new().run_on(&mut admin, &MIGRATIONS).await?;
        let count: i64 = sqlx::query_scalar(unarmed).fetch_one(&mut admin).await?;
        assert_eq!(count, 0);
        Ok(())
    })
    .await
}
