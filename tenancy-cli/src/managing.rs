//! What the commands that manage tenants have in common: whose, by whom, in which form, and whether it is meant.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use clap::Args;
use tenancy_core::{
    Admin, AuditEntry, AuditTarget, Authority, OperatorRight, Outcome, RoleName, Tenancy,
    TenantDirectory as _, TenantId, TenantKey, TenantRecord,
};

use crate::{
    arguments::{Form, Global},
    connect::Session,
    failure::{Failure, Verdict},
    interrupted::until_interrupted,
    output::Output,
    who::Named,
};

/// How many rows are read at once. A listing has no end that it has to remember.
pub(crate) const PAGE: u32 = 500;

/// Connects, does something until it is done or interrupted, and has the trail stored, whatever came of it.
pub(crate) async fn within(
    global: &Global,
    output: &mut Output,
    work: impl AsyncFnOnce(&Session, &mut Output) -> Result<Verdict, Failure>,
) -> Result<Verdict, Failure> {
    let session = until_interrupted(Session::open(global)).await?;
    let done = until_interrupted(work(&session, output)).await;
    session.end(done, output).await
}

/// A tenant, by its id or slug.
pub(crate) fn tenant_key(text: &str) -> Result<TenantKey, String> {
    let key = TenantKey::id_or_slug(text);
    key.map_err(|error| format!("expected the id or the slug of a tenant: {error}"))
}

/// The tenant that a command is about.
#[derive(Debug, Args)]
pub(crate) struct Whose {
    /// The tenant, by its id or slug
    #[arg(long, value_name = "TENANT", value_parser = tenant_key)]
    pub(crate) tenant: TenantKey,
}

/// Who does it, and in which form the results are printed.
#[derive(Debug, Args)]
pub(crate) struct How {
    #[command(flatten)]
    pub(crate) who: Named,
    #[command(flatten)]
    pub(crate) form: Form,
}

impl How {
    /// The management service on the operator's authority.
    ///
    /// # Errors
    /// As [`Named::authority`].
    pub(crate) async fn admin(
        &self,
        session: &Session,
        right: OperatorRight,
    ) -> Result<Admin, Failure> {
        self.admin_of(&session.tenancy, session, right).await
    }

    /// The same, of another engine over the same database.
    ///
    /// # Errors
    /// As [`Named::authority`].
    pub(crate) async fn admin_of(
        &self,
        tenancy: &Tenancy,
        session: &Session,
        right: OperatorRight,
    ) -> Result<Admin, Failure> {
        Ok(tenancy.admin(self.authority(session, right).await?))
    }

    /// The operator's authority.
    ///
    /// # Errors
    /// As [`Named::authority`].
    pub(crate) async fn authority(
        &self,
        session: &Session,
        right: OperatorRight,
    ) -> Result<Authority, Failure> {
        self.who.authority(session, right).await
    }

    /// Reads the operator's record again, before another page of a list: who was disabled meanwhile gets no more of it.
    ///
    /// # Errors
    /// As [`Named::authority`].
    pub(crate) async fn look_again(&self, session: &Session) -> Result<(), Failure> {
        let right = OperatorRight::ReadTenants;
        self.who.operator(session, right).await.map(drop)
    }

    /// Records that a list of one tenant is read, and has that stored before anything of it is printed.
    ///
    /// # Errors
    /// That it was not stored.
    pub(crate) async fn record_reading(
        &self,
        session: &Session,
        tenant: TenantId,
        what: &str,
    ) -> Result<(), Failure> {
        let now = session.tenancy.clock().now();
        let entry = AuditEntry::new(now, "operator.list", Outcome::Allowed);
        let mut entry = self.who.signed(entry);
        entry.tenant = Some(tenant);
        entry.target = Some(format!("list:{what}"));
        entry.targets = vec![AuditTarget::new("list", what)];
        session.tenancy.audit().record(entry);
        session.tenancy.audit().flush().await?;
        Ok(())
    }
}

/// The record of a tenant.
///
/// # Errors
/// That there is no such tenant.
pub(crate) async fn find_tenant(
    session: &Session,
    key: &TenantKey,
) -> Result<TenantRecord, Failure> {
    let found = session.directory.find_tenant(key).await;
    found.map_err(Failure::told)?.ok_or_else(|| {
        let named = match key {
            TenantKey::Id(id) => id.to_string(),
            TenantKey::Slug(slug) => slug.to_string(),
            _ => "named so".to_owned(),
        };
        Failure::Told(format!(
            "there is no tenant `{named}`; `tenancy tenant list` shows those that there are"
        ))
    })
}

/// Refuses a role that nobody has defined: a member in it may do nothing. The library stores such a role, because the service may
/// define it one day; on a command line it is a slip.
///
/// # Errors
/// That there is no such role, with those that there are.
pub(crate) async fn check_role(
    admin: &Admin,
    tenancy: &Tenancy,
    tenant: &TenantRecord,
    role: &RoleName,
) -> Result<(), Failure> {
    if tenancy.base_roles().mask(role).is_some() {
        return Ok(());
    }
    let own = admin.list_roles(tenant.id).await?;
    if own.iter().any(|one| one.name == *role) {
        return Ok(());
    }
    let known = tenancy.base_roles().roles().map(ToString::to_string);
    let known: Vec<_> = known
        .chain(own.iter().map(|one| one.name.to_string()))
        .collect();
    Err(Failure::Told(format!(
        "`{}` has no role `{role}`; it has {}. Roles of the service itself are known by the file of --service",
        tenant.slug,
        known.join(", ")
    )))
}

/// Whether something that can't be taken back is meant.
#[derive(Debug, Args)]
pub(crate) struct Meant {
    /// Do it without asking
    #[arg(long)]
    yes: bool,
}

impl Meant {
    /// Asks on a terminal. Where nobody can be asked, `--yes` has to say it.
    ///
    /// # Errors
    /// That it was not meant, or that nobody could be asked.
    pub(crate) fn confirm(&self, what: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return Err(Failure::Told(format!(
                "{what}; nobody can be asked here, so say by --yes that it is meant"
            )));
        }
        let mut stderr = io::stderr().lock();
        let _ = write!(stderr, "{what}. Type `yes` to do it: ");
        let _ = stderr.flush();
        let mut typed = String::new();
        io::stdin().lock().read_line(&mut typed)?;
        if typed.trim() == "yes" {
            return Ok(());
        }
        Err(Failure::told("nothing was changed: it was not confirmed"))
    }
}
