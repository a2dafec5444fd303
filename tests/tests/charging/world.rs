//! Two tenants on two plans, and requests of their members.

use std::sync::Arc;

use reqwest::{Method, RequestBuilder};
use tenancy_core::{
    Identification, Membership, MemoryAuditSink, MemoryDirectory, PermissionRegistry, PlanBook,
    SystemRole, Tenancy, TenantRecord, TenantStatus, UserId, testing::StoreDirectly as _,
};
use tenancy_tests::{
    Framework, Serving,
    notes::{authenticator, token},
};

use crate::{
    service::serve,
    till::{Entry, Till},
};

pub(crate) struct World {
    pub(crate) till: Till,
    pub(crate) audit: Arc<MemoryAuditSink>,
    serving: Serving,
    client: reqwest::Client,
    /// `alice` administers `acme`, which is on the plan `pro`.
    pub(crate) alice: String,
    /// `vera` only reads there.
    pub(crate) vera: String,
    /// `bob` administers `globex`, which is on the plan `free`.
    pub(crate) bob: String,
}

impl World {
    async fn start(framework: Framework) -> anyhow::Result<Self> {
        let directory = MemoryDirectory::new();
        let [alice, vera, bob] = [UserId::new(), UserId::new(), UserId::new()];
        let members = [
            ("acme", "pro", vec![(alice, "admin"), (vera, "viewer")]),
            ("globex", "free", vec![(bob, "admin")]),
        ];
        for (slug, plan, members) in members {
            let mut tenant =
                TenantRecord::new(slug.parse()?, slug).with_status(TenantStatus::Active);
            tenant.plan = Some(plan.to_owned());
            directory.create_tenant(&tenant).await?;
            for (user, role) in members {
                let membership = Membership::new(tenant.id, user, role.parse()?);
                directory.put_membership(&membership).await?;
            }
        }
        let (till, audit) = (Till::new(), Arc::new(MemoryAuditSink::new(100)));
        let permissions = PermissionRegistry::builder()
            .permission("notes:read", SystemRole::Viewer)
            .permission("notes:export", SystemRole::Admin);
        let plans = PlanBook::new()
            .plan("free", ["*"])
            .plan("pro", ["*"])
            .features("pro", ["export"]);
        let tenancy = Tenancy::builder(directory)
            .identification(Identification::new().subdomains_of("notes.example"))
            .authenticator(authenticator()?)
            .permissions(permissions.build()?)
            .plans(plans)
            .charger(till.clone())
            .shared_audit(Arc::clone(&audit) as _)
            .build()?;
        Ok(Self {
            serving: serve(framework, &tenancy, &till).await?,
            till,
            audit,
            client: reqwest::Client::builder().build()?,
            alice: token(alice)?,
            vera: token(vera)?,
            bob: token(bob)?,
        })
    }

    /// A request to `acme`.
    pub(crate) fn ask(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        self.ask_at("acme", method, path, token)
    }

    pub(crate) fn ask_at(
        &self,
        tenant: &str,
        method: Method,
        path: &str,
        token: &str,
    ) -> RequestBuilder {
        let url = format!("http://{}{path}", self.serving.address);
        let request = self.client.request(method, url);
        let request = request.header("host", format!("{tenant}.notes.example"));
        if token.is_empty() {
            return request;
        }
        request.bearer_auth(token)
    }

    /// A request of `alice` to `acme`.
    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.ask(Method::GET, path, &self.alice)
    }

    /// What has been taken, if it is from `acme`.
    pub(crate) fn taken(meter: &str, amount: u64) -> Entry {
        Entry::Taken("acme".to_owned(), meter.to_owned(), amount)
    }
}

/// Runs a test over both frameworks.
pub(crate) async fn on_both(
    test: impl AsyncFn(&World) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for framework in Framework::ALL {
        let world = World::start(framework).await?;
        test(&world)
            .await
            .map_err(|error| error.context(format!("on {framework:?}")))?;
        world.serving.stop().await?;
    }
    Ok(())
}
