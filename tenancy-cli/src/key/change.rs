//! Changes of one key.

use clap::Args;
use serde_json::json;
use tenancy_core::{KeyId, OperatorRight, key::ApiKey};

use super::keys;
use crate::{
    connect::Session,
    failure::{Failure, Verdict},
    managing::{How, Whose, find_tenant},
    output::{Output, plain},
};

/// Give a key another name for people.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tenancy key rename $KEY 'nightly export' --tenant acme --operator $ME --reason 'ticket 4711'")]
pub(super) struct Rename {
    /// The key, by its id
    #[arg(value_name = "KEY")]
    key: KeyId,
    /// The new name
    name: String,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    pub(super) how: How,
}

/// Switch a key off. `tenancy key enable` takes it back.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tenancy key disable $KEY --tenant acme --operator $ME --reason 'incident 12'")]
pub(super) struct Disable {
    /// The key, by its id
    #[arg(value_name = "KEY")]
    key: KeyId,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    pub(super) how: How,
}

/// Switch a key on again.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tenancy key enable $KEY --tenant acme --operator $ME --reason 'incident 12 is over'")]
pub(super) struct Enable {
    /// The key, by its id
    #[arg(value_name = "KEY")]
    key: KeyId,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    pub(super) how: How,
}

async fn told(key: &ApiKey, done: &str, output: &mut Output) -> Result<Verdict, Failure> {
    let text = format!("the key {} ({}) is {done}", key.id, plain(&key.name));
    let json = json!({ "id": key.id, "tenant": key.tenant, "name": key.name, "done": done });
    output.good(&text, &json).await?;
    Ok(Verdict::Done)
}

impl Rename {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let keys = keys(session, &self.how, OperatorRight::ManageKeys).await?;
        let tenant = find_tenant(session, &self.whose.tenant).await?.id;
        let key = keys.rename(tenant, self.key, &self.name).await?;
        told(&key, "renamed", output).await
    }
}

impl Disable {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let keys = keys(session, &self.how, OperatorRight::Revoke).await?;
        let tenant = find_tenant(session, &self.whose.tenant).await?.id;
        let key = keys.disable(tenant, self.key).await?;
        told(&key, "disabled", output).await
    }
}

impl Enable {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let keys = keys(session, &self.how, OperatorRight::ManageKeys).await?;
        let tenant = find_tenant(session, &self.whose.tenant).await?.id;
        let key = keys.enable(tenant, self.key).await?;
        told(&key, "enabled", output).await
    }
}
