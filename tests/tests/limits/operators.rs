//! What operators see of a tenant's limits: the numbers that are enforced, also where nobody calls.

use tenancy_core::{
    Cost, PlanBook, StoreErrorKind, SystemRole, TenantFilter, TenantId,
    quota::{Limit, LimitOverride, OperationId, Period},
    testing::service,
};

use crate::world::{Setup, on_both, quotas, status, with};

#[tokio::test]
async fn an_operator_sees_what_is_enforced_for_one_tenant_and_for_all() -> anyhow::Result<()> {
    on_both(with(quotas), async |world| {
        for _ in 0..3 {
            assert_eq!(status(world.post("/export")).await?, 200);
        }
        let (acme, globex) = (world.acme.record().id, world.globex.record().id);
        let admin = world.tenancy.admin(service());
        let entries = world.audit.entries().len();
        let usage = admin.usage(acme).await?;
        assert_eq!(
            (usage.record.id, usage.plan.as_deref()),
            (acme, Some("free"))
        );
        let exports = &usage.limits[0];
        assert_eq!(
            (&*exports.name, &*exports.meter),
            ("exports-daily", "exports")
        );
        let standing = exports.standing;
        assert_eq!(
            (standing.limit, standing.used, standing.remaining),
            (5, 3, 2)
        );
        assert!(standing.reset_after.is_some());
        // What it says is left passes, and no more does.
        let more = Limit::per_period("exports", 6, Period::Day);
        let quotas = world.tenancy.quotas().expect("there are quotas");
        quotas.put_override(acme, LimitOverride::new(more))?;
        let left = admin.usage(acme).await?.limits[0].standing.remaining;
        assert_eq!(left, 3);
        for _ in 0..left {
            assert_eq!(status(world.post("/export")).await?, 200);
        }
        assert_eq!(status(world.post("/export")).await?, 429);

        let all = TenantFilter::new();
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = admin.list_usage(&all, after, 1).await?;
            let Some(tenant) = page.last() else { break };
            after = Some(tenant.record.id);
            let used = tenant.limits[0].standing.used;
            seen.push((tenant.record.id, tenant.plan.clone(), used));
        }
        let mut expected = vec![
            (acme, Some("free".to_owned()), 6),
            (globex, Some("pro".to_owned()), 0),
        ];
        expected.sort();
        assert_eq!(seen, expected);
        let free = admin.list_usage(&all.plan("pro"), None, 100).await?;
        assert_eq!(free.len(), 1);
        // Reading leaves no entries; the one is of the request that was refused.
        assert_eq!(world.audit.entries().len(), entries + 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_operator_is_told_of_a_tenant_that_is_not_there_or_has_no_plan_of_the_book()
-> anyhow::Result<()> {
    on_both(with(quotas), async |world| {
        let admin = world.tenancy.admin(service());
        let nobody = admin
            .usage(tenancy_core::TenantId::new())
            .await
            .unwrap_err();
        assert_eq!(nobody.kind(), StoreErrorKind::NotFound);
        let mut former = tenancy_core::TenantRecord::new("former".parse()?, "Former customer");
        former.plan = Some("pro".to_owned());
        admin.create_tenant(&former).await?;
        let free = [
            Limit::per_period("exports", 5, Period::Day),
            Limit::held("projects", 2),
        ];
        let book = PlanBook::new().plan("free", ["*"]).limits("free", free);
        world.tenancy.replace_plans(book)?;
        let usage = admin.usage(former.id).await?;
        assert_eq!(usage.plan.as_deref(), Some("pro"));
        assert!(usage.limits.is_empty());
        Ok(())
    })
    .await
}

/// An application that begins to count has some already.
#[tokio::test]
async fn what_a_tenant_had_before_counts_once_and_above_the_limit() -> anyhow::Result<()> {
    for remote in [false, true] {
        let setup = Setup {
            remote,
            ..with(quotas)
        };
        on_both(setup, async |world| {
            let acme = world.acme.record().id;
            let admin = world.tenancy.admin(service());
            assert_eq!(status(world.post("/projects")).await?, 200);
            let id = OperationId::of(["import", "2027-01-15"]);
            let forty = Cost::new("projects", 40);
            for _ in 0..2 {
                admin.import_held(acme, &forty, id).await?;
                assert_eq!(world.used("projects-held").await?, 41);
            }
            assert_eq!(status(world.post("/projects")).await?, 402);
            // Another id, and another tenant with the same one, are others.
            let one = Cost::new("projects", 1);
            admin.import_held(acme, &one, OperationId::unique()).await?;
            assert_eq!(world.used("projects-held").await?, 42);
            let globex = world.globex.record().id;
            admin.import_held(globex, &forty, id).await?;
            let entries = world.audit.entries();
            let mut imports = entries.iter().filter(|one| &*one.action == "held.import");
            let entry = imports.next().expect("it is in the trail");
            assert_eq!(entry.tenant, Some(acme));
            assert_eq!(
                entry
                    .details
                    .as_ref()
                    .map(|details| details["amount"].clone()),
                Some(40.into())
            );
            assert_eq!(imports.count(), 3);
            // Removed ones are given back as ever, and growth goes on below the limit.
            let alice = world.acme.member(SystemRole::Admin).await?;
            let context = world.acme.context(alice, SystemRole::Admin);
            let quotas = world.tenancy.quotas().expect("there are quotas");
            let freed = Cost::new("projects", 41);
            quotas
                .give_back(&context, &freed, OperationId::unique())
                .await?;
            for expected in [200, 402] {
                assert_eq!(status(world.post("/projects")).await?, expected);
            }
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_can_not_be_imported_is_refused_and_nothing_counts() -> anyhow::Result<()> {
    on_both(with(quotas), async |world| {
        let acme = world.acme.record().id;
        let admin = world.tenancy.admin(service());
        let id = OperationId::unique();
        for (tenant, held, kind, told) in [
            (
                acme,
                Cost::new("exports", 4),
                StoreErrorKind::Invalid,
                "`exports`",
            ),
            (
                acme,
                Cost::new("beer", 4),
                StoreErrorKind::Invalid,
                "`beer`",
            ),
            (
                acme,
                Cost::new("projects", u64::MAX),
                StoreErrorKind::Invalid,
                "at most 999999999999999",
            ),
            (
                TenantId::new(),
                Cost::new("projects", 4),
                StoreErrorKind::NotFound,
                "no such tenant",
            ),
        ] {
            let error = admin.import_held(tenant, &held, id).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(told), "{error}");
        }
        admin
            .import_held(acme, &Cost::new("projects", 0), id)
            .await?;
        assert_eq!(world.used("projects-held").await?, 0);
        Ok(())
    })
    .await
}
