//! Alerts: each is raised where somebody should look, once, and counts what sampling leaves out.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tenancy_core::{
    Actor, AuditEntry, AuditFilter, ConfigError, ImpersonationPolicy, JobRun, Membership,
    NewImpersonation, OperatorRole, Operators, Outcome, Tenancy, TenancyBuilder, TenantId,
    TenantRecord, TenantStatus, UserId,
    alert::{Alert, AlertKind, AlertRules, AlertSink, MemoryAlertSink},
    async_trait,
    jwt::JwtAuthenticator,
    key::{IssuedKey, Pepper},
    outbox::{NewEvent, OutboxError},
    testing::{FakeRequest, StoreDirectly as _},
};

use crate::{
    keys::{self, alices, issue, with_keys},
    operators::{context_of, operator, staff_tokens},
    support::{ISSUER, World, key},
};

const TENANTS: usize = 3;
const WITHIN: Duration = Duration::from_secs(600);
const COOL_DOWN: Duration = Duration::from_secs(900);

fn rules() -> AlertRules {
    AlertRules::new()
        .cross_tenant(3, WITHIN)
        .cool_down(COOL_DOWN)
}

struct Scene {
    w: World,
    sink: MemoryAlertSink,
}

impl Scene {
    async fn new(rules: AlertRules) -> Self {
        let sink = MemoryAlertSink::new();
        let told = sink.clone();
        let w = World::over(|directory, builder| with_keys(directory, builder).alerts(rules, told))
            .await;
        Self { w, sink }
    }

    /// What was told so far of this kind.
    async fn alerts(&self, kind: AlertKind) -> Vec<NewEvent> {
        let report = self.w.tenancy.shutdown(Duration::from_secs(10)).await;
        assert_eq!((report.alerts_waiting, report.alerts_dropped), (0, 0));
        let mut events = self.sink.events();
        events.retain(|event| event.kind() == kind.event());
        events
    }

    /// More tenants, of nobody that is known here.
    async fn tenants(&self, count: usize) -> Vec<TenantRecord> {
        let mut tenants = Vec::new();
        for number in 0..count {
            let slug = format!("other-{number}").parse().unwrap();
            let tenant = TenantRecord::new(slug, "Other").with_status(TenantStatus::Active);
            self.w.directory.create_tenant(&tenant).await.unwrap();
            let owner = Membership::new(tenant.id, UserId::new(), "owner".parse().unwrap());
            self.w.directory.put_membership(&owner).await.unwrap();
            tenants.push(tenant);
        }
        tenants
    }

    async fn alice_asks(&self, tenant: &TenantRecord) {
        let host = format!("{}.notes.example", tenant.slug);
        assert_eq!(self.w.refused(&self.w.alice_at(&host)).await.0, 404);
    }

    /// The entries that say that an alert was raised.
    fn raised(&self) -> Vec<AuditEntry> {
        let mut entries = self.w.audit.entries();
        entries.retain(|entry| entry.action == "alert.raise");
        entries
    }
}

#[tokio::test]
async fn a_caller_who_tries_several_tenants_is_told_once_in_a_while() {
    let s = Scene::new(rules()).await;
    let tenants = s.tenants(TENANTS + 1).await;
    // The same one again and again is one, though all but a few of it are sampled away.
    for _ in 0..50 {
        s.alice_asks(&tenants[0]).await;
    }
    s.alice_asks(&tenants[1]).await;
    assert_eq!(s.alerts(AlertKind::CrossTenant).await, []);
    // A name that is nobody's is none.
    let nobody = s.w.alice_at("nobody.notes.example");
    assert_eq!(s.w.refused(&nobody).await.0, 404);
    assert_eq!(s.alerts(AlertKind::CrossTenant).await, []);

    s.alice_asks(&tenants[2]).await;
    s.alice_asks(&tenants[3]).await;
    let told = s.alerts(AlertKind::CrossTenant).await;
    assert_eq!(told.len(), 1, "{told:?}");
    let event = &told[0];
    assert_eq!(event.tenant(), None, "no tenant hears of another");
    assert_eq!(event.payload()["actor"], Actor::User(s.w.alice).to_string());
    let named = event.payload()["tenants"].as_array().unwrap();
    let wanted: Vec<_> = tenants[..3].iter().map(|tenant| json!(tenant.id)).collect();
    assert_eq!(named, &wanted);
    // The entry stands behind the event.
    let entries = s.raised();
    assert_eq!(entries.len(), 1);
    assert_eq!(event.cause(), Some(entries[0].id));
    assert_eq!(entries[0].reason.as_deref(), Some("cross-tenant"));

    s.w.clock.advance(COOL_DOWN);
    for tenant in &tenants {
        s.alice_asks(tenant).await;
    }
    assert_eq!(s.alerts(AlertKind::CrossTenant).await.len(), 2);
}

#[tokio::test]
async fn attempts_that_are_far_apart_are_no_alert_and_neither_are_two_callers() {
    let s = Scene::new(rules()).await;
    let tenants = s.tenants(TENANTS).await;
    for tenant in &tenants {
        s.alice_asks(tenant).await;
        s.w.clock.advance(WITHIN);
    }
    for (number, tenant) in tenants.iter().enumerate() {
        let user = if number == 0 { s.w.alice } else { s.w.bob };
        let request = FakeRequest::new("/notes")
            .header("host", format!("{}.notes.example", tenant.slug))
            .bearer(&s.w.token(user, json!({})));
        assert_eq!(s.w.refused(&request).await.0, 404);
    }
    assert_eq!(s.alerts(AlertKind::CrossTenant).await, []);
}

/// By a key of another tenant, and by an authority of another tenant, it is the same.
#[tokio::test]
async fn a_key_and_an_authority_are_callers_too() {
    let s = Scene::new(rules()).await;
    let tenants = s.tenants(TENANTS).await;
    let issued = issue(&s.w, alices(&s.w)).await;
    let context =
        s.w.admit(&s.w.alice_at("acme.notes.example"))
            .await
            .unwrap();
    let admin = s.w.tenancy.admin(context.authority("notes:read").unwrap());
    let all = AuditFilter::new();
    for tenant in &tenants {
        let host = format!("{}.notes.example", tenant.slug);
        let request = keys::with(&issued).header("host", host);
        let (status, reason) = s.w.refused(&request).await;
        assert_eq!((status, reason), (404, "credential-of-another-tenant"));
        assert!(
            admin
                .list_entries(Some(tenant.id), &all, None, 1)
                .await
                .is_err()
        );
    }
    let told = s.alerts(AlertKind::CrossTenant).await;
    let who: Vec<_> = told
        .iter()
        .map(|event| event.payload()["actor"].clone())
        .collect();
    assert_eq!(who.len(), 2, "{who:?}");
    assert!(who.contains(&json!(Actor::Key(issued.record().id).to_string())));
    assert!(who.contains(&json!(Actor::User(s.w.alice).to_string())));
}

async fn uses(s: &Scene, key: &IssuedKey, from: &str) {
    let request = keys::with(key).peer(from.parse().unwrap());
    s.w.admit(&request).await.unwrap();
}

#[tokio::test]
async fn a_key_is_told_from_a_network_that_it_was_not_seen_in() {
    let learning = Duration::from_secs(3_600);
    let s = Scene::new(rules().new_network(learning)).await;
    let issued = issue(&s.w, alices(&s.w)).await;
    // What it is used from at first is what it is used from.
    for from in ["192.0.2.7", "198.51.100.1", "2001:db8:1::1"] {
        uses(&s, &issued, from).await;
    }
    s.w.clock.advance(learning);
    // Another address of the same networks, also as IPv6, is none that is new.
    for from in ["192.0.2.250", "::ffff:198.51.100.9", "2001:db8:1:ffff::2"] {
        uses(&s, &issued, from).await;
    }
    assert_eq!(s.alerts(AlertKind::NewNetwork).await, []);
    for _ in 0..3 {
        uses(&s, &issued, "203.0.113.99").await;
    }
    let told = s.alerts(AlertKind::NewNetwork).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].tenant(), Some(s.w.acme.id));
    assert_eq!(told[0].payload()["network"], "203.0.113.0/24");
    assert_eq!(
        told[0].payload()["actor"],
        Actor::Key(issued.record().id).to_string()
    );
    assert!(
        !told[0].payload().to_string().contains("203.0.113.99"),
        "no address of anybody"
    );

    // Within the cool-down a second one waits, and is not taken for known.
    uses(&s, &issued, "2001:db8:9::1").await;
    assert_eq!(s.alerts(AlertKind::NewNetwork).await.len(), 1);
    s.w.clock.advance(COOL_DOWN);
    uses(&s, &issued, "2001:db8:9::1").await;
    let told = s.alerts(AlertKind::NewNetwork).await;
    assert_eq!(told.len(), 2);
    assert_eq!(told[1].payload()["network"], "2001:db8:9::/48");
    s.w.clock.advance(COOL_DOWN);
    uses(&s, &issued, "203.0.113.1").await;
    assert_eq!(
        s.alerts(AlertKind::NewNetwork).await.len(),
        2,
        "it is known now"
    );
}

/// A text that is wrong is no use of the key: nobody raises alerts about a key whose id is known.
#[tokio::test]
async fn a_guess_at_a_key_is_no_use_of_it() {
    let s = Scene::new(rules().new_network(Duration::ZERO)).await;
    let issued = issue(&s.w, alices(&s.w)).await;
    uses(&s, &issued, "192.0.2.7").await;
    let text = issued.expose();
    let last = if text.ends_with('A') { 'B' } else { 'A' };
    let wrong = format!("{}{last}", &text[..text.len() - 1]);
    let guess = FakeRequest::new("/notes")
        .bearer(&wrong)
        .peer("203.0.113.9".parse().unwrap());
    assert_eq!(s.w.refused(&guess).await.0, 401);
    assert_eq!(s.alerts(AlertKind::NewNetwork).await, []);
    uses(&s, &issued, "203.0.113.9").await;
    assert_eq!(s.alerts(AlertKind::NewNetwork).await.len(), 1);
}

#[tokio::test]
async fn a_surge_of_refusals_is_counted_before_it_is_sampled() {
    let s = Scene::new(rules().refusals(1_000, 5)).await;
    let vera = UserId::new();
    let member = Membership::new(s.w.acme.id, vera, "viewer".parse().unwrap());
    s.w.directory.put_membership(&member).await.unwrap();
    let request = FakeRequest::new("/notes")
        .header("host", "acme.notes.example")
        .bearer(&s.w.token(vera, json!({})));
    let context = s.w.admit(&request).await.unwrap();
    for _ in 0..999 {
        assert!(context.require("notes:write").is_err());
    }
    assert_eq!(s.alerts(AlertKind::Refusals).await, []);
    for _ in 0..500 {
        assert!(context.require("notes:write").is_err());
    }
    let recorded = s.w.audit.entries();
    let recorded = recorded
        .iter()
        .filter(|entry| entry.outcome == Outcome::Refused);
    assert!(recorded.count() < 100, "they were sampled");
    let told = s.alerts(AlertKind::Refusals).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].tenant(), Some(s.w.acme.id));
    assert_eq!(told[0].payload()["refusals"], 1_000);
    assert_eq!(told[0].payload()["base"], 0);
}

#[tokio::test]
async fn an_impersonation_without_consent_is_told_and_so_is_who_crosses_tenants() {
    for (consents, told) in [(false, 1), (true, 0)] {
        let sink = MemoryAlertSink::new();
        let kept = sink.clone();
        let policy = ImpersonationPolicy::new(Pepper::new(1, [0x5c; 32]).unwrap());
        let policy = policy.require_consent().break_glass();
        let w = World::over(|directory, builder| {
            let operators = Operators::new(directory.directory().clone())
                .authenticator(staff_tokens())
                .impersonation(policy);
            let tokens = JwtAuthenticator::builder(ISSUER, "notes").key(key());
            builder
                .authenticator(tokens.build().unwrap())
                .operators(operators)
                .alerts(rules(), kept)
        })
        .await;
        let s = Scene { w, sink };
        if consents {
            let context =
                s.w.admit(&s.w.alice_at("acme.notes.example"))
                    .await
                    .unwrap();
            let admin = s.w.tenancy.admin(context.authority("notes:read").unwrap());
            let until = s.w.clock_now() + Duration::from_secs(3_600);
            admin
                .grant_support_access(s.w.acme.id, until)
                .await
                .unwrap();
        }
        let mia = operator(&s.w, &[OperatorRole::Support]).await;
        let mia = context_of(&s.w, &mia).await;
        let asked = NewImpersonation::new(s.w.acme.id, s.w.alice, "she can't see her invoice");
        mia.impersonate(asked).await.unwrap();
        let alerts = s.alerts(AlertKind::BreakGlass).await;
        assert_eq!(alerts.len(), told, "{alerts:?}");
        for event in &alerts {
            assert_eq!(event.tenant(), Some(s.w.acme.id));
            assert_eq!(event.payload()["action"], "impersonation.start");
            assert!(
                event.payload()["actor"]
                    .as_str()
                    .unwrap()
                    .starts_with("operator:")
            );
            assert!(!event.payload().to_string().contains("invoice"));
        }
    }
}

async fn crosses(tenancy: &Tenancy, actor: Actor, outcome: Outcome) {
    let entry = AuditEntry::new(tenancy.clock().now(), "danger.across-tenants", outcome);
    let entry = entry.actor(actor).reason("the monthly report");
    tenancy.audit().record_durably(entry).await.unwrap();
}

#[tokio::test]
async fn who_crosses_tenants_by_danger_is_told_and_a_named_job_is_not() {
    let s = Scene::new(rules()).await;
    let (mia, tom) = (Actor::User(UserId::new()), Actor::User(UserId::new()));
    crosses(&s.w.tenancy, mia.clone(), Outcome::Failed).await;
    assert_eq!(s.alerts(AlertKind::BreakGlass).await, []);
    for who in [&mia, &mia, &tom] {
        crosses(&s.w.tenancy, who.clone(), Outcome::Allowed).await;
    }
    let run: JobRun = s.w.tenancy.begin_job("report", "monthly").unwrap();
    run.record_across().await.unwrap();
    let told = s.alerts(AlertKind::BreakGlass).await;
    let who: Vec<_> = told
        .iter()
        .map(|event| event.payload()["actor"].clone())
        .collect();
    assert_eq!(who, [json!(mia.to_string()), json!(tom.to_string())]);
}

#[tokio::test]
async fn a_broken_chain_is_told_also_by_an_engine_without_rules() {
    let s = Scene::new(rules()).await;
    let broken = |tenant: TenantId| s.w.tenancy.alert(Alert::chain_broken(Some(tenant), 4_711));
    assert!(broken(s.w.acme.id) && broken(s.w.globex.id));
    assert!(!broken(s.w.acme.id), "it was told a moment ago");
    let told = s.alerts(AlertKind::ChainBroken).await;
    assert_eq!(told.len(), 2);
    assert_eq!(told[0].payload()["first_broken"], "4711");

    let w = World::new().await;
    assert!(w.tenancy.alert(Alert::chain_broken(None, 1)));
    let entry = w.last_audit();
    assert_eq!(
        (&*entry.action, entry.reason.as_deref()),
        ("alert.raise", Some("chain-broken"))
    );
}

#[tokio::test]
async fn without_rules_and_without_a_rule_nothing_is_told() {
    let without = AlertKind::ALL
        .iter()
        .fold(rules(), |rules, kind| rules.without(*kind));
    let s = Scene::new(without).await;
    for tenant in s.tenants(TENANTS).await {
        s.alice_asks(&tenant).await;
    }
    crosses(&s.w.tenancy, Actor::User(s.w.bob), Outcome::Allowed).await;
    let report = s.w.tenancy.shutdown(Duration::from_secs(10)).await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(s.sink.events(), []);
    assert!(s.raised().is_empty());
}

/// A sink that fails for a while, or for ever.
#[derive(Debug, Clone, Default)]
struct Flaky {
    fails: Arc<std::sync::atomic::AtomicBool>,
    kept: MemoryAlertSink,
}

#[async_trait]
impl AlertSink for Flaky {
    async fn deliver(&self, alert: &NewEvent) -> Result<(), OutboxError> {
        if self.fails.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(OutboxError::unavailable("the database is away"));
        }
        self.kept.deliver(alert).await
    }
}

#[tokio::test(start_paused = true)]
async fn alerts_wait_for_their_sink_in_bounded_memory() {
    let flaky = Flaky::default();
    flaky
        .fails
        .store(true, std::sync::atomic::Ordering::Relaxed);
    let sink = flaky.clone();
    let w =
        World::over(|directory, builder| with_keys(directory, builder).alerts(rules(), sink)).await;
    for _ in 0..1_100 {
        assert!(
            w.tenancy
                .alert(Alert::chain_broken(Some(TenantId::new()), 1))
        );
    }
    let report = w.tenancy.shutdown(Duration::from_secs(5)).await;
    assert_eq!((report.alerts_waiting, report.alerts_dropped), (1_024, 76));
    assert!(!report.is_complete());
    flaky
        .fails
        .store(false, std::sync::atomic::Ordering::Relaxed);
    let report = w.tenancy.shutdown(Duration::from_secs(60)).await;
    assert_eq!(report.alerts_waiting, 0);
    assert_eq!(flaky.kept.events().len(), 1_024);
}

#[test]
fn rules_that_say_nothing_are_refused() {
    let build = |rules: AlertRules| -> Result<(), ConfigError> {
        let builder: TenancyBuilder = Tenancy::builder(tenancy_core::MemoryDirectory::new());
        let builder = builder.established_principals();
        builder
            .alerts(rules, MemoryAlertSink::new())
            .build()
            .map(drop)
    };
    build(AlertRules::new()).unwrap();
    for wrong in [
        AlertRules::new().cross_tenant(1, WITHIN),
        AlertRules::new().cross_tenant(65, WITHIN),
        AlertRules::new().cross_tenant(3, Duration::ZERO),
        AlertRules::new().refusals(0, 10),
        AlertRules::new().refusals(10, 0),
        AlertRules::new().cool_down(Duration::ZERO),
    ] {
        build(wrong).unwrap_err();
    }
    assert_eq!(Value::Null, Alert::new(AlertKind::Refusals).details);
}
