//! `tenancy man`: manual pages.

use std::path::PathBuf;

use clap::{Args, Command};

use crate::{
    failure::{Failure, Verdict},
    output::Output,
};

/// Print the manual page, or write a page for each command into a folder.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenancy man | man -l -
  tenancy man /usr/local/share/man/man1")]
pub(crate) struct ManPages {
    /// The folder, which is there already; without it the page of `tenancy` is printed
    folder: Option<PathBuf>,
}

impl ManPages {
    pub(crate) async fn run(
        self,
        command: Command,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let Some(folder) = self.folder else {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            output.write(&String::from_utf8_lossy(&page)).await?;
            return Ok(Verdict::Done);
        };
        let written = clap_mangen::generate_to(command, &folder);
        written.map_err(|error| {
            Failure::Told(format!(
                "the pages could not be written into `{}`: {error}",
                folder.display()
            ))
        })?;
        Ok(Verdict::Done)
    }
}
