//! What the start-up check knows: each fault, planted, is found with its own code, and its mend ends it.
//!
//! Faults are planted by the administrator, past what `protect` and `share` refuse.

mod accounts;
mod login;
mod readiness;
mod relations;
mod speed;
mod warnings;

use anyhow::Context as _;
use sqlx::{Connection as _, postgres::PgConnectOptions};
use tenancy_sqlx::{
    StartErrorKind, TenantPoolOptions,
    schema::{self, Finding, FindingLevel},
};
use tenancy_tests::notes::Notes;

/// One fault.
struct Fault {
    /// What it is called in the output.
    name: &'static str,
    /// How the administrator plants it.
    plant: &'static str,
    /// The code of the one finding that comes of it, and what that is about.
    code: &'static str,
    subject: &'static str,
    /// What is left to do once it is mended.
    remove: &'static str,
}

impl Fault {
    const fn new(
        name: &'static str,
        plant: &'static str,
        (code, subject): (&'static str, &'static str),
        remove: &'static str,
    ) -> Self {
        Self {
            name,
            plant,
            code,
            subject,
            remove,
        }
    }
}

/// What the administrator is told of a login.
async fn found(notes: &Notes, login: &str) -> anyhow::Result<Vec<Finding>> {
    let mut admin = notes.database.admin().await?;
    let findings = schema::findings(&mut admin, login).await?;
    admin.close().await?;
    Ok(findings)
}

fn errors(findings: &[Finding]) -> Vec<&Finding> {
    let of_level = |one: &&Finding| one.level() == FindingLevel::Error;
    findings.iter().filter(of_level).collect()
}

/// The kind and the text that a pool refuses with.
async fn refusal(
    notes: &Notes,
    options: PgConnectOptions,
) -> anyhow::Result<(StartErrorKind, String)> {
    let pool = TenantPoolOptions::new().max_connections(1);
    match pool.connect_with(options, &notes.tenancy).await {
        Ok(pool) => anyhow::bail!("{pool:?} was accepted"),
        Err(error) => Ok((error.kind(), error.to_string())),
    }
}

/// Plants a fault, sees that it and nothing else is found and that the pool refuses, mends it as it
/// says, and sees that the pool starts.
async fn is_found_and_mended(
    notes: &Notes,
    login: &str,
    options: &PgConnectOptions,
    fault: &Fault,
) -> anyhow::Result<()> {
    let named = |text: &str| text.replace("{}", login);
    notes.as_admin(&named(fault.plant)).await?;
    let findings = found(notes, login).await?;
    let [finding] = errors(&findings)[..] else {
        anyhow::bail!("not one error: {findings:#?}");
    };
    anyhow::ensure!(
        (finding.code(), finding.subject()) == (fault.code, &*named(fault.subject)),
        "{finding:#?}"
    );
    let (kind, told) = refusal(notes, options.clone()).await?;
    let settings = finding.code() == "default-setting";
    let expected = match finding.is_of_login() {
        true if settings => StartErrorKind::BadDefaults,
        true => StartErrorKind::LoginBypasses,
        false => StartErrorKind::Unguarded,
    };
    anyhow::ensure!(kind == expected, "{kind:?}: {told}");
    let told_by_settings = settings && told.contains("RESET ALL");
    anyhow::ensure!(
        told_by_settings || (told.contains(finding.text()) && told.contains(finding.code())),
        "{told}"
    );
    let mend = finding.mend().context("no mend")?;
    anyhow::ensure!(told_by_settings || told.contains(mend), "{told}");
    notes.as_admin(mend).await.context(mend.to_owned())?;
    let left = found(notes, login).await?;
    anyhow::ensure!(errors(&left).is_empty(), "after {mend}: {left:#?}");
    let pool = TenantPoolOptions::new().max_connections(1);
    let pool = pool.connect_with(options.clone(), &notes.tenancy).await?;
    pool.close().await;
    notes.as_admin(&named(fault.remove)).await
}
