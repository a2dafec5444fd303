//! How a request ends: leases, estimates, layers within layers, repetitions.

use tenancy_core::{
    Admitted, Ending, PlanBook, RequestView, TenantContext,
    quota::{Limit, Meter, Period, Quotas},
    testing::FakeRequest,
};

use super::{MINUTE, alice, answered, ask, book, charge, charge_for, meters, told, used, world};
use crate::support::World;

#[tokio::test]
async fn what_runs_at_once_ends_with_its_request_however_that_ends() {
    let w = world(book(), meters()).await;
    let context = alice(&w).await;
    for ending in [
        answered(200),
        answered(500),
        Ending::CutOff {
            status: 200,
            bytes: 3,
        },
        Ending::Cancelled,
        Ending::Panicked,
    ] {
        let running = charge(&w, &context, &[("jobs", 1), ("requests", 1)])
            .await
            .unwrap();
        let (status, reason, wait, _) = told(ask(&w, &context, &[("jobs", 1)]).await.unwrap_err());
        assert_eq!((status, reason, wait), (429, "too-many-at-once", Some(1)));
        running.settle(ending);
        assert_eq!(used(&w, &context, "jobs-at-once").await, 0, "{ending:?}");
    }
    // A settlement that is dropped has been cancelled, and what was used up stays so.
    drop(charge(&w, &context, &[("jobs", 1)]).await.unwrap());
    assert!(ask(&w, &context, &[("jobs", 1)]).await.is_ok());
    assert_eq!(used(&w, &context, "requests-per-minute").await, 5);
}

#[tokio::test]
async fn a_handler_that_never_ends_loses_its_place_in_time() {
    let w = world(book(), meters()).await;
    let context = alice(&w).await;
    let stuck = charge(&w, &context, &[("jobs", 1)]).await.unwrap();
    w.clock.advance(10 * MINUTE);
    let other = charge(&w, &context, &[("jobs", 1)]).await.unwrap();
    // When it ends after all, the other one keeps its place.
    stuck.settle(answered(200));
    assert!(ask(&w, &context, &[("jobs", 1)]).await.is_err());
    other.settle(answered(200));
    assert!(ask(&w, &context, &[("jobs", 1)]).await.is_ok());
}

#[tokio::test]
async fn what_a_route_holds_is_kept_if_it_succeeds() {
    let w = world(book(), meters()).await;
    let context = alice(&w).await;
    for (ending, kept) in [
        (answered(500), 0),
        (answered(422), 0),
        (Ending::Cancelled, 0),
        (answered(201), 1),
        (
            Ending::CutOff {
                status: 201,
                bytes: 1,
            },
            2,
        ),
    ] {
        let charged = charge(&w, &context, &[("projects", 1)]).await.unwrap();
        charged.settle(ending);
        assert_eq!(
            used(&w, &context, "projects-held").await,
            kept,
            "{ending:?}"
        );
    }
    let (status, reason, wait, body) =
        told(ask(&w, &context, &[("projects", 1)]).await.unwrap_err());
    assert_eq!((status, reason, wait), (402, "all-is-held", None));
    assert_eq!(body["upgrade_url"], "https://notes.example/plans");
}

/// "What each call charges": layers within layers ask for the rest of the highest amount.
#[tokio::test]
async fn two_layers_on_one_meter_take_the_highest_of_their_amounts() {
    let w = world(book(), meters()).await;
    let context = alice(&w).await;
    let outer = charge(&w, &context, &[("exports", 1)]).await.unwrap();
    let inner = charge(&w, &context, &[("exports", 1)]).await.unwrap();
    inner.settle(answered(200));
    outer.settle(answered(200));
    assert_eq!(used(&w, &context, "exports-monthly").await, 2);
    // The inner one is refused: what the outer one has taken is given back.
    for _ in 0..3 {
        let outer = charge(&w, &context, &[("exports", 1), ("requests", 1)])
            .await
            .unwrap();
        let refused = charge(&w, &context, &[("exports", 1)]).await.unwrap_err();
        outer.settle(answered(refused.kind().status()));
    }
    assert_eq!(used(&w, &context, "exports-monthly").await, 2);
    assert_eq!(used(&w, &context, "requests-per-minute").await, 0);
}

fn of_bytes() -> Quotas {
    let egress =
        Meter::consumed("egress")
            .unit("bytes")
            .settled_by(|ending, charged| match ending {
                Ending::Answered { bytes, .. } | Ending::CutOff { bytes, .. } => bytes,
                _ => charged,
            });
    Quotas::new().meter(egress)
}

fn egress(limit: u64) -> PlanBook {
    PlanBook::new()
        .plan("free", ["*"])
        .limits(
            "free",
            [
                Limit::per_period("egress", limit, Period::Month),
                Limit::rate("egress", 10 * limit, MINUTE),
            ],
        )
        .for_tenants_without_plan("free")
}

async fn sends(w: &World, context: &TenantContext, estimate: u64, bytes: u64) -> Result<(), u16> {
    match charge(w, context, &[("egress", estimate)]).await {
        Ok(charged) => {
            charged.settle(Ending::Answered { status: 200, bytes });
            Ok(())
        }
        Err(refusal) => Err(refusal.kind().status()),
    }
}

/// litellm#29193: an estimate of 1,024 on a limit of 1,000. litellm#18730: 663 on a limit of 100.
#[tokio::test]
async fn an_estimate_is_capped_by_the_smallest_limit_and_settled_by_the_truth() {
    let w = world(egress(1_000), of_bytes()).await;
    let context = alice(&w).await;
    assert_eq!(sends(&w, &context, 1_024, 300).await, Ok(()));
    assert_eq!(used(&w, &context, "egress-monthly").await, 300);
    assert_eq!(used(&w, &context, "egress-per-minute").await, 300);
    // Not all of it is left: the estimate does not fit, and a smaller one does.
    assert_eq!(sends(&w, &context, 1_024, 0).await, Err(402));
    assert_eq!(sends(&w, &context, 700, 600).await, Ok(()));
    assert_eq!(used(&w, &context, "egress-monthly").await, 900);
    // It turns out to be more: it is counted, and the next one pays for it.
    assert_eq!(sends(&w, &context, 100, 663).await, Ok(()));
    assert_eq!(used(&w, &context, "egress-monthly").await, 1_563);
    assert_eq!(sends(&w, &context, 1, 0).await, Err(402));
    // Without an answer nobody knows more than the estimate.
    let w = world(egress(1_000), of_bytes()).await;
    let context = alice(&w).await;
    drop(charge(&w, &context, &[("egress", 10)]).await.unwrap());
    assert_eq!(used(&w, &context, "egress-monthly").await, 10);
}

async fn with_id(
    w: &World,
    context: &TenantContext,
    of: &[(&str, u64)],
    request: &dyn RequestView,
) -> Result<(), u16> {
    let admitted = Admitted::Tenant(context.clone());
    let charged = charge_for(w, &admitted, request, of).await;
    let charged = charged.map_err(|refusal| refusal.kind().status())?;
    charged.into_parts().1.settle(answered(200));
    Ok(())
}

#[tokio::test]
async fn a_repetition_pays_once_for_what_is_counted_by_period() {
    let w = world(book(), meters().idempotency_key_header("Idempotency-Key")).await;
    let context = alice(&w).await;
    let request = |path: &str, id: &str| FakeRequest::new(path).header("idempotency-key", id);
    for _ in 0..10 {
        assert_eq!(
            with_id(&w, &context, &[("exports", 1)], &request("/a", "1")).await,
            Ok(())
        );
    }
    assert_eq!(used(&w, &context, "exports-monthly").await, 1);
    // Another amount of the same request: an inner layer.
    assert_eq!(
        with_id(&w, &context, &[("exports", 2)], &request("/a", "1")).await,
        Ok(())
    );
    assert_eq!(used(&w, &context, "exports-monthly").await, 3);
    // Another path, another id, and an id that can't be one.
    for other in [
        request("/b", "1"),
        request("/a", "2"),
        request("/a", &"1".repeat(129)),
        request("/a", "1").header("idempotency-key", "1"),
        FakeRequest::new("/a"),
    ] {
        assert_eq!(
            with_id(&w, &context, &[("exports", 1)], &other).await,
            Err(402)
        );
    }
    // Bob's is not alice's.
    let bobs = FakeRequest::new("/notes")
        .header("host", "globex.notes.example")
        .bearer(&w.token(w.bob, serde_json::json!({})));
    let bob = w.admit(&bobs).await.unwrap();
    assert_eq!(
        with_id(&w, &bob, &[("exports", 1)], &request("/a", "1")).await,
        Ok(())
    );
    assert_eq!(used(&w, &bob, "exports-monthly").await, 1);
    // A rate counts requests, and a repetition is one.
    for _ in 0..5 {
        assert_eq!(
            with_id(&w, &context, &[("requests", 1)], &request("/a", "1")).await,
            Ok(())
        );
    }
    assert_eq!(
        with_id(&w, &context, &[("requests", 1)], &request("/a", "1")).await,
        Err(429)
    );
}

#[tokio::test]
async fn what_failed_and_was_given_back_is_paid_for_when_it_is_repeated() {
    let w = world(book(), meters().idempotency_key_header("idempotency-key")).await;
    let context = alice(&w).await;
    let request = FakeRequest::new("/a").header("idempotency-key", "1");
    let admitted = Admitted::Tenant(context.clone());
    let charged = charge_for(&w, &admitted, &request, &[("exports", 1)])
        .await
        .unwrap();
    // A layer further inside has refused.
    charged.into_parts().1.settle(answered(402));
    assert_eq!(used(&w, &context, "exports-monthly").await, 0);
    assert_eq!(
        with_id(&w, &context, &[("exports", 1)], &request).await,
        Ok(())
    );
    assert_eq!(
        with_id(&w, &context, &[("exports", 1)], &request).await,
        Ok(())
    );
    assert_eq!(used(&w, &context, "exports-monthly").await, 1);
}

/// Otherwise who sends one id twice at once pays for neither, if one of them is refused further inside.
#[tokio::test]
async fn what_a_repetition_was_admitted_with_is_not_given_back() {
    let w = world(book(), meters().idempotency_key_header("idempotency-key")).await;
    let context = alice(&w).await;
    let request = FakeRequest::new("/a").header("idempotency-key", "1");
    let admitted = Admitted::Tenant(context.clone());
    let of = [("exports", 1)];
    let first = charge_for(&w, &admitted, &request, &of).await.unwrap();
    let second = charge_for(&w, &admitted, &request, &of).await.unwrap();
    first.into_parts().1.settle(answered(429));
    second.into_parts().1.settle(answered(200));
    assert_eq!(used(&w, &context, "exports-monthly").await, 1);
    // It is paid for, whoever sends it once more.
    assert_eq!(with_id(&w, &context, &of, &request).await, Ok(()));
    assert_eq!(used(&w, &context, "exports-monthly").await, 1);
}

/// Otherwise a caller could have ids remembered without end, and pay nothing.
#[tokio::test]
async fn what_costs_nothing_has_no_id_that_is_remembered() {
    let counters = std::sync::Arc::new(tenancy_core::quota::MemoryCounters::new());
    let quotas = meters().idempotency_key_header("idempotency-key");
    let w = world(book(), quotas.shared_counters(counters.clone())).await;
    let context = alice(&w).await;
    for id in 0..10 {
        let request = FakeRequest::new("/a").header("idempotency-key", format!("{id}"));
        assert_eq!(
            with_id(&w, &context, &[("exports", 0)], &request).await,
            Ok(())
        );
    }
    assert_eq!(counters.len(), 0);
}
