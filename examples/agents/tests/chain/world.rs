//! The service, listening, over a database of its own with two tenants, and its callers.

use std::net::SocketAddr;

use agents::{Jobs, Queue, engine, routes};
use anyhow::Context as _;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use tenancy::{
    Membership, MemoryAuditSink, SystemRole, Tenancy, TenantId, TenantRecord, TenantStatus, UserId,
    key::Pepper,
    postgres::{PgDirectory, TenantPool, danger::SystemPool, schema::Installer},
};
use tenancy_tests::{
    Server, Template, TestDatabase, Version,
    notes::{self, PASSWORD},
};
use tokio::{net::TcpListener, task::JoinHandle};

const TEMPLATE: Template = Template::new("agents", |options| {
    Box::pin(async move {
        let mut admin: PgConnection = options.connect().await?;
        Installer::new()
            .passwords(PASSWORD, PASSWORD)
            .run_on(&mut admin, &agents::MIGRATIONS)
            .await?;
        Ok(admin.close().await?)
    })
})
.fingerprint(include_str!("../../migrations/0001_runs.sql"));

/// Somebody in a tenant.
pub(crate) struct Person {
    pub(crate) user: UserId,
    pub(crate) tenant: TenantId,
}

pub(crate) struct World {
    pub(crate) alice: Person,
    pub(crate) bob: Person,
    /// Jobs are done when a test says so.
    pub(crate) jobs: Jobs,
    database: TestDatabase,
    tenancy: Tenancy,
    address: SocketAddr,
    http: reqwest::Client,
    served: JoinHandle<std::io::Result<()>>,
}

impl World {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let server = Server::start(Version::Default).await?;
        let database = server.database(&TEMPLATE).await?;
        let login = |name: &str| database.options_as(name, Some(PASSWORD));
        let system = SystemPool::connect_with(login("tenancy_system")).await?;
        let directory = PgDirectory::connect_with(login("tenancy_app"), 4).await?;
        let pepper = Pepper::new(1, [0x5c; 32])?;
        let directory = directory.with_system(&system);
        let tenancy = engine(directory, notes::authenticator()?, pepper)?
            .audit(MemoryAuditSink::new(1_000))
            .build()?;
        let options = tenancy::postgres::TenantPoolOptions::new();
        let pool: TenantPool = options.connect_with(login("tenancy_app"), &tenancy).await?;
        let (queue, jobs) = Queue::new(pool.clone());
        let app = routes(&tenancy, pool, queue)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        Ok(Self {
            alice: provision(&tenancy, "acme").await?,
            bob: provision(&tenancy, "globex").await?,
            jobs,
            database,
            tenancy,
            address: listener.local_addr()?,
            http: reqwest::Client::builder().no_proxy().build()?,
            served: tokio::spawn(async move { axum::serve(listener, app).await }),
        })
    }

    pub(crate) fn person(&self, person: &Person) -> Caller<'_> {
        let token = notes::token(person.user).unwrap();
        self.caller("authorization", format!("Bearer {token}"))
            .at(person.tenant)
    }

    pub(crate) fn with_key(&self, key: &str) -> Caller<'_> {
        self.caller("x-api-key", key.to_owned())
    }

    fn caller(&self, field: &'static str, credential: String) -> Caller<'_> {
        Caller {
            world: self,
            fields: vec![(field, credential)],
        }
    }

    pub(crate) async fn issue(
        &self,
        by: &Person,
        name: &str,
        scopes: &[&str],
    ) -> anyhow::Result<(u16, Value)> {
        let wanted = json!({ "name": name, "scopes": scopes, "expires_in_days": 30 });
        self.person(by).post("/keys", &wanted).await
    }

    pub(crate) async fn demote(&self, person: &Person) -> anyhow::Result<()> {
        let viewer = Membership::new(person.tenant, person.user, SystemRole::Viewer.name());
        Ok(self
            .tenancy
            .admin(tenancy::testing::service())
            .put_membership(&viewer)
            .await?)
    }

    /// An admin of the same tenant.
    pub(crate) async fn colleague(&self, of: &Person) -> anyhow::Result<Person> {
        let (tenant, user) = (of.tenant, UserId::new());
        let admin = Membership::new(tenant, user, SystemRole::Admin.name());
        self.tenancy
            .admin(tenancy::testing::service())
            .put_membership(&admin)
            .await?;
        Ok(Person { user, tenant })
    }

    pub(crate) async fn close(self) -> anyhow::Result<()> {
        self.served.abort();
        Ok(self.database.close().await?)
    }
}

/// Whoever calls the service, with a credential.
pub(crate) struct Caller<'a> {
    world: &'a World,
    fields: Vec<(&'static str, String)>,
}

impl Caller<'_> {
    /// Says which tenant is meant.
    pub(crate) fn at(mut self, tenant: TenantId) -> Self {
        self.fields.push(("x-organization-id", tenant.to_string()));
        self
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<(u16, Value)> {
        answered(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<(u16, Value)> {
        answered(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<u16> {
        Ok(answered(self.request(Method::DELETE, path)).await?.0)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.world.address);
        let request = self.world.http.request(method, url);
        let fields = self.fields.iter();
        fields.fold(request, |request, (name, value)| {
            request.header(*name, value)
        })
    }
}

/// The status and the body; a text where it is no JSON.
async fn answered(request: RequestBuilder) -> anyhow::Result<(u16, Value)> {
    let response = request.send().await.context("the service answers")?;
    let status = response.status().as_u16();
    let body = response.text().await?;
    Ok((
        status,
        serde_json::from_str(&body).unwrap_or(Value::String(body)),
    ))
}

async fn provision(tenancy: &Tenancy, slug: &str) -> anyhow::Result<Person> {
    let tenant = TenantRecord::new(slug.parse()?, slug);
    let user = UserId::new();
    let admin = tenancy.admin(tenancy::testing::service());
    admin.create_tenant(&tenant).await?;
    let owner = Membership::new(tenant.id, user, SystemRole::Owner.name());
    // A tenant keeps an owner; so that the first one may be demoted, there is another.
    let other = Membership::new(tenant.id, UserId::new(), SystemRole::Owner.name());
    for owner in [&owner, &other] {
        admin.put_membership(owner).await?;
    }
    admin.set_status(tenant.id, TenantStatus::Active).await?;
    let tenant = tenant.id;
    Ok(Person { user, tenant })
}
