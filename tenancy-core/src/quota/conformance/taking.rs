//! Taking: everything or nothing, of whom, and in which period.

use futures_util::future::join_all;

use super::{START, a_tenant, at_once, held, month, passes, rate, seconds, settle, standing, take};
use crate::{
    KeyId, ProjectId, TenantId,
    quota::{Counters, Crossed, Holder, MAX_AMOUNT, Operation, Settle, Take, Wait},
};

/// Of several limits, all are taken or none, and each that refuses is told.
pub async fn all_or_nothing_is_taken(counters: &dyn Counters) {
    let tenant = TenantId::new();
    let (acme, key) = (Holder::tenant(tenant), Holder::key(tenant, KeyId::new()));
    let of_key = Take::new(key, "requests-by-key", rate(2), 1);
    let of_tenant = Take::new(acme, "requests", rate(5), 1);
    let monthly = Take::new(acme, "requests-monthly", month(3, START), 1);
    let jobs = Take::new(acme, "jobs", at_once(3), 1);
    let all = [of_key, of_tenant, monthly, jobs];
    let granted = take(counters, Operation::once(), &all, START)
        .await
        .unwrap();
    let remaining: Vec<_> = granted.standings.iter().map(|one| one.remaining).collect();
    assert_eq!(
        remaining,
        [1, 4, 2, 2],
        "each take has its standing, in order"
    );
    assert!(take(counters, Operation::once(), &all, START).await.is_ok());
    // The key has none left; the others are not charged, however often it tries.
    for _ in 0..20 {
        let denied = take(counters, Operation::once(), &all, START)
            .await
            .unwrap_err();
        assert_eq!(denied.iter().map(|one| one.take).collect::<Vec<_>>(), [0]);
        assert_eq!(denied[0].denial.wait, Wait::For(seconds(5)));
    }
    for (one, used) in [(of_key, 2), (of_tenant, 2), (monthly, 2), (jobs, 2)] {
        assert_eq!(
            standing(counters, one, START).await.used,
            used,
            "{}",
            one.limit
        );
    }
    assert!(
        take(counters, Operation::once(), &all[1..], START)
            .await
            .is_ok()
    );
    let denied = take(counters, Operation::once(), &all, START)
        .await
        .unwrap_err();
    assert_eq!(
        denied.iter().map(|one| one.take).collect::<Vec<_>>(),
        [0, 2, 3]
    );
}

/// 10 in 10 s, 8 used, 5 are asked for again and again: 1 passes all the same.
pub async fn a_denial_takes_nothing(counters: &dyn Counters) {
    let acme = a_tenant();
    for (limit, algorithm) in [
        ("rate", rate(10)),
        ("month", month(10, START)),
        ("at-once", at_once(10)),
        ("held", held(10)),
    ] {
        let of = |amount| Take::new(acme, limit, algorithm, amount);
        assert!(passes(counters, of(8), START).await);
        for _ in 0..10 {
            assert!(!passes(counters, of(5), START).await, "{limit}");
        }
        assert_eq!(standing(counters, of(0), START).await.used, 8, "{limit}");
        assert!(passes(counters, of(1), START).await, "{limit}");
        assert!(
            passes(counters, of(0), START).await,
            "nothing can always be taken"
        );
        let denied = take(counters, Operation::once(), &[of(11)], START)
            .await
            .unwrap_err();
        assert_eq!(denied[0].denial.wait, Wait::Forever, "{limit}");
        assert_eq!(
            standing(counters, of(0), START).await.remaining,
            1,
            "{limit}"
        );
    }
}

/// Tenants, projects, keys, callers, the system, and limits of other names or kinds do not count together.
pub async fn holders_and_limits_are_told_apart(counters: &dyn Counters) {
    let (acme, globex) = (TenantId::new(), TenantId::new());
    let project = ProjectId::new();
    let user = crate::Actor::User(crate::UserId::new());
    let holders = [
        Holder::tenant(acme),
        Holder::tenant(globex),
        Holder::project(acme, project),
        // Ids are of one tenant; the same id in another one is another holder.
        Holder::project(globex, project),
        Holder::key(acme, KeyId::new()),
        Holder::key(acme, KeyId::new()),
        Holder::caller(Some(acme), Some(&user), None),
        Holder::caller(Some(globex), Some(&user), None),
        Holder::caller(None, Some(&user), None),
    ];
    for holder in holders {
        for limit in ["one", "two"] {
            for algorithm in [rate(1), month(1, START), at_once(1), held(1)] {
                let one = Take::new(holder, limit, algorithm, 1);
                assert!(passes(counters, one, START).await, "{holder} {limit}");
                assert!(!passes(counters, one, START).await, "{holder} {limit}");
            }
        }
    }
    // Of one IPv6 network, rotation gains nothing.
    let caller = |ip: &str| Holder::caller(Some(acme), None, Some(ip.parse().unwrap()));
    for (ip, passed) in [
        ("192.0.2.1", true),
        ("192.0.2.2", true),
        ("192.0.2.1", false),
        ("::ffff:192.0.2.2", false),
        ("2001:db8:1:2::1", true),
        ("2001:db8:1:2:ffff::9", false),
        ("2001:db8:1:3::1", true),
    ] {
        let one = Take::new(caller(ip), "by-address", rate(1), 1);
        assert_eq!(passes(counters, one, START).await, passed, "{ip}");
    }
}

/// What is used of a period does not count in the next.
pub async fn a_period_starts_again(counters: &dyn Counters) {
    let acme = a_tenant();
    let of = |now| Take::new(acme, "exports", month(3, now), 3);
    assert!(passes(counters, of(START), START).await);
    assert!(!passes(counters, of(START), START).await);
    let crate::quota::Algorithm::Period(_, window) = month(3, START) else {
        unreachable!("it is a period");
    };
    let last = window.end - std::time::Duration::from_micros(1);
    let denied = take(counters, Operation::once(), &[of(last)], last)
        .await
        .unwrap_err();
    assert_eq!(
        denied[0].denial.wait,
        Wait::For(std::time::Duration::from_micros(1))
    );
    assert!(passes(counters, of(window.end), window.end).await);
    assert!(!passes(counters, of(window.end), window.end).await);
    // Over the edge and back: neither of the two is full again.
    assert!(!passes(counters, of(last), last).await);
    assert!(!passes(counters, of(window.end), window.end).await);
}

/// A clock that is set back.
pub async fn a_clock_that_is_set_back_frees_nothing_and_blocks_nothing(counters: &dyn Counters) {
    let acme = a_tenant();
    let back = START - seconds(2 * 86_400);
    for (limit, algorithm, after) in [
        ("rate", rate(3), seconds(11)),
        ("at-once", at_once(3), seconds(60)),
        ("held", held(3), seconds(60)),
    ] {
        let of = |amount| Take::new(acme, limit, algorithm, amount);
        assert!(passes(counters, of(3), START).await);
        assert!(
            !passes(counters, of(1), back).await,
            "{limit}: nothing is freed"
        );
        assert!(
            passes(counters, of(3), back + after).await,
            "{limit}: nothing is blocked"
        );
    }
}

/// Each threshold is told once in a period; of something held, again when it has fallen below.
pub async fn thresholds_are_told_once(counters: &dyn Counters) {
    let acme = a_tenant();
    for (limit, algorithm) in [("month", month(10, START)), ("held", held(10))] {
        let of = |amount| Take::new(acme, limit, algorithm, amount).warning_at(&[50, 100]);
        let mut told = Vec::new();
        let mut last = Operation::once();
        for amount in [4, 1, 1, 3, 1] {
            last = Operation::once();
            let granted = take(counters, last, &[of(amount)], START).await.unwrap();
            told.push(granted.crossed);
        }
        let crossed = |percent| vec![Crossed::new(0, percent)];
        assert_eq!(
            told,
            [vec![], crossed(50), vec![], vec![], crossed(100)],
            "{limit}"
        );
        settle(counters, last, &[Settle::new(of(1), 0)], START).await;
        let again = take(counters, Operation::once(), &[of(1)], START)
            .await
            .unwrap();
        let expected = if limit == "held" {
            crossed(100)
        } else {
            vec![]
        };
        assert_eq!(again.crossed, expected, "{limit}");
    }
    // Both at once: the higher one is told.
    let of = Take::new(acme, "at once", held(10), 10).warning_at(&[50, 100]);
    let granted = take(counters, Operation::once(), &[of], START)
        .await
        .unwrap();
    assert_eq!(granted.crossed, [Crossed::new(0, 100)]);
}

/// More is given back than was taken, and amounts are as large as can be.
pub async fn counters_are_never_negative(counters: &dyn Counters) {
    let acme = a_tenant();
    for (limit, algorithm) in [
        ("rate", rate(5)),
        ("month", month(5, START)),
        ("held", held(5)),
    ] {
        let of = |amount| Take::new(acme, limit, algorithm, amount);
        let operation = Operation::once();
        assert!(take(counters, operation, &[of(2)], START).await.is_ok());
        // It says that it had taken all there is.
        settle(
            counters,
            operation,
            &[Settle::new(of(MAX_AMOUNT), 0)],
            START,
        )
        .await;
        let freed = crate::quota::OperationId::unique();
        let freed = counters.give_back(freed, &[of(u64::MAX)], START);
        freed.answer().await.unwrap();
        assert_eq!(standing(counters, of(0), START).await.used, 0, "{limit}");
        assert!(passes(counters, of(5), START).await, "{limit}");
        assert!(!passes(counters, of(1), START).await, "{limit}");
        assert!(!passes(counters, of(u64::MAX), START).await, "{limit}");
    }
}

/// A budget of 1,000, from 64 at once.
pub async fn exactly_the_limit_passes(counters: &dyn Counters) {
    for algorithm in [
        rate(1_000),
        month(1_000, START),
        at_once(1_000),
        held(1_000),
    ] {
        let one = Take::new(a_tenant(), "budget", algorithm, 1);
        let callers = (0..64).map(|_| async move {
            let mut passed = 0;
            for _ in 0..20 {
                passed += usize::from(passes(counters, one, START).await);
            }
            passed
        });
        let passed: usize = join_all(callers).await.into_iter().sum();
        assert_eq!(passed, 1_000);
    }
}
