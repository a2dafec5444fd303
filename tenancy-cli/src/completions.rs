//! `tenancy completions`: what a shell needs to complete the commands.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::{
    failure::{Failure, Verdict},
    output::Output,
};

/// Print a script by which a shell completes the commands.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenancy completions bash >/etc/bash_completion.d/tenancy
  tenancy completions zsh >\"${fpath[1]}/_tenancy\"
  tenancy completions fish >~/.config/fish/completions/tenancy.fish")]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) async fn run(
        self,
        command: &mut Command,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, command, "tenancy", &mut script);
        output.write(&String::from_utf8_lossy(&script)).await?;
        Ok(Verdict::Done)
    }
}
