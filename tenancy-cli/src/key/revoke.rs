//! `tenancy key revoke` and `tenancy key revoke-all`.

use clap::Args;
use serde_json::json;
use tenancy_core::{KeyId, OperatorRight, TenantKey, UserId};

use super::keys;
use crate::{
    connect::Session,
    failure::{Failure, Verdict},
    managing::{How, Meant, Whose, find_tenant, tenant_key},
    output::{Output, plain},
};

/// Revoke a key, for good.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tenancy key revoke $KEY --tenant acme --yes --operator $ME --reason 'found in a public repository'")]
pub(super) struct Revoke {
    /// The key, by its id
    #[arg(value_name = "KEY")]
    key: KeyId,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    meant: Meant,
    #[command(flatten)]
    pub(super) how: How,
}

/// Revoke all keys of a tenant, or all that a user has made in whichever tenant, for good.
///
/// It ends keys and nothing else: remove a member first, or the user makes new ones.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenancy key revoke-all --tenant acme --yes --operator $ME --reason 'incident 12'
  tenancy key revoke-all --creator $BOB --yes --operator $ME --reason 'the account was taken over'")]
pub(super) struct RevokeAll {
    #[command(flatten)]
    of: Of,
    #[command(flatten)]
    meant: Meant,
    #[command(flatten)]
    pub(super) how: How,
}

/// Whose keys.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Of {
    /// The tenant, by its id or slug
    #[arg(long, value_name = "TENANT", value_parser = tenant_key)]
    tenant: Option<TenantKey>,
    /// The user who has made them, by the id
    #[arg(long, value_name = "USER")]
    creator: Option<UserId>,
}

const NO_WAY_BACK: &str = "a key that is revoked is never taken back";

impl Revoke {
    pub(super) fn confirm(&self) -> Result<(), Failure> {
        self.meant.confirm(NO_WAY_BACK)
    }

    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let keys = keys(session, &self.how, OperatorRight::Revoke).await?;
        let tenant = find_tenant(session, &self.whose.tenant).await?.id;
        let key = keys.revoke(tenant, self.key).await?;
        let text = format!("the key {} ({}) is revoked", key.id, plain(&key.name));
        let json = json!({ "id": key.id, "tenant": tenant, "name": key.name, "done": "revoked" });
        output.good(&text, &json).await?;
        Ok(Verdict::Done)
    }
}

impl RevokeAll {
    pub(super) fn confirm(&self) -> Result<(), Failure> {
        self.meant.confirm(NO_WAY_BACK)
    }

    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let keys = keys(session, &self.how, OperatorRight::Revoke).await?;
        let mut revoked = Vec::new();
        if let Some(key) = &self.of.tenant {
            let tenant = find_tenant(session, key).await?.id;
            revoked.push((tenant, keys.revoke_tenant(tenant).await?));
        }
        if let Some(creator) = self.of.creator {
            revoked = keys.revoke_creator(creator).await?;
        }
        for (tenant, count) in &revoked {
            let text = format!("{count} keys of tenant {tenant} are revoked");
            let json = json!({ "tenant": tenant, "revoked": count });
            output.good(&text, &json).await?;
        }
        if revoked.is_empty() {
            output.remark("there was no such key");
        }
        Ok(Verdict::Done)
    }
}
