//! Versions of plans: added in their order, found, listed, and never changed.

use super::slug;
use crate::{
    PlanDirectory, PlanStore, PlanVersion, StoreErrorKind, Timestamp, testing::unattributed,
};

/// Runs all that concerns plans.
pub async fn plans<D: PlanDirectory + PlanStore>(directory: &D) {
    versions_are_added_in_their_order_and_found(directory).await;
    versions_are_listed_in_pages(directory).await;
}

fn version(plan: &str, number: u32) -> PlanVersion {
    let at = Timestamp::from_unix_micros(1_700_000_000_000_000 + i64::from(number));
    let definition = serde_json::json!({ "permissions": [format!("grant:{number}")] });
    PlanVersion::from_stored(plan, number, definition, at)
}

/// A version is found by its exact name and number, the newest without a number, and a number counts once.
pub async fn versions_are_added_in_their_order_and_found<D: PlanDirectory + PlanStore>(
    directory: &D,
) {
    let plan = format!("Pro {} '\"; --ß", slug("p"));
    let add = async |number| {
        let added = directory
            .add_plan_version(&version(&plan, number), &unattributed())
            .await;
        added.map_err(|error| error.kind())
    };
    let find = async |plan: &str, number| directory.find_plan_version(plan, number).await.unwrap();
    assert_eq!(find(&plan, None).await, None);
    assert_eq!(
        add(2).await,
        Err(StoreErrorKind::Conflict),
        "there is no first one"
    );
    assert_eq!(add(1).await, Ok(()));
    assert_eq!(add(1).await, Err(StoreErrorKind::Conflict), "it is there");
    assert_eq!(add(3).await, Err(StoreErrorKind::Conflict), "2 is next");
    assert_eq!(add(2).await, Ok(()));
    for number in [1, 2] {
        assert_eq!(
            find(&plan, Some(number)).await,
            Some(version(&plan, number))
        );
    }
    assert_eq!(find(&plan, None).await, Some(version(&plan, 2)));
    for (plan, number) in [
        (plan.as_str(), Some(0)),
        (plan.as_str(), Some(3)),
        (plan.as_str(), Some(u32::MAX)),
        (&plan.to_lowercase(), None),
        (&plan.replace('p', "%"), None),
        ("", None),
        ("a\0b", None),
    ] {
        assert_eq!(find(plan, number).await, None, "{plan} {number:?}");
    }
}

/// Versions come by plan and number, in pages.
pub async fn versions_are_listed_in_pages<D: PlanDirectory + PlanStore>(directory: &D) {
    let plans = ["B", "a", "é"].map(|letter| format!("{letter}{}", slug("p")));
    let mut all = Vec::new();
    for plan in &plans {
        for number in 1..=3 {
            let added = version(plan, number);
            directory
                .add_plan_version(&added, &unattributed())
                .await
                .unwrap();
            all.push(added);
        }
    }
    for of in [None, Some(plans[1].as_str())] {
        let mut found: Vec<PlanVersion> = Vec::new();
        loop {
            let after = found
                .last()
                .map(|last| (last.definition.name(), last.version));
            let page = directory.list_plan_versions(of, after, 2).await.unwrap();
            assert!(page.len() <= 2);
            if page.is_empty() {
                break;
            }
            found.extend(page);
        }
        // Others may have added plans to this directory.
        found.retain(|one| plans.iter().any(|plan| plan == one.definition.name()));
        let expected = all
            .iter()
            .filter(|one| of.is_none_or(|of| of == one.definition.name()));
        assert_eq!(found, expected.cloned().collect::<Vec<_>>());
    }
}
