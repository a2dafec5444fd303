//! The feed of changes, as SQL sees it.

use anyhow::Context as _;
use sqlx::{AssertSqlSafe, Executor as _};
use tenancy_core::{
    FeedPage, Generation, GenerationFeed as _, Membership, SystemRole, TenantDirectory as _,
    TenantId, UserId, testing::StoreDirectly as _,
};
use tenancy_tests::notes::{Notes, on_every_server};

/// The generation that a page tells of a tenant.
fn told(page: &FeedPage, id: TenantId) -> Option<Generation> {
    let news = page.changed.iter().find(|(tenant, _)| *tenant == id);
    news.map(|(_, generation)| *generation)
}

async fn generation(notes: &Notes, id: TenantId) -> anyhow::Result<Generation> {
    let tenant = notes.directory.find_tenant(&id.into()).await?;
    Ok(tenant.context("the tenant is found")?.generation)
}

/// Transactions begin in one order and commit in another.
#[tokio::test]
async fn a_change_that_commits_late_is_told() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let feed = &notes.directory;
        let start = feed.changes_since(None).await?;
        assert_eq!(start.changed, []);
        let before = generation(notes, notes.acme.id).await?;

        let mut late = notes.database.admin().await?;
        let rename = format!(
            "BEGIN; UPDATE tenancy.tenants SET name = 'Late' WHERE id = '{}'",
            notes.acme.id
        );
        late.execute(AssertSqlSafe(rename)).await?;
        feed.set_settings(notes.globex.id, &Default::default())
            .await?;

        let first = feed.changes_since(Some(start.cursor)).await?;
        assert!(told(&first, notes.globex.id).is_some());
        // Older news may be told again: any transaction of the server holds the cursor back.
        assert!(told(&first, notes.acme.id).is_none_or(|generation| generation == before));

        late.execute("COMMIT").await?;
        let second = feed.changes_since(Some(first.cursor)).await?;
        assert_eq!(told(&second, notes.acme.id), Some(before.next()));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_change_that_is_rolled_back_is_not_told() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let start = notes.directory.changes_since(None).await?;
        let before = generation(notes, notes.acme.id).await?;
        let undone = format!(
            "BEGIN; UPDATE tenancy.tenants SET name = 'x' WHERE id = '{}'; ROLLBACK",
            notes.acme.id
        );
        notes.as_admin(&undone).await?;
        let page = notes.directory.changes_since(Some(start.cursor)).await?;
        let told = told(&page, notes.acme.id);
        assert!(told.is_none_or(|generation| generation == before));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn every_change_advances_the_generation_of_its_tenant_alone() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let generation = async |id| anyhow::Ok(generation(notes, id).await?.as_i64());
        let other = generation(notes.globex.id).await?;
        let before = generation(notes.acme.id).await?;
        let user = UserId::new();
        let membership = Membership::new(notes.acme.id, user, SystemRole::Viewer.name());
        notes.directory.put_membership(&membership).await?;
        assert_eq!(generation(notes.acme.id).await?, before + 1);

        notes
            .directory
            .remove_membership(notes.acme.id, user)
            .await?;
        assert_eq!(generation(notes.acme.id).await?, before + 2);
        assert_eq!(generation(notes.globex.id).await?, other);
        Ok(())
    })
    .await
}

/// Also for a change that is made in SQL, past the library.
#[tokio::test]
async fn a_row_of_the_registry_can_not_move_to_another_tenant() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let move_it = format!(
            "UPDATE tenancy.memberships SET tenant_id = '{}'",
            notes.acme.id
        );
        let refused = notes.as_admin(&move_it).await.unwrap_err();
        assert!(refused.to_string().contains("can't move to another tenant"));
        assert_eq!(notes.count("tenancy.memberships", &notes.globex).await?, 2);
        Ok(())
    })
    .await
}

/// M14. A transaction that is open for long, while many tenants change: each change is told once.
#[tokio::test]
async fn a_transaction_that_is_open_for_long_has_nothing_told_again() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let feed = &notes.directory;
        let many = if std::env::var_os("TENANCY_LONG").is_some() { 100_000 } else { 25_000 };
        notes
            .as_admin(&format!(
                "INSERT INTO tenancy.tenants (id, slug, name, status)
                 SELECT gen_random_uuid(), 'm-' || n, 'M', 'active' FROM generate_series(1, {many}) AS n"
            ))
            .await?;
        let mut seen = feed.changes_since(None).await?.cursor;
        let mut late = notes.database.admin().await?;
        let rename = format!(
            "BEGIN; UPDATE tenancy.tenants SET name = 'Late' WHERE id = '{}'",
            notes.acme.id
        );
        late.execute(AssertSqlSafe(rename)).await?;
        notes
            .as_admin("UPDATE tenancy.tenants SET name = 'N' WHERE slug LIKE 'm-%'")
            .await?;

        // To the head: every page is bounded, and each tenant is told once.
        let mut all = std::collections::HashSet::new();
        loop {
            let page = feed.changes_since(Some(seen)).await?;
            assert!(page.changed.len() <= 10_000, "{}", page.changed.len());
            for (tenant, _) in &page.changed {
                assert!(all.insert(*tenant), "told twice");
            }
            seen = page.cursor;
            if !page.more {
                break;
            }
        }
        assert_eq!(all.len(), many);
        for _ in 0..3 {
            let page = feed.changes_since(Some(seen)).await?;
            assert_eq!((page.changed.len(), page.more), (0, false));
            seen = page.cursor;
        }
        // What was open all the time is told when it commits, also if the cursor was taken half-way.
        late.execute("COMMIT").await?;
        let page = feed.changes_since(Some(seen)).await?;
        assert_eq!(page.changed.len(), 1);
        assert!(told(&page, notes.acme.id).is_some());
        Ok(())
    })
    .await
}

/// Changes that commit between two pages, behind the place to which the first has come.
#[tokio::test]
async fn what_commits_between_two_pages_is_told_by_the_next_call() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let feed = &notes.directory;
        let start = feed.changes_since(None).await?.cursor;
        let mut late = notes.database.admin().await?;
        let open = format!(
            "BEGIN; UPDATE tenancy.tenants SET name = 'Late' WHERE id = '{}'",
            notes.acme.id
        );
        late.execute(AssertSqlSafe(open)).await?;
        notes
            .as_admin(
                "INSERT INTO tenancy.tenants (id, slug, name, status)
                 SELECT gen_random_uuid(), 'm-' || n, 'M', 'active' FROM generate_series(1, 10500) AS n",
            )
            .await?;
        let first = feed.changes_since(Some(start)).await?;
        assert_eq!((first.changed.len(), first.more), (10_000, true));
        late.execute("COMMIT").await?;
        feed.set_settings(notes.globex.id, &Default::default())
            .await?;
        let second = feed.changes_since(Some(first.cursor)).await?;
        assert!(!second.more && second.changed.len() >= 500);
        let third = feed.changes_since(Some(second.cursor)).await?;
        for id in [notes.acme.id, notes.globex.id] {
            assert!(told(&third, id).is_some());
        }
        assert!(third.changed.len() <= 2);
        Ok(())
    })
    .await
}
