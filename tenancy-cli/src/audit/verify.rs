//! `tenancy audit verify`: whether the chains are whole, and which link is the first that is not.

use std::{collections::BTreeSet, fmt, path::PathBuf};

use clap::Args;
use serde_json::json;
use tenancy_core::{
    Admin, AuditDirectory as _, AuditFilter, AuditTrail as _, ChainHead, ChainReport,
    TenantDirectory as _, TenantFilter, TenantId, TenantKey, jwt::AnchorVerifier,
};

use super::{
    keys::{self, Elsewhere, KeyFile},
    whose::Chain,
};
use crate::{
    arguments::Form,
    connect::Session,
    failure::{Failure, Verdict},
    output::Output,
    who::Unnamed,
};

/// How many chains or tenants are listed at once.
const PAGE: u32 = 500;

/// Verify that nobody has changed, removed or put in an entry; name the first link that is wrong.
///
/// Each verification is an entry `trail.verify` of the trail itself.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes:
  0  each chain is whole, and agrees with the anchors
  1  a chain is broken, or an anchor contradicts it
  2  it is not known: no connection, no such tenant, a line that is no anchor

A database's administrator can make a whole chain anew. That shows by an anchor alone.

Examples:
  tenancy audit verify --all
  tenancy audit verify --tenant 0199c0de-0000-7000-8000-000000000001 --format json
  tenancy audit verify --all --anchors /mnt/worm/notes.anchors --key anchors.pub.pem --name notes")]
pub(super) struct Verify {
    #[command(flatten)]
    chains: Chains,
    #[command(flatten)]
    anchors: Anchors,
    #[command(flatten)]
    who: Unnamed,
    #[command(flatten)]
    pub(super) form: Form,
}

/// Which chains are verified; each, if none is named.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct Chains {
    /// The chain of this tenant, by its id
    #[arg(long, value_name = "ID")]
    tenant: Option<TenantId>,
    /// Each chain: of each tenant, and of what concerns none. So it is too if no chain is named
    #[arg(long)]
    all: bool,
    /// The chain of what concerns no tenant
    #[arg(long)]
    none: bool,
}

/// What the chains are compared with.
#[derive(Debug, Args)]
struct Anchors {
    /// Compare with the anchors in this file
    #[arg(long, value_name = "FILE", requires_all = ["key", "name"])]
    anchors: Option<PathBuf>,
    /// Compare with the anchors in the other database
    #[arg(long, requires_all = ["key", "name"])]
    anchors_from_database: bool,
    #[command(flatten)]
    elsewhere: Elsewhere,
    /// The public key of the anchors, as PEM; with several keys each has its id
    #[arg(long, value_name = "[ID=]FILE", value_parser = keys::key_file)]
    key: Vec<KeyFile>,
    /// The name of the database for which the anchors were signed
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

impl Verify {
    pub(super) async fn run(
        &self,
        session: &Session,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let anchors = self.anchors.read().await?;
        let authority = self.who.authority(session, "tenancy audit verify").await?;
        let admin = session.tenancy.admin(authority);
        if let Some(tenant) = self.chains.tenant {
            // Before it is verified: that is an entry of the tenant's chain.
            is_known(session, tenant, &anchors).await?;
        }
        let mut found = Found::default();
        let done = self.verify(&admin, &anchors, &mut found, output).await;
        match done {
            // Whatever hinders the rest, a fault stays a fault.
            Err(Failure::Told(message)) if found.broken > 0 => output.fail(&message),
            done => done?,
        }
        output.remark(&found.to_string());
        Ok(match found.broken {
            0 => Verdict::Done,
            _ => Verdict::Fault,
        })
    }

    async fn verify(
        &self,
        admin: &Admin,
        anchors: &[ChainHead],
        found: &mut Found,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let mut is_read = true;
        for chain in self.chains.list(admin, anchors).await? {
            let report = admin.verify_trail(chain, anchors).await?;
            found.verified += 1;
            found.broken += u64::from(!report.is_whole());
            if !is_read {
                continue;
            }
            match tell(&report, output).await {
                // The exit code is of all chains, also where nobody reads about each.
                Err(Failure::ClosedPipe) => is_read = false,
                told => told?,
            }
        }
        Ok(())
    }
}

/// How many chains were verified.
#[derive(Debug, Default)]
struct Found {
    verified: u64,
    broken: u64,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.broken {
            0 => write!(f, "{} chains verified, each is whole", self.verified),
            broken => write!(f, "{} chains verified, {broken} broken", self.verified),
        }
    }
}

/// Refuses an id of which there is neither a tenant nor an entry, a chain or an anchor: most likely it is misspelt.
async fn is_known(
    session: &Session,
    tenant: TenantId,
    anchors: &[ChainHead],
) -> Result<(), Failure> {
    let directory = &session.directory;
    let found = directory.find_tenant(&TenantKey::Id(tenant)).await;
    let is_known = found.map_err(Failure::told)?.is_some()
        || anchors.iter().any(|anchor| anchor.tenant == Some(tenant))
        || has_entries(session, tenant).await?
        || has_head(session, tenant).await?;
    if is_known {
        return Ok(());
    }
    Err(Failure::Told(format!(
        "there is no tenant `{tenant}`, and no entry of one in the trail"
    )))
}

async fn has_entries(session: &Session, tenant: TenantId) -> Result<bool, Failure> {
    let all = AuditFilter::new();
    let found = session
        .directory
        .list_entries(Some(tenant), &all, None, 1)
        .await?;
    Ok(!found.is_empty())
}

/// Whether there is the head of a chain, whose entries may be gone.
async fn has_head(session: &Session, tenant: TenantId) -> Result<bool, Failure> {
    let mut after = None;
    loop {
        let heads = session.directory.list_heads(after, PAGE).await?;
        let Some(last) = heads.last() else {
            return Ok(false);
        };
        after = Some(last.tenant);
        if heads.iter().any(|head| head.tenant == Some(tenant)) {
            return Ok(true);
        }
    }
}

impl Chains {
    /// The chains, each once. All of them are those that have a link, those of all tenants, and those of the anchors: a
    /// chain that was removed as a whole is missing among the first.
    async fn list(
        &self,
        admin: &Admin,
        anchors: &[ChainHead],
    ) -> Result<BTreeSet<Option<TenantId>>, Failure> {
        if self.tenant.is_some() || self.none {
            return Ok(BTreeSet::from([self.tenant]));
        }
        let mut chains: BTreeSet<_> = anchors.iter().map(|anchor| anchor.tenant).collect();
        chains.insert(None);
        let mut after = None;
        loop {
            let heads = admin.list_chain_heads(after, PAGE).await?;
            let Some(last) = heads.last() else { break };
            after = Some(last.tenant);
            chains.extend(heads.iter().map(|head| head.tenant));
        }
        let mut after = None;
        loop {
            let page = admin
                .list_tenants(&TenantFilter::new(), after, PAGE)
                .await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            chains.extend(page.iter().map(|tenant| Some(tenant.id)));
        }
        Ok(chains)
    }
}

impl Anchors {
    /// The anchors that are kept, with their signatures checked. Each line has to be one: whoever leaves a bad line out
    /// may leave out the one that would have shown something.
    async fn read(&self) -> Result<Vec<ChainHead>, Failure> {
        let mut kept = Vec::new();
        if let Some(path) = &self.anchors {
            let place = format!("the file `{}`", path.display());
            let lines = keys::kept(&keys::file(path), &place).await?;
            kept.push((place, lines));
        }
        if self.anchors_from_database {
            let place = "the other database".to_owned();
            let lines = keys::kept(&self.elsewhere.open().await?, &place).await?;
            kept.push((place, lines));
        }
        let (Some(name), false) = (&self.name, kept.is_empty()) else {
            return Ok(Vec::new());
        };
        let read: Result<Vec<_>, _> = self.key.iter().map(KeyFile::verifying).collect();
        let verifier = AnchorVerifier::new(name, read?).map_err(Failure::told)?;
        let mut anchors = Vec::new();
        for (place, lines) in kept {
            for (number, line) in (1_u64..).zip(lines) {
                let read = verifier.read(line.trim());
                let (head, _) = read.map_err(|rejection| {
                    Failure::Told(format!(
                        "line {number} of {place} is no anchor of `{name}` that one of these keys has signed \
                         ({rejection}); nothing was verified"
                    ))
                })?;
                anchors.push(head);
            }
        }
        Ok(anchors)
    }
}

async fn tell(report: &ChainReport, output: &mut Output) -> Result<(), Failure> {
    let json = {
        let mut json = serde_json::to_value(report).map_err(Failure::told)?;
        if let Some(members) = json.as_object_mut() {
            members.insert("whole".to_owned(), json!(report.is_whole()));
        }
        json
    };
    let chain = Chain(report.tenant);
    if let Some(fault) = &report.fault {
        let text = format!(
            "{chain}: {}, {fault}; {} links before it hold",
            output.bad("broken"),
            report.verified
        );
        output.result(&text, &json).await?;
        return Ok(());
    }
    let mut text = format!(
        "{chain}: {}, {} links up to number {}",
        output.well("whole"),
        report.verified,
        report.last
    );
    for (count, what) in [
        (report.anchored, "anchored up to number"),
        (report.pruned, "pruned up to number"),
        (report.erased, "erased particulars:"),
        (report.before_chain, "recorded before there was a chain:"),
        (report.unsealed, "waiting for their link:"),
    ] {
        if count > 0 {
            text.push_str(&format!(", {what} {count}"));
        }
    }
    if let Some(since) = report.unsealed_since {
        text.push_str(&format!(" since {since}"));
    }
    output.good(&text, &json).await?;
    Ok(())
}
