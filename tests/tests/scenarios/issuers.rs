//! The issuers whose tokens the scenarios are played with: what each publishes, and what the service
//! makes of its tokens.

use std::time::Duration;

use tenancy_core::{
    TenantId,
    jwt::{
        JwksHttpClient, JwtAuthenticator, JwtAuthenticatorBuilder, JwtIssuers, RemoteKeys,
        ServiceMapping, SubjectMapping,
    },
};
use tenancy_tests::notes;

use crate::{key_server::KeyServer, signer::SIGNERS};

/// The service's own identity provider: every user, and no word about tenants.
pub(crate) const LOGIN: &str = "login";
/// The single sign-on that `acme` brought along.
pub(crate) const SSO: &str = "sso/acme";
/// The single sign-on that `globex` brings along while the service runs.
pub(crate) const NEW_SSO: &str = "sso/globex";
/// A provider whose tokens say which organizations, scopes, roles and application they are for.
pub(crate) const CLOUD: &str = "cloud";
/// A provider of service accounts.
pub(crate) const MACHINES: &str = "machines";
/// Somebody who describes himself and publishes keys like all others, and whom nobody trusts.
pub(crate) const UNREGISTERED: &str = "unregistered";

/// How long a fetch of keys may take: long on a busy machine, and short to wait for.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Publishes every issuer's keys.
pub(crate) fn publish(server: &KeyServer) {
    let keys = &*SIGNERS;
    let login = [keys.rsa.jwk(), keys.ec.jwk(), keys.ed.jwk()];
    server.publishes(LOGIN, &login);
    server.publishes(SSO, &[keys.sso.jwk()]);
    server.publishes(NEW_SSO, &[keys.new_sso.jwk()]);
    server.publishes(CLOUD, &[keys.cloud.jwk()]);
    server.publishes(MACHINES, &[keys.machines.jwk()]);
    server.publishes(UNREGISTERED, &[keys.stranger.jwk()]);
}

/// Trusts them, and finds their keys by the description that each publishes.
pub(crate) fn configured(server: &KeyServer, acme: TenantId) -> anyhow::Result<JwtIssuers> {
    let http = JwksHttpClient::builder().insecure_loopback().build()?;
    let trusted = |name: &str| -> anyhow::Result<JwtAuthenticatorBuilder> {
        let issuer = server.issuer(name);
        let keys = RemoteKeys::builder(http.discovered(&issuer)?).timeout(TIMEOUT);
        let builder = JwtAuthenticator::builder(issuer, notes::AUDIENCE);
        Ok(builder.remote_keys(keys.build()?))
    };
    let permissions = notes::permissions()?;
    let issuers = JwtIssuers::new();
    issuers.add(trusted(LOGIN)?.build()?)?;
    let sso = trusted(SSO)?
        .bound_to(acme)
        .subject(SubjectMapping::PerIssuer);
    issuers.add(sso.build()?)?;
    let cloud = trusted(CLOUD)?
        .tenant_set_claim("organizations")
        .default_tenant_claim("organization")
        .scope_claim("scope", &permissions)
        .role_claim("roles", &permissions)
        .applications("azp", ["web"]);
    issuers.add(cloud.build()?)?;
    let machines = trusted(MACHINES)?
        .tenant_claim("tenant")
        .scope_claim("scope", &permissions)
        .services(ServiceMapping::SubjectIsClient)
        .subject(SubjectMapping::PerIssuer);
    issuers.add(machines.build()?)?;
    Ok(issuers)
}
