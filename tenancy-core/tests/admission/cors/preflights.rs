//! Answers for the layer outside of admission: quick, the same to everybody, and no oracle.

use proptest::prelude::*;
use tenancy_core::{
    CorsAnswer, CorsDecision, CorsPolicy, Identification, RefusalKind, RouteNeeds, TenantStatus,
    testing::FakeRequest,
};

use super::{ACME, API, PAGE, cors, preflight, refused, usual, with_tokens};
use crate::support::{World, answer};

#[tokio::test]
async fn a_preflight_is_allowed_only_as_the_policy_says() {
    let w = usual().await;
    for fields in [
        "",
        "authorization",
        "authorization,content-type",
        "X-Organization-Id , ,x-project-id",
    ] {
        let asked = preflight(API, PAGE).header("access-control-request-headers", fields);
        let decision = cors(&w, &asked, "OPTIONS").await;
        assert!(
            matches!(decision, CorsDecision::Allowed),
            "{fields}: {decision:?}"
        );
    }
    let bare = || {
        FakeRequest::new("/notes")
            .header("host", API)
            .header("origin", PAGE)
    };
    for (asked, reason) in [
        (
            bare().header("access-control-request-method", "PURGE"),
            "method-not-allowed",
        ),
        (
            bare().header("access-control-request-method", "post"),
            "method-not-allowed",
        ),
        (
            bare().header("access-control-request-method", "*"),
            "method-not-allowed",
        ),
        (
            bare().header("access-control-request-method", b"\xff"),
            "method-not-allowed",
        ),
        (
            preflight(API, PAGE).header("access-control-request-method", "GET"),
            "method-not-allowed",
        ),
        (
            preflight(API, PAGE).header("access-control-request-headers", "x-evil"),
            "header-not-allowed",
        ),
        (
            preflight(API, PAGE).header("access-control-request-headers", "authorization,*"),
            "header-not-allowed",
        ),
        (
            preflight(API, PAGE)
                .header("access-control-request-headers", "authorization")
                .header("access-control-request-headers", "x-evil"),
            "header-not-allowed",
        ),
        (preflight(API, "https://evil.test/"), "origin-malformed"),
        (preflight(API, "null"), "origin-null"),
        (
            preflight(ACME, "https://globex.notes.example"),
            "origin-of-another-tenant",
        ),
    ] {
        let refusal = refused(cors(&w, &asked, "OPTIONS").await);
        assert_eq!(refusal.kind(), RefusalKind::OriginNotAllowed);
        assert_eq!(refusal.reason(), reason, "{asked:?}");
    }
    // Of anything but a preflight, only the origin is asked.
    let plain = bare().header("access-control-request-method", "PURGE");
    assert!(matches!(
        cors(&w, &plain, "GET").await,
        CorsDecision::Allowed
    ));
    assert!(matches!(
        cors(&w, &bare(), "OPTIONS").await,
        CorsDecision::Allowed
    ));
}

#[tokio::test]
async fn a_refused_preflight_is_counted_and_sampled_and_any_other_left_to_admission() {
    let w = usual().await;
    let before = w.audit.entries().len();
    for _ in 0..3 {
        let _ = refused(cors(&w, &preflight(API, "null"), "OPTIONS").await);
        let _ = refused(cors(&w, &preflight(API, "null"), "POST").await);
    }
    assert_eq!(w.tenancy.refused(RefusalKind::OriginNotAllowed), 3);
    assert_eq!(w.audit.entries().len(), before + 1);
    let entry = w.last_audit();
    assert_eq!(entry.action, "cors.preflight");
    assert_eq!(entry.target.as_deref(), Some("origin=null"));
    let request = w
        .alice_at(ACME)
        .header("origin", format!("x{}", "y".repeat(1000)));
    assert_eq!(w.refused(&request).await, (403, "origin-scheme-unknown"));
    assert_eq!(w.tenancy.refused(RefusalKind::OriginNotAllowed), 4);
    let entry = w.last_audit();
    assert_eq!(entry.action, "request.admit");
    assert_eq!(
        entry.target.map(|target| target.len()),
        Some("origin=".len() + 256)
    );
}

#[tokio::test]
async fn subdomains_are_answered_without_the_directory_whether_there_is_such_a_tenant_or_not() {
    let w = usual().await;
    w.directory.fail(true);
    w.tenancy.invalidate(w.acme.id);
    let asked = w.directory.questions();
    for origin in [PAGE, "https://nobody.notes.example"] {
        let decision = w.tenancy.cors(&preflight(API, origin), "OPTIONS");
        assert!(
            matches!(decision, CorsAnswer::Ready(CorsDecision::Allowed)),
            "{origin}: {decision:?}"
        );
    }
    for (host, path) in [("globex.notes.example", "/"), (API, "/t/globex/notes")] {
        let other = FakeRequest::new(path)
            .header("host", host)
            .header("origin", PAGE);
        let refusal = refused(cors(&w, &other, "GET").await);
        assert_eq!(refusal.reason(), "origin-of-another-tenant");
    }
    assert_eq!(w.directory.questions(), asked);
}

#[tokio::test]
async fn a_custom_domain_is_looked_up_once_and_allowed_while_its_tenant_is_served() {
    let w = usual().await;
    let asking = || preflight(API, "https://notes.acme.test");
    let unknown = preflight(API, "https://evil.test");
    assert!(matches!(
        w.tenancy.cors(&asking(), "OPTIONS"),
        CorsAnswer::Pending(_)
    ));
    assert!(matches!(
        cors(&w, &asking(), "OPTIONS").await,
        CorsDecision::Allowed
    ));
    assert_eq!(
        refused(cors(&w, &unknown, "OPTIONS").await).reason(),
        "origin-unknown"
    );
    let asked = w.directory.questions();
    for _ in 0..5 {
        let warm = w.tenancy.cors(&asking(), "OPTIONS");
        assert!(matches!(warm, CorsAnswer::Ready(CorsDecision::Allowed)));
        let warm = w.tenancy.cors(&unknown, "OPTIONS");
        assert!(matches!(warm, CorsAnswer::Ready(CorsDecision::Refused(_))));
    }
    assert_eq!(w.directory.questions(), asked);
    for (status, allowed) in [
        (TenantStatus::PastDue, true),
        (TenantStatus::Suspended, false),
        (TenantStatus::PendingDeletion, false),
        (TenantStatus::Deleted, false),
    ] {
        w.tenancy
            .admin(tenancy_core::testing::service())
            .set_status(w.acme.id, status)
            .await
            .unwrap();
        let decision = cors(&w, &asking(), "OPTIONS").await;
        assert_eq!(
            matches!(decision, CorsDecision::Allowed),
            allowed,
            "{status}: {decision:?}"
        );
    }
}

#[tokio::test]
async fn many_first_preflights_ask_once() {
    let w = usual().await;
    let asked = w.directory.questions();
    let page = preflight(API, "https://notes.acme.test");
    let all = futures_util::future::join_all((0..100).map(|_| cors(&w, &page, "OPTIONS"))).await;
    assert!(
        all.iter()
            .all(|decision| matches!(decision, CorsDecision::Allowed))
    );
    assert_eq!(w.directory.questions(), asked + 1);
}

#[tokio::test]
async fn a_directory_that_is_down_is_unavailable_and_not_remembered() {
    let w = usual().await;
    w.directory.fail(true);
    let page = preflight(API, "https://notes.acme.test");
    let refusal = refused(cors(&w, &page, "OPTIONS").await);
    assert_eq!(refusal.kind(), RefusalKind::Unavailable);
    assert_eq!(w.tenancy.refused(RefusalKind::Unavailable), 1);
    let central = FakeRequest::new("/").header("origin", "https://notes.acme.test");
    let central = w.admit_as(&central, RouteNeeds::central()).await;
    assert_eq!(answer(central).0, 503);
    w.directory.fail(false);
    assert!(matches!(
        cors(&w, &page, "OPTIONS").await,
        CorsDecision::Allowed
    ));
}

#[test]
fn no_text_is_allowed_but_those_that_mean_an_allowed_origin() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let w = runtime.block_on(World::with(|builder| {
        let rules = Identification::new().subdomains_of("notes.example");
        let policy = CorsPolicy::new().origin("https://app.notes.test");
        with_tokens(builder).identification(rules).cors(policy)
    }));
    let pieces = prop::collection::vec(
        prop_oneof![
            Just("https://".to_owned()),
            Just("http://".to_owned()),
            Just("acme".to_owned()),
            Just(".notes.example".to_owned()),
            Just("app.notes.test".to_owned()),
            Just(":443".to_owned()),
            Just("null".to_owned()),
            "[@#/:?.,%\\\\\\[\\] a-zA-Z0-9-]{0,3}",
            "\\PC{0,4}",
        ],
        0..6,
    );
    let meant = |text: &str| {
        let text = text.strip_prefix("https://")?;
        let text = text.strip_suffix(":443").unwrap_or(text);
        let text = text.strip_suffix('.').unwrap_or(text).to_lowercase();
        let label = text.strip_suffix(".notes.example");
        (text == "app.notes.test" || text == "api.notes.test" || label.is_some_and(is_label))
            .then_some(())
    };
    fn is_label(text: &str) -> bool {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    }
    proptest!(|(pieces in pieces)| {
        let text: String = pieces.concat();
        let request = FakeRequest::new("/")
            .header("host", "api.notes.test")
            .header("origin", &text);
        let CorsAnswer::Ready(decision) = w.tenancy.cors(&request, "GET") else {
            return Err(TestCaseError::fail("subdomains are never looked up"));
        };
        if matches!(decision, CorsDecision::Allowed) {
            prop_assert!(meant(&text).is_some(), "{:?}", text);
        }
        // Decided alike at the door.
        let central = runtime.block_on(w.admit_as(&request, RouteNeeds::central()));
        prop_assert_eq!(central.is_ok(), matches!(decision, CorsDecision::Allowed));
    });
}

/// M9. Whoever asks has shown no credential.
#[tokio::test]
async fn a_thousand_origins_cause_a_bounded_number_of_look_ups() {
    let w = usual().await;
    let own = || preflight(API, "https://notes.acme.test");
    assert!(matches!(
        cors(&w, &own(), "OPTIONS").await,
        CorsDecision::Allowed
    ));
    for method in ["OPTIONS", "GET"] {
        let asked = w.directory.questions();
        for number in 0..1_000 {
            let page = preflight(API, &format!("https://{method}-{number}.example"));
            let refusal = refused(cors(&w, &page, method).await);
            let expected: &[&str] = &["origin-unknown", "origin-look-ups-spent"];
            assert!(expected.contains(&refusal.reason()), "{refusal:?}");
        }
        assert!(w.directory.questions() - asked <= 64);
    }
    assert_eq!(
        refused(cors(&w, &preflight(API, "https://more.example"), "OPTIONS").await).kind(),
        RefusalKind::Unavailable
    );
    // A tenant's own page is served meanwhile, also where what is known of it is too old.
    assert!(matches!(
        cors(&w, &own(), "OPTIONS").await,
        CorsDecision::Allowed
    ));
    w.tenancy.invalidate(w.acme.id);
    assert!(matches!(
        cors(&w, &own(), "OPTIONS").await,
        CorsDecision::Allowed
    ));
    w.clock.advance(std::time::Duration::from_secs(10));
    let fresh = preflight(API, "https://fresh.example");
    let refusal = refused(cors(&w, &fresh, "OPTIONS").await);
    assert_eq!(refusal.reason(), "origin-unknown");
}
