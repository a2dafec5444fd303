//! `tenancy audit anchor`: signs where the chains stand.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tenancy_core::{Admin, AnchorStore, AuditError, async_trait, jwt::AnchorSigner};
use tokio::sync::Mutex;

use super::keys::{self, Elsewhere, KeyFile};
use crate::{
    arguments::Form,
    connect::Session,
    failure::{Failure, Verdict},
    output::Output,
    who::Unnamed,
};

/// Sign where each chain stands, and keep the anchors where the database's administrators can't change them.
///
/// Without a place they are printed, one in a line.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openssl genpkey -algorithm ed25519 -out anchors.pem
  openssl pkey -in anchors.pem -pubout -out anchors.pub.pem
  tenancy audit anchor --key anchors.pem --name notes --file /mnt/worm/notes.anchors
  tenancy audit anchor --key anchors.pem --name notes --to-database
  tenancy audit anchor --key anchors.pem --name notes | logger --tag anchors")]
pub(super) struct Anchor {
    /// The private key that signs, as PEM: Ed25519, or P-256
    #[arg(long, value_name = "[ID=]FILE", value_parser = keys::key_file)]
    key: KeyFile,
    /// A name for this database, which each anchor has: it tells them from those of a copy
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Add them to the end of this file
    #[arg(long, value_name = "FILE", conflicts_with = "to_database")]
    file: Option<PathBuf>,
    /// Keep them in the other database
    #[arg(long)]
    to_database: bool,
    #[command(flatten)]
    elsewhere: Elsewhere,
    #[command(flatten)]
    who: Unnamed,
    #[command(flatten)]
    pub(super) form: Form,
}

impl Anchor {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let signer = AnchorSigner::new(&self.name, self.key.signing()?);
        let authority = self.who.authority(session, "tenancy audit anchor").await?;
        let admin = session.tenancy.admin(authority);
        let kept = if let Some(path) = &self.file {
            keep(&admin, &signer, &keys::file(path)).await?
        } else if self.to_database {
            keep(&admin, &signer, &self.elsewhere.open().await?).await?
        } else {
            let printed = Printed(Mutex::new(&mut *output));
            let count = keep(&admin, &signer, &printed).await?;
            output.remark(&format!("{count} chains are anchored"));
            return Ok(Verdict::Done);
        };
        let text = format!("{kept} chains are anchored");
        output.good(&text, &json!({ "anchored": kept })).await?;
        Ok(Verdict::Done)
    }
}

/// Signs and keeps, and says in the words of the place why that could not be. A reader who has gone is an error here: what it
/// has not read is kept nowhere.
async fn keep(
    admin: &Admin,
    signer: &AnchorSigner,
    store: &dyn AnchorStore,
) -> Result<u64, Failure> {
    let noted = Noted {
        store,
        fault: Mutex::new(None),
    };
    let kept = admin.anchor_trail(signer, &noted).await;
    kept.map_err(|error| match noted.fault.into_inner() {
        Some(cause) => Failure::Told(format!("the anchors are not kept: {cause}")),
        None => error.into(),
    })
}

/// A place, of which it is noted why it has not kept anchors.
struct Noted<'s> {
    store: &'s dyn AnchorStore,
    fault: Mutex<Option<String>>,
}

#[async_trait]
impl AnchorStore for Noted<'_> {
    async fn keep(&self, anchors: &[String]) -> Result<(), AuditError> {
        let kept = self.store.keep(anchors).await;
        if let Err(error) = &kept {
            *self.fault.lock().await = Some(keys::cause(error));
        }
        kept
    }

    async fn kept(&self) -> Result<Vec<String>, AuditError> {
        self.store.kept().await
    }
}

/// Prints anchors. Who keeps them is whoever reads.
struct Printed<'o>(Mutex<&'o mut Output>);

#[async_trait]
impl AnchorStore for Printed<'_> {
    async fn keep(&self, anchors: &[String]) -> Result<(), AuditError> {
        let mut output = self.0.lock().await;
        for anchor in anchors {
            let json = json!({ "anchor": anchor });
            output
                .result(anchor, &json)
                .await
                .map_err(AuditError::new)?;
        }
        Ok(())
    }

    async fn kept(&self) -> Result<Vec<String>, AuditError> {
        Ok(Vec::new())
    }
}
