//! A service that takes imported keys, on either framework.

use std::num::NonZeroUsize;

use actix_web::{App, HttpServer, web};
use axum::{Json, Router, routing::get};
use reqwest::Response;
use serde_json::Value;
use tenancy_core::{
    Tenancy,
    key::{
        ApiKey, ApiKeys, Environment, HmacKeyHasher, ImportedFormat, ImportedKeys, ImportedSecret,
        KeyFormat, NewKey, Pepper, SecretHasher,
    },
};
use tenancy_sqlx::{TenantPool, TenantPoolOptions};
use tenancy_tests::{
    Framework, Serving, logwatch,
    notes::{Notes, PEPPER, builder},
};

const NOTES: &str = "SELECT body FROM notes";

/// An engine that takes keys `oldco_4711.correcthorse`, one secret at a time, over the notes.
pub(crate) fn engine(notes: &Notes) -> anyhow::Result<Tenancy> {
    let pepper = Pepper::new(1, PEPPER)?;
    logwatch::issued("correcthorse");
    let format = KeyFormat::new("notes", Environment::Live)?;
    let one_at_a_time = SecretHasher::with_parallelism(NonZeroUsize::MIN);
    let imported = ImportedKeys::new(ImportedFormat::separated("oldco_", '.')?)
        .hasher(one_at_a_time)
        .attempts_per_handle(1000)
        .attempts_per_address(1000);
    let keys = ApiKeys::new(format, HmacKeyHasher::new(pepper), notes.directory.clone());
    Ok(builder(notes.directory.clone())?
        .keys(keys.imported(imported))
        .shared_audit(notes.audit.clone())
        .build()?)
}

/// A key of Acme's owner for all that she may do.
pub(crate) async fn import(
    notes: &Notes,
    tenancy: &Tenancy,
    handle: &str,
    secret: impl Into<ImportedSecret> + Send,
) -> anyhow::Result<ApiKey> {
    let new = NewKey::new(notes.acme.id, notes.alice, "a key", ["*".parse()?]);
    Ok(tenancy
        .keys()?
        .by(tenancy_core::testing::service())
        .import(new, handle.parse()?, secret)
        .await?)
}

/// A service with one route, which lists the tenant's notes.
pub(crate) struct Service {
    serving: Serving,
    client: reqwest::Client,
}

impl Service {
    pub(crate) async fn start(
        framework: Framework,
        notes: &Notes,
        tenancy: &Tenancy,
    ) -> anyhow::Result<Self> {
        let options = TenantPoolOptions::new();
        let pool = options.connect_with(notes.app_options(), tenancy).await?;
        let serving = match framework {
            Framework::Axum => on_axum(pool, tenancy).await?,
            Framework::Actix => on_actix(pool, tenancy.clone()).await?,
        };
        let client = reqwest::Client::new();
        Ok(Self { serving, client })
    }

    pub(crate) async fn ask(&self, key: &str) -> anyhow::Result<Response> {
        let url = format!("http://{}/notes", self.serving.address);
        Ok(self.client.get(url).bearer_auth(key).send().await?)
    }

    /// The number of notes that a key is shown.
    pub(crate) async fn notes(&self, key: &str) -> anyhow::Result<usize> {
        let answer = self.ask(key).await?.error_for_status()?;
        Ok(answer.json::<Vec<String>>().await?.len())
    }

    /// The status and the problem that a key gets.
    pub(crate) async fn refused(&self, key: &str) -> anyhow::Result<(u16, Value)> {
        let answer = self.ask(key).await?;
        Ok((answer.status().as_u16(), answer.json().await?))
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.serving.stop().await
    }
}

async fn on_axum(pool: TenantPool, tenancy: &Tenancy) -> anyhow::Result<Serving> {
    async fn list(db: tenancy_axum::TenantDb) -> Result<Json<Vec<String>>, tenancy_axum::Error> {
        Ok(Json(sqlx::query_scalar(NOTES).fetch_all(&db).await?))
    }
    let app = Router::new()
        .route("/notes", get(list))
        .layer(tenancy_axum::TenancyLayer::new(tenancy))
        .with_state(pool);
    Serving::axum(app).await
}

async fn on_actix(pool: TenantPool, tenancy: Tenancy) -> anyhow::Result<Serving> {
    async fn list(
        db: tenancy_actix::TenantDb,
    ) -> Result<web::Json<Vec<String>>, tenancy_actix::Error> {
        Ok(web::Json(sqlx::query_scalar(NOTES).fetch_all(&db).await?))
    }
    let app = move || {
        App::new()
            .app_data(web::Data::new(pool.clone()))
            .route("/notes", web::get().to(list))
            .wrap(tenancy_actix::TenancyMiddleware::new(&tenancy))
    };
    Serving::actix(move |listener| {
        let server = HttpServer::new(app).workers(2).disable_signals();
        server.listen(listener).map(HttpServer::run)
    })
    .await
}
