use std::{env, net::SocketAddr};

use axum::{Json, Router, routing::get};
use tenancy::{
    Identification, PermissionRegistry, SystemRole, Tenancy,
    axum::{Error, TenancyLayer, TenantDb},
    jwt::{Algorithm, JwtAuthenticator, VerificationKey},
    postgres::{PgDirectory, TenantPool},
};

async fn list(db: TenantDb) -> Result<Json<Vec<String>>, Error> {
    db.context().require("notes:read")?;
    // No WHERE, and no other tenant's notes.
    Ok(Json(sqlx::query_scalar("SELECT body FROM notes").fetch_all(&db).await?))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = env::var("DATABASE_URL")?; // the login `tenancy_app`
    let key = VerificationKey::hmac(Algorithm::HS256, env::var("TOKEN_SECRET")?)?;
    let tokens = JwtAuthenticator::builder("https://login.example", "notes").key(key);
    let permissions = PermissionRegistry::builder().permission("notes:read", SystemRole::Viewer);
    let tenancy = Tenancy::builder(PgDirectory::connect(&url).await?)
        .identification(Identification::new().subdomains_of("notes.example"))
        .authenticator(tokens.build()?)
        .permissions(permissions.build()?)
        .build()?;

    let app = Router::new()
        .route("/notes", get(list))
        .layer(TenancyLayer::new(&tenancy))
        .with_state(TenantPool::connect(&url, &tenancy).await?);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?)
}
