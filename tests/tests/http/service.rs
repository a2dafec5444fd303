//! A notes service on a port of its own, and its callers.

use axum::{
    Json, Router,
    extract::{FromRef, Path},
    routing::{get, post},
};
use serde_json::{Value, json};
use tenancy_axum::{Error, MaybeTenant, RequirePermission, TenancyLayer, TenantDb, ready};
use tenancy_core::{Tenant, UserId};
use tenancy_sqlx::{TenantPool, TenantPoolOptions};
use tenancy_tests::notes::{self, Notes};
use uuid::Uuid;

#[derive(Clone)]
struct App {
    pool: TenantPool,
}

impl FromRef<App> for TenantPool {
    fn from_ref(app: &App) -> Self {
        app.pool.clone()
    }
}

/// The service, listening.
pub(crate) struct Service {
    address: std::net::SocketAddr,
    http: reqwest::Client,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }
}

impl Service {
    pub(crate) async fn start(notes: &Notes, options: TenantPoolOptions) -> anyhow::Result<Self> {
        Self::serve(notes, notes.pool(options).await?).await
    }

    pub(crate) async fn serve(notes: &Notes, pool: TenantPool) -> anyhow::Result<Self> {
        let writing = RequirePermission::new(&notes.tenancy, "notes:write")?;
        let app = Router::new()
            .route("/notes", post(add).layer(writing))
            .route("/notes", get(list))
            .route("/notes/{id}", get(read).put(overwrite).delete(delete))
            .route("/broken", get(broken))
            .layer(TenancyLayer::new(&notes.tenancy))
            .merge(
                Router::new()
                    .route("/maybe", get(maybe))
                    .layer(TenancyLayer::new(&notes.tenancy).optional()),
            )
            .route("/ready", get(ready(&notes.tenancy).pool(&pool)))
            .with_state(App { pool });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move { axum::serve(listener, app).await });
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { address, http })
    }

    /// Sends a request of a user to a tenant's host.
    pub(crate) async fn send(
        &self,
        method: &str,
        tenant: &Tenant,
        user: UserId,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Answer> {
        let url = format!("http://{}{path}", self.address);
        let mut request = self
            .http
            .request(method.parse()?, url)
            .header("host", format!("{}.notes.example", tenant.slug))
            .bearer_auth(token(user)?);
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(request.send().await?).await
    }

    pub(crate) async fn get(
        &self,
        tenant: &Tenant,
        user: UserId,
        path: &str,
    ) -> anyhow::Result<Answer> {
        self.send("GET", tenant, user, path, None).await
    }

    /// Sends a request without a credential to the service's own host.
    pub(crate) async fn get_plain(&self, path: &str) -> anyhow::Result<Answer> {
        let url = format!("http://{}{path}", self.address);
        answer(self.http.get(url).send().await?).await
    }
}

async fn answer(response: reqwest::Response) -> anyhow::Result<Answer> {
    let header = response.headers().get("retry-after");
    Ok(Answer {
        status: response.status().as_u16(),
        retry_after: header
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned),
        text: response.text().await?,
    })
}

fn token(user: UserId) -> anyhow::Result<String> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let claims = json!({
        "iss": notes::ISSUER, "aud": notes::AUDIENCE, "sub": user, "exp": now.as_secs() + 3600,
    });
    let key = jsonwebtoken::EncodingKey::from_secret(notes::SECRET);
    Ok(jsonwebtoken::encode(
        &jsonwebtoken::Header::default(),
        &claims,
        &key,
    )?)
}

async fn list(db: TenantDb) -> Result<Json<Vec<String>>, Error> {
    let reader = db.reader();
    Ok(Json(
        sqlx::query_scalar("SELECT body FROM notes")
            .fetch_all(&reader)
            .await?,
    ))
}

async fn add(db: TenantDb, Json(body): Json<String>) -> Result<Json<Uuid>, Error> {
    let insert = sqlx::query_scalar("INSERT INTO notes (body) VALUES ($1) RETURNING id");
    Ok(Json(insert.bind(body).fetch_one(&db).await?))
}

async fn read(db: TenantDb, Path(id): Path<Uuid>) -> Result<Json<Option<String>>, Error> {
    let select = sqlx::query_scalar("SELECT body FROM notes WHERE id = $1");
    Ok(Json(select.bind(id).fetch_optional(&db).await?))
}

async fn overwrite(db: TenantDb, Path(id): Path<Uuid>) -> Result<Json<u64>, Error> {
    let update = sqlx::query("UPDATE notes SET body = 'overwritten' WHERE id = $1");
    Ok(Json(update.bind(id).execute(&db).await?.rows_affected()))
}

async fn delete(db: TenantDb, Path(id): Path<Uuid>) -> Result<Json<u64>, Error> {
    let delete = sqlx::query("DELETE FROM notes WHERE id = $1");
    Ok(Json(delete.bind(id).execute(&db).await?.rows_affected()))
}

async fn broken(db: TenantDb) -> Result<(), Error> {
    sqlx::query("SELECT * FROM a_table_that_is_secret")
        .execute(&db)
        .await?;
    Ok(())
}

async fn maybe(MaybeTenant(tenant): MaybeTenant) -> String {
    tenant.map_or_else(
        || "nobody".into(),
        |context| context.tenant().slug.to_string(),
    )
}
