//! `tenancy key list`.

use clap::Args;
use serde_json::json;
use tenancy_core::{
    OperatorRight, Timestamp,
    key::{ApiKey, KeyState},
};

use super::keys;
use crate::{
    connect::Session,
    failure::{Failure, Verdict},
    managing::{How, PAGE, Whose, find_tenant},
    output::Output,
    table::{Row, Table, cell},
};

/// List the API keys of a tenant in the order of their issue, revoked ones among them.
///
/// Neither the text of a key nor what is stored of it is printed.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tenancy key list --tenant acme --operator $ME --reason 'ticket 4711'")]
pub(super) struct List {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    pub(super) how: How,
}

impl List {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let right = OperatorRight::ReadTenants;
        let keys = keys(session, &self.how, right).await?;
        let tenant = find_tenant(session, &self.whose.tenant).await?.id;
        self.how.record_reading(session, tenant, "keys").await?;
        let now = session.tenancy.clock().now();
        let heads = &[
            "KEY",
            "STATE",
            "CREATOR",
            "SCOPES",
            "EXPIRES",
            "LAST USED",
            "NAME",
        ];
        let mut table = Table::new(heads);
        let mut after = None;
        loop {
            self.how.look_again(session).await?;
            let page = keys.list(tenant, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            table
                .rows(page.iter().map(|key| row(key, now)), output)
                .await?;
        }
        table.end(output, "the tenant has no API key");
        Ok(Verdict::Done)
    }
}

const fn named(state: KeyState) -> &'static str {
    match state {
        KeyState::Active => "active",
        KeyState::Revoked => "revoked",
        KeyState::Disabled => "disabled",
        KeyState::Expired => "expired",
        KeyState::Rotated => "rotated",
        _ => "unknown",
    }
}

fn row(key: &ApiKey, now: Timestamp) -> Row {
    let state = named(key.state_at(now));
    let scopes: Vec<_> = key.scopes.iter().map(ToString::to_string).collect();
    let cells = vec![
        key.id.to_string(),
        state.to_owned(),
        key.creator.to_string(),
        cell(Some(scopes.join(",")).filter(|scopes| !scopes.is_empty())),
        cell(key.ends_at()),
        cell(key.last_used_at),
        key.name.clone(),
    ];
    let moment = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let json = json!({
        "id": key.id,
        "tenant": key.tenant,
        "name": key.name,
        "state": state,
        "creator": key.creator,
        "environment": key.environment.as_str(),
        "scopes": scopes,
        "project": key.project,
        "created_at": key.created_at.to_string(),
        "ends_at": moment(key.ends_at()),
        "last_used_at": moment(key.last_used_at),
        "successor": key.successor,
    });
    (cells, json)
}
