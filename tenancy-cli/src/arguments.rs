//! What the command line may say.

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    adopt::Adopt, audit::Audit, check::Check, completions::Completions, install::Install,
    man::ManPages, usage::Usage,
};

/// Runs a multi-tenant service that is built with the crate `tenancy`.
#[derive(Debug, Parser)]
#[command(
    name = "tenancy",
    version,
    arg_required_else_help = true,
    after_help = "Exit codes:
  0  done; nothing is wrong
  1  a fault was found: a broken chain, an anchor that contradicts it, a table without a guard, another invoice,
     a plan with open questions
  2  it could not be done: wrong arguments, no connection, a schema that is too old

Variables:
  TENANCY_DATABASE_URL          the database, as the system login
  TENANCY_ANCHORS_DATABASE_URL  the other database, in which anchors are kept
  TENANCY_ADMIN_DATABASE_URL    the database as its administrator, for `install` and `adopt`
  TENANCY_OPERATOR              the id of the operator who acts
  TENANCY_LOG                   a filter such as `debug`: logs to standard error
  NO_COLOR                      no colours

Examples:
  tenancy audit verify --all
  tenancy audit export --all --from 2027-01-01 --operator $ME --reason 'ticket 4711' >trail.jsonl
  tenancy completions bash >/etc/bash_completion.d/tenancy"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What each command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The database, as the system login: `postgres://tenancy_system@host/database`
    ///
    /// Others on the machine see arguments: give the URL by the variable if it has a password, or leave the password to
    /// PGPASSWORD or a file of passwords.
    // A text here, because what is parsed by the parser of arguments is repeated in its errors.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "TENANCY_DATABASE_URL",
        hide_env_values = true
    )]
    pub(crate) database_url: Option<String>,
    /// Print nothing but what was asked for, faults and errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Adopt(Adopt),
    Audit(Audit),
    Usage(Usage),
    Check(Check),
    Install(Install),
    Completions(Completions),
    Man(ManPages),
}

impl Command {
    /// In which form results and errors are printed.
    pub(crate) const fn format(&self) -> Format {
        match self {
            Self::Adopt(adopt) => adopt.format(),
            Self::Audit(audit) => audit.format(),
            Self::Usage(usage) => usage.format(),
            Self::Check(check) => check.form.format,
            Self::Install(install) => install.form.format,
            Self::Completions(_) | Self::Man(_) => Format::Text,
        }
    }
}

/// The database as its administrator.
#[derive(Debug, Args)]
pub(crate) struct Administrator {
    /// The database, as its administrator: `postgres://postgres@host/database`
    #[arg(
        long,
        value_name = "URL",
        env = "TENANCY_ADMIN_DATABASE_URL",
        hide_env_values = true
    )]
    pub(crate) admin_database_url: Option<String>,
}

/// In which form a command prints its results and errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// Lines for people
    #[default]
    Text,
    /// JSON objects, each in a line
    Json,
}

/// The form of a command's results.
#[derive(Debug, Args)]
pub(crate) struct Form {
    /// In which form results and errors are printed
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}
