//! `tenancy audit seal`: links the entries that wait for it.

use clap::Args;
use serde_json::json;
use tenancy_core::AuditTrail as _;

use crate::{
    arguments::Form,
    connect::Session,
    failure::{Failure, Verdict},
    output::Output,
};

/// Link to their chains the entries that wait for it.
///
/// Each process of the service that has an audit sink in PostgreSQL does so twice a second. This is for a service that is
/// stopped, and before a verification that is to cover all. It adds links and changes no entry, so it asks for no reason.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  tenancy audit seal && tenancy audit verify --all")]
pub(super) struct Seal {
    #[command(flatten)]
    pub(super) form: Form,
}

impl Seal {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let sealed = session.directory.seal().await?;
        let text = format!("{sealed} entries were linked");
        output.good(&text, &json!({ "sealed": sealed })).await?;
        Ok(Verdict::Done)
    }
}
