//! `tenancy protect`: tables, each tenant's rows of which are seen by that tenant alone.

mod careful;
mod emit;

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

pub(crate) use careful::{Careful, Done};

use crate::{
    arguments::Form,
    failure::{Failure, Verdict},
    output::{Output, plain},
};

/// Protect tables: the tenant's column, keys and references within one tenant, policies. All of them or none.
///
/// It takes the database's administrator, or a login that is the owner role. Running it again is safe, and says that there
/// is nothing to do. Each table is locked until all are done, and so are those that refer to them. As a migration that is
/// checked in, `--emit` writes the same for sqlx.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes:
  0  the tables are protected, or were before; with --dry-run and --emit, they could be
  2  they are not, and nothing was changed: each refusal names what stands in the way, and how to mend it

Examples:
  export TENANCY_ADMIN_DATABASE_URL=postgres://postgres@localhost/notes
  tenancy protect notes notebooks
  tenancy protect --all --dry-run
  tenancy protect invites --keep-global invites_token_key
  tenancy protect --all --emit migrations")]
pub(crate) struct Protect {
    /// The tables, with their schema unless it is on the search path
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    tables: Vec<String>,
    /// Every table that is neither protected, nor shared, nor marked `[tenancy: not for tenants]` in its comment
    #[arg(long)]
    all: bool,
    /// The column that names the tenant, of all these tables; `tenant_id` unless said
    #[arg(long, value_name = "NAME")]
    column: Option<String>,
    /// Rows belong to projects, by the column `project_id`
    #[arg(long)]
    project: bool,
    /// The name of a unique key that stays unique across tenants; may be given several times
    #[arg(long, value_name = "KEY")]
    keep_global: Vec<String>,
    /// Write the SQL into a folder, as a migration for sqlx and its way back; change nothing
    #[arg(long, value_name = "FOLDER", conflicts_with = "dry_run")]
    emit: Option<PathBuf>,
    #[command(flatten)]
    careful: Careful,
    #[command(flatten)]
    pub(crate) form: Form,
}

impl Protect {
    pub(crate) async fn run(self, output: &mut Output) -> Result<Verdict, Failure> {
        let mut database = self.careful.connect().await?;
        let tables = if self.all {
            let tables = database.undecided().await?;
            if !tables.is_empty() {
                output.remark(&format!(
                    "not decided yet: {}",
                    plain(&tables.names().join(", "))
                ));
            }
            tables
        } else {
            database.find(&self.tables).await?
        };
        let done = if tables.is_empty() {
            Done::default()
        } else {
            let call = database.render(CALL, &tables, &self.options()).await?;
            let careful = if self.emit.is_some() {
                self.careful.as_owner()
            } else {
                self.careful.clone()
            };
            let mut done = careful.call(&mut database, &tables, &call).await?;
            if !done.statements.is_empty() {
                done.check = Some(call);
            }
            done
        };
        if let Some(folder) = &self.emit {
            let back = database.render(BACK, &tables, &[]).await?;
            return emit::write(folder, &done, &back, output).await;
        }
        if self.careful.dry_run {
            return done.print(output).await;
        }
        let names = tables.names();
        let text = match (done.statements.is_empty(), names.len()) {
            (true, 0) => "nothing to do: every table is decided".to_owned(),
            (true, count) => format!("nothing to do: {}", counted(count, "protected")),
            (false, _) => format!("protected: {}", plain(&names.join(", "))),
        };
        let json = json!({ "tables": names, "statements": done.statements.len() });
        output.good(&text, &json).await?;
        Ok(Verdict::Done)
    }

    /// The parameters after the tables, as the call has them.
    fn options(&self) -> Vec<(&'static str, Option<String>)> {
        let mut options = Vec::new();
        if let Some(column) = &self.column {
            options.push(("tenant_column", Some(column.clone())));
        }
        if self.project {
            options.push(("project", None));
        }
        for key in &self.keep_global {
            options.push(("global", Some(key.clone())));
        }
        options
    }
}

/// The function that protects.
const CALL: &str = "tenancy.protect_tables";
/// The function that takes it back.
pub(crate) const BACK: &str = "tenancy.unprotect";

/// So many tables, as a sentence.
pub(crate) fn counted(count: usize, what: &str) -> String {
    if count == 1 {
        format!("1 table is {what}")
    } else {
        format!("{count} tables are {what}")
    }
}
