//! Slugs that rest, and the tenants of a user, over the registry login.

use sqlx::{Connection as _, PgConnection};
use tenancy_core::{
    MemberFilter, Membership, StoreErrorKind, SystemRole, TenantDirectory as _, TenantRecord,
    testing::StoreDirectly as _,
};
use tenancy_tests::notes::{PASSWORD, on_every_server, sqlstate};

use crate::registry::directory;

/// Whoever takes a slug while its tenant lets go of it waits, and is told that it rests.
#[tokio::test]
async fn a_slug_that_is_let_go_of_at_this_moment_is_not_taken() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let directory = directory(notes).await?;
        let mut admin = notes.database.admin().await?;
        let mut letting_go = admin.begin().await?;
        sqlx::query("UPDATE tenancy.tenants SET slug = 'acme-2' WHERE id = $1")
            .bind(notes.acme.id.as_uuid())
            .execute(&mut *letting_go)
            .await?;
        let taking = TenantRecord::new(notes.acme.slug.clone(), "Taker");
        let take = directory.create_tenant(&taking);
        let commit = async {
            let mut other = notes.database.admin().await?;
            until_somebody_waits(&mut other).await?;
            letting_go.commit().await?;
            anyhow::Ok(())
        };
        let (taken, committed) = tokio::join!(take, commit);
        committed?;
        assert_eq!(taken.unwrap_err().kind(), StoreErrorKind::Conflict);
        assert_eq!(directory.find_tenant(&taking.id.into()).await?, None);
        Ok(())
    })
    .await
}

async fn until_somebody_waits(other: &mut PgConnection) -> anyhow::Result<()> {
    let waits = "SELECT count(*) > 0 FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while !sqlx::query_scalar::<_, bool>(waits)
        .fetch_one(&mut *other)
        .await?
    {
        tokio::task::yield_now().await;
    }
    Ok(())
}

#[tokio::test]
async fn operators_end_the_rest_of_a_slug_and_nobody_else_can() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let directory = directory(notes).await?;
        let old = notes.acme.slug.clone();
        directory
            .set_slug(notes.acme.id, &"acme-2".parse()?)
            .await?;
        let rests = directory.set_slug(notes.globex.id, &old).await;
        assert_eq!(rests.unwrap_err().kind(), StoreErrorKind::Conflict);
        let end = "DELETE FROM tenancy.resting_slugs WHERE slug = $1";
        let login = async |role| {
            let options = notes.database.options_as(role, Some(PASSWORD));
            PgConnection::connect_with(&options).await
        };
        for role in ["tenancy_app", "tenancy_registry"] {
            let mut login = login(role).await?;
            let ended = sqlx::query(end)
                .bind(old.as_str())
                .execute(&mut login)
                .await;
            assert_eq!(sqlstate(ended), "42501", "{role}");
        }
        let mut operators = login("tenancy_system").await?;
        let ended = sqlx::query(end)
            .bind(old.as_str())
            .execute(&mut operators)
            .await?;
        assert_eq!(ended.rows_affected(), 1);
        directory.set_slug(notes.globex.id, &old).await?;
        // And in time it ends by itself.
        let mut admin = notes.database.admin().await?;
        let past = "UPDATE tenancy.resting_slugs SET rests_until = clock_timestamp()";
        assert_eq!(
            sqlx::query(past).execute(&mut admin).await?.rows_affected(),
            1
        );
        directory
            .set_slug(notes.acme.id, &notes.globex.slug)
            .await?;
        Ok(())
    })
    .await
}

/// The login of the service may be reached by a caller's SQL, so it lists nobody's tenants.
#[tokio::test]
async fn the_registry_login_lists_a_users_tenants_and_the_services_login_does_not()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        let directory = directory(notes).await?;
        let globex = Membership::new(notes.globex.id, notes.alice, SystemRole::Viewer.name());
        directory.put_membership(&globex).await?;
        let mut theirs = [notes.acme.id, notes.globex.id];
        theirs.sort_unstable();
        let told = directory
            .list_tenants_of(notes.alice, &MemberFilter::new(), None, 10)
            .await?;
        let told: Vec<_> = told.iter().map(|it| it.record.id).collect();
        assert_eq!(told, theirs);

        let serving = notes.directory(notes.app_options(), 1).await?;
        let refused = serving
            .list_tenants_of(notes.alice, &MemberFilter::new(), None, 10)
            .await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::ReadOnly);
        anyhow::ensure!(refused.to_string().contains("with_registry"), "{refused}");
        let mut app = PgConnection::connect_with(&notes.app_options()).await?;
        let direct =
            sqlx::query("SELECT count(*) FROM tenancy.tenants_of($1, NULL, NULL, NULL, 10)")
                .bind(notes.alice.as_uuid())
                .fetch_one(&mut app)
                .await;
        assert_eq!(sqlstate(direct), "42501");
        Ok(())
    })
    .await
}
