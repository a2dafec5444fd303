//! Two engines over one database: the operators' console, and the service of two tenants.

use std::sync::Arc;

use anyhow::Context as _;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tenancy_core::{
    AuditDirectory as _, AuditEntry, AuditFilter, Clock as _, ImpersonationPolicy, ManualClock,
    MemoryAuditSink, Operator, OperatorRole, Operators, Tenancy, TenantId, Timestamp, UserId,
    jwt::{Algorithm, JwtAuthenticator, VerificationKey},
    key::{ApiKeys, Environment, HmacKeyHasher, KeyFormat, Pepper},
    testing::service as a_test,
};
use tenancy_sqlx::{PgAuditSink, PgDirectory, RegistryPool, TenantPoolOptions};
use tenancy_tests::{
    Framework, Server, Serving, logwatch,
    notes::{self, Notes, PASSWORD, PEPPER},
};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async, tungstenite::client::IntoClientRequest as _,
};

use crate::service::{Programs, serve};

pub(crate) const STAFF: &str = "https://staff.example.com";
pub(crate) const STAFF_SECRET: &[u8] = b"another HS256 secret, of the staff alone";

pub(crate) struct World {
    pub(crate) notes: Notes,
    pub(crate) console: Tenancy,
    pub(crate) service: Tenancy,
    pub(crate) clock: Arc<ManualClock>,
    /// What the engine of the tenants has recorded besides changes.
    pub(crate) audit: Arc<MemoryAuditSink>,
    pub(crate) mia: Operator,
    serving: Serving,
    client: reqwest::Client,
}

/// A token of the staff's issuer.
pub(crate) fn staff_token(subject: UserId, now: Timestamp) -> anyhow::Result<String> {
    let now = now.as_unix_seconds();
    let claims = json!({
        "iss": STAFF, "aud": "console", "sub": subject, "iat": now, "exp": now + 7200,
    });
    let key = jsonwebtoken::EncodingKey::from_secret(STAFF_SECRET);
    let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key)?;
    logwatch::issued(&token);
    Ok(token)
}

fn operators(directory: &PgDirectory) -> anyhow::Result<Operators> {
    let policy = ImpersonationPolicy::new(Pepper::new(1, PEPPER)?);
    Ok(Operators::new(directory.clone())
        .issuer(STAFF)
        .impersonation(policy))
}

impl World {
    async fn start(server: &Server, framework: Framework) -> anyhow::Result<Self> {
        logwatch::issued(STAFF_SECRET);
        let notes = Notes::start(server).await?;
        let clock = Arc::new(ManualClock::now_frozen());
        let key = VerificationKey::hmac(Algorithm::HS256, STAFF_SECRET)?;
        let staff = JwtAuthenticator::builder(STAFF, "console")
            .key(key)
            .build()?;
        let console = notes::builder(notes.directory.clone())?
            .operators(operators(&notes.directory)?.authenticator(staff))
            .audit(PgAuditSink::new(&notes.system))
            .clock(clock.clone())
            .build()?;

        let registry = notes
            .database
            .options_as("tenancy_registry", Some(PASSWORD));
        let registry = RegistryPool::connect_with(registry).await?;
        let directory = notes.directory(notes.app_options(), 2).await?;
        let directory = directory.with_registry(&registry);
        let audit = Arc::new(MemoryAuditSink::new(1_000));
        let format = KeyFormat::new("notes", Environment::Live)?;
        let hasher = HmacKeyHasher::new(Pepper::new(1, PEPPER)?);
        let service = notes::builder(directory.clone())?
            .operators(operators(&directory)?)
            .keys(ApiKeys::new(format, hasher, directory))
            .shared_audit(audit.clone())
            .clock(clock.clone())
            .build()?;
        let options = notes.with_key(TenantPoolOptions::new())?;
        let pool = options.connect_with(notes.app_options(), &service).await?;

        let mia = Operator::new(STAFF, UserId::new(), "Mia", [OperatorRole::Support]);
        console.admin(a_test()).put_operator(&mia).await?;
        let programs = Programs {
            console: console.clone(),
            service: service.clone(),
            pool,
            keys: service.keys()?,
        };
        Ok(Self {
            serving: serve(framework, programs).await?,
            client: reqwest::Client::builder().no_proxy().build()?,
            notes,
            console,
            service,
            clock,
            audit,
            mia,
        })
    }

    /// A token of the staff's issuer.
    pub(crate) fn staff(&self, subject: UserId) -> anyhow::Result<String> {
        staff_token(subject, self.clock.now())
    }

    pub(crate) fn ask(&self, tenant: &str, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.serving.address);
        let request = self.client.request(method, url);
        request.header("host", format!("{tenant}.notes.example"))
    }

    /// A websocket of whoever has this token, in acme.
    pub(crate) async fn socket(&self, token: &str) -> anyhow::Result<WebSocketStream<TcpStream>> {
        let mut request = "ws://acme.notes.example/socket".into_client_request()?;
        let bearer = format!("Bearer {token}").parse()?;
        request.headers_mut().insert("authorization", bearer);
        let stream = TcpStream::connect(self.serving.address).await?;
        Ok(client_async(request, stream).await?.0)
    }

    /// A request of an operator to the console.
    pub(crate) fn console(
        &self,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<RequestBuilder> {
        let url = format!("http://{}{path}", self.serving.address);
        let token = self.staff(self.mia.subject)?;
        Ok(match body {
            Some(body) => self.client.post(url).bearer_auth(token).json(&body),
            None => self.client.get(url).bearer_auth(token),
        })
    }

    /// Mia becomes alice of acme; her token.
    pub(crate) async fn become_alice(&self) -> anyhow::Result<String> {
        let body = json!({ "tenant": self.notes.acme.id, "user": self.notes.alice });
        let answer = self
            .console("/operators/impersonate", Some(body))?
            .send()
            .await?;
        anyhow::ensure!(answer.status().is_success(), "{}", answer.text().await?);
        let answer: Value = answer.json().await?;
        let token = answer
            .get("token")
            .and_then(|token| token.as_str())
            .context("a token")?;
        Ok(token.to_owned())
    }

    /// The trail of a tenant, the newest entry first.
    pub(crate) async fn trail(&self, tenant: TenantId) -> anyhow::Result<Vec<AuditEntry>> {
        let all = AuditFilter::new();
        let entries = self
            .notes
            .directory
            .list_entries(Some(tenant), &all, None, 100);
        Ok(entries.await?)
    }
}

/// The status of the answer, once all of it is here.
pub(crate) async fn status(asking: RequestBuilder) -> anyhow::Result<u16> {
    let answer = asking.send().await?;
    let status = answer.status().as_u16();
    answer.bytes().await?;
    Ok(status)
}

/// A field of an answer; empty if there is none.
pub(crate) fn field<'a>(answer: &'a Response, name: &str) -> &'a str {
    let value = answer.headers().get(name);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// Runs a test over each server and both frameworks.
pub(crate) async fn on_all(test: impl AsyncFn(&World) -> anyhow::Result<()>) -> anyhow::Result<()> {
    for server in Server::all().await? {
        for framework in Framework::ALL {
            let world = World::start(&server, framework).await?;
            test(&world)
                .await
                .map_err(|error| error.context(format!("on {framework:?}")))?;
            world.serving.stop().await?;
            world.notes.database.close().await?;
        }
    }
    Ok(())
}
