//! The single sign-ons that tenants brought along, in a table of the application's own.

use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tenancy_core::{
    LookupError, TenantId, async_trait,
    jwt::{
        IssuerSource, JwksHttpClient, JwtAuthenticator, JwtConfigError, StoredIssuers,
        SubjectMapping,
    },
};
use tenancy_tests::notes;
use uuid::Uuid;

/// What the administrator creates: the service's login finds one row at a time, and reads no table
/// that has rows of every tenant.
pub(crate) const TABLE: &str =
    "CREATE TABLE sign_ons (issuer text PRIMARY KEY, tenant_id uuid NOT NULL);
     ALTER TABLE sign_ons OWNER TO tenancy_owner;
     CREATE FUNCTION find_sign_on(text) RETURNS SETOF uuid
         LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
         AS 'SELECT tenant_id FROM sign_ons WHERE issuer = $1';
     COMMENT ON FUNCTION find_sign_on IS '[tenancy: looks across tenants]';
     ALTER FUNCTION find_sign_on OWNER TO tenancy_owner";

#[derive(Debug)]
pub(crate) struct SignOns {
    login: PgConnectOptions,
    http: JwksHttpClient,
}

/// Finds issuers as the service does: with its own login.
pub(crate) fn configured(
    login: PgConnectOptions,
) -> Result<StoredIssuers<SignOns>, JwtConfigError> {
    let http = JwksHttpClient::builder().insecure_loopback().build()?;
    Ok(StoredIssuers::new(SignOns { login, http }))
}

#[async_trait]
impl IssuerSource for SignOns {
    type Record = TenantId;

    async fn find_issuer(&self, issuer: &str) -> Result<Option<TenantId>, LookupError> {
        let found = async {
            let mut connection = PgConnection::connect_with(&self.login).await?;
            let select = "SELECT find_sign_on($1)";
            let select = sqlx::query_scalar::<_, Uuid>(select).bind(issuer);
            let found = select.fetch_optional(&mut connection).await;
            connection.close().await?;
            found
        };
        let found: Result<_, sqlx::Error> = found.await;
        Ok(found.map_err(LookupError::new)?.map(TenantId::from_uuid))
    }

    fn authenticator(
        &self,
        issuer: &str,
        tenant: &TenantId,
    ) -> Result<JwtAuthenticator, LookupError> {
        let sign_on = JwtAuthenticator::builder(issuer, notes::AUDIENCE)
            .discover(&self.http)
            .map_err(LookupError::new)?;
        sign_on
            .bound_to(*tenant)
            .subject(SubjectMapping::PerIssuer)
            .build()
            .map_err(LookupError::new)
    }
}
