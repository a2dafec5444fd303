//! Two tenants on two plans, their members, and a service that limits what they use.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use tenancy_core::{
    Authenticator, CorsPolicy, Credential, Identification, LookupError, ManualClock,
    MemoryAuditSink, MemoryDirectory, PlanBook, SystemRole, Tenancy, Timestamp, Verdict,
    async_trait,
    jwt::JwtAuthenticator,
    key::{ApiKeys, Environment, HmacKeyHasher, KeyFormat, Pepper},
    quota::{
        Counters, CountersError, Counting, Limit, MemoryCounters, Meter, Operation, OperationId,
        Period, Quotas, Settle, Settled, Standings, Take, Taken,
    },
    testing::{TestTenant, TestTokens, service},
};
use tenancy_tests::{Framework, Serving};
use tokio::sync::watch;

use crate::service::serve;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// The origin of the application's own pages.
pub(crate) const PAGES: &str = "https://app.example";

/// What is counted, with clients told of it. Addresses have no limit.
pub(crate) fn quotas() -> Quotas {
    Quotas::new()
        .meter(Meter::consumed("exports"))
        .meter(Meter::held("projects"))
        .upgrade_url("https://notes.example/plans")
        .rate_limit_fields()
}

fn plans() -> PlanBook {
    PlanBook::new()
        .plan("free", ["*"])
        .limits(
            "free",
            [
                Limit::per_period("exports", 5, Period::Day),
                Limit::held("projects", 2),
            ],
        )
        .plan("pro", ["*"])
        .limits(
            "pro",
            [
                Limit::per_period("exports", 1_000, Period::Day),
                Limit::unlimited("projects"),
            ],
        )
        .for_tenants_without_plan("free")
}

/// Tokens, with a count of how often somebody has looked at one.
#[derive(Debug)]
struct Counted {
    tokens: JwtAuthenticator,
    looked_at: Arc<AtomicUsize>,
}

#[async_trait]
impl Authenticator for Counted {
    fn probe(&self, credential: Credential<'_>, now: Timestamp) -> Verdict {
        self.looked_at.fetch_add(1, Ordering::SeqCst);
        self.tokens.probe(credential, now)
    }

    async fn verify(&self, it: Credential<'_>, now: Timestamp) -> Result<Verdict, LookupError> {
        self.tokens.verify(it, now).await
    }
}

pub(crate) struct World {
    pub(crate) tenancy: Tenancy,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) audit: Arc<MemoryAuditSink>,
    looked_at: Arc<AtomicUsize>,
    /// Whether counters that are somewhere else answer.
    gate: watch::Sender<bool>,
    serving: Serving,
    client: reqwest::Client,
    pub(crate) acme: TestTenant,
    pub(crate) globex: TestTenant,
    /// A member of `acme`, which is on the plan `free`.
    pub(crate) alice: String,
    /// A member of `globex`, which is on the plan `pro`.
    pub(crate) bob: String,
}

/// How a world is put together.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) quotas: fn() -> Quotas,
    /// Whether every caller is taken for a trusted proxy.
    pub(crate) behind_proxy: bool,
    /// Whether the counters are somewhere else, and answer later.
    pub(crate) remote: bool,
    /// The plans `free` and `pro`.
    pub(crate) plans: fn() -> PlanBook,
    /// When it begins; `None` for now.
    pub(crate) begins: Option<Timestamp>,
}

/// As most services are: nobody is a proxy, and the counters are in memory.
pub(crate) const fn with(quotas: fn() -> Quotas) -> Setup {
    Setup {
        quotas,
        behind_proxy: false,
        remote: false,
        plans,
        begins: None,
    }
}

impl World {
    async fn start(framework: Framework, setup: Setup) -> anyhow::Result<Self> {
        let clock = match setup.begins {
            Some(moment) => ManualClock::at(moment),
            None => ManualClock::now_frozen(),
        };
        let (clock, audit) = (Arc::new(clock), Arc::new(MemoryAuditSink::new(100)));
        let tokens = TestTokens::new("notes");
        let looked_at = Arc::new(AtomicUsize::new(0));
        let counted = Counted {
            tokens: tokens.verifier().build()?,
            looked_at: Arc::clone(&looked_at),
        };
        let (gate, is_open) = watch::channel(true);
        let mut quotas = (setup.quotas)();
        if setup.remote {
            let counters = MemoryCounters::new();
            quotas = quotas.counters(Remote { counters, is_open });
        }
        let mut rules = Identification::new().subdomains_of("notes.example");
        if setup.behind_proxy {
            rules = rules.trusted_proxies(["127.0.0.1/32".parse()?]);
        }
        let directory = MemoryDirectory::new();
        let format = KeyFormat::new("notes", Environment::Live)?;
        let hasher = HmacKeyHasher::new(Pepper::new(1, [0x5c; 32])?);
        let tenancy = Tenancy::builder(directory.clone())
            .identification(rules)
            .authenticator(counted)
            .keys(ApiKeys::new(format, hasher, directory))
            .plans((setup.plans)())
            .quotas(quotas)
            .cors(CorsPolicy::new().origin(PAGES))
            .clock(clock.clone())
            .shared_audit(audit.clone())
            .build()?;
        let acme = TestTenant::create(&tenancy, "acme").await?;
        let globex = TestTenant::create(&tenancy, "globex").await?;
        globex
            .admin()
            .set_plan(globex.record().id, Some("pro"))
            .await?;
        let alice = tokens.sign(acme.member(SystemRole::Admin).await?);
        let bob = tokens.sign(globex.member(SystemRole::Admin).await?);
        Ok(Self {
            serving: serve(framework, &tenancy).await?,
            tenancy,
            clock,
            audit,
            looked_at,
            gate,
            client: reqwest::Client::builder().no_proxy().build()?,
            acme,
            globex,
            alice,
            bob,
        })
    }

    pub(crate) fn ask(&self, tenant: &str, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.serving.address);
        let request = self.client.request(method, url);
        request.header("host", format!("{tenant}.notes.example"))
    }

    /// A request of `alice` to `acme`.
    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.ask("acme", Method::GET, path).bearer_auth(&self.alice)
    }

    /// The same, with POST.
    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.ask("acme", Method::POST, path)
            .bearer_auth(&self.alice)
    }

    /// Whether counters that are somewhere else answer from now on.
    pub(crate) fn open_gate(&self, is_open: bool) {
        self.gate.send_replace(is_open);
    }

    /// How much of a limit `acme` has used, as operators see it.
    pub(crate) async fn used(&self, limit: &str) -> anyhow::Result<u64> {
        let admin = self.tenancy.admin(service());
        let usage = admin.usage(self.acme.record().id).await?;
        let limit = usage.limits.iter().find(|one| one.name == limit);
        Ok(limit.map_or(0, |limit| limit.standing.used))
    }

    /// How often somebody has looked at a token.
    pub(crate) fn looked_at(&self) -> usize {
        self.looked_at.load(Ordering::SeqCst)
    }
}

/// The status of the answer, once all of it is here.
pub(crate) async fn status(asking: RequestBuilder) -> anyhow::Result<u16> {
    let answer = asking.send().await?;
    let status = answer.status().as_u16();
    answer.bytes().await?;
    Ok(status)
}

/// The problem in an answer.
pub(crate) async fn problem(answer: Response) -> anyhow::Result<Value> {
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    Ok(serde_json::from_str(&answer.text().await?)?)
}

/// A field of an answer; empty if there is none.
pub(crate) fn field<'a>(answer: &'a Response, name: &str) -> &'a str {
    let value = answer.headers().get(name);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// Runs a test over both frameworks.
pub(crate) async fn on_both(
    setup: Setup,
    test: impl AsyncFn(&World) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for framework in Framework::ALL {
        let world = World::start(framework, setup).await?;
        test(&world)
            .await
            .map_err(|error| error.context(format!("on {framework:?}")))?;
        world.serving.stop().await?;
    }
    Ok(())
}

/// Counters that answer after a turn of the runtime, as those behind a network do. What is taken is taken at once, and told
/// when the gate is open.
#[derive(Debug)]
struct Remote {
    counters: MemoryCounters,
    is_open: watch::Receiver<bool>,
}

fn later<T: Send + 'static>(answer: Counting<T>) -> Counting<T> {
    Counting::Pending(Box::pin(async move {
        tokio::task::yield_now().await;
        answer.answer().await
    }))
}

impl Counters for Remote {
    fn take(&self, operation: Operation, takes: &[Take<'_>], now: Timestamp) -> Counting<Taken> {
        let answer = self.counters.take(operation, takes, now);
        let mut is_open = self.is_open.clone();
        Counting::Pending(Box::pin(async move {
            let opened = is_open.wait_for(|is_open| *is_open).await.map(drop);
            opened.map_err(CountersError::unavailable)?;
            answer.answer().await
        }))
    }

    fn settle(
        &self,
        operation: Operation,
        settles: &[Settle<'_>],
        now: Timestamp,
    ) -> Counting<Settled> {
        later(self.counters.settle(operation, settles, now))
    }

    fn renew(
        &self,
        operation: OperationId,
        takes: &[Take<'_>],
        now: Timestamp,
    ) -> Counting<Settled> {
        later(self.counters.renew(operation, takes, now))
    }

    fn give_back(
        &self,
        operation: OperationId,
        takes: &[Take<'_>],
        now: Timestamp,
    ) -> Counting<Settled> {
        later(self.counters.give_back(operation, takes, now))
    }

    fn standings(&self, takes: &[Take<'_>], now: Timestamp) -> Counting<Standings> {
        later(self.counters.standings(takes, now))
    }
}
