//! What was found in all files, and what can't be seen in them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde_json::{Value, json};

use super::finding::{Finding, Kind};
use crate::{
    failure::{Failure, Verdict},
    output::{Output, plain},
};

/// Of whole applications there may be many.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// How many files were read.
    pub(super) files: usize,
    /// How many migrations are older than the adoption.
    pub(super) passed_over: usize,
    /// How many texts of SQL are put together at run time, as far as that shows.
    pub(super) built: usize,
    /// How many calls of an ORM say what happens on a conflict.
    pub(super) upserts: usize,
    /// How many tests, or modules of them, are in the sources.
    pub(super) tests: usize,
    /// How many files there are in other languages that may have SQL in them.
    pub(super) others: BTreeMap<String, usize>,
    found: Vec<(String, Finding)>,
    unread: Vec<(String, usize, String)>,
}

impl Report {
    /// Takes what was found in a file.
    pub(super) fn found(&mut self, path: &str, found: Vec<Finding>) {
        let found = found.into_iter().map(|one| (path.to_owned(), one));
        self.found.extend(found);
    }

    /// A file that could not be read or understood from a line on.
    pub(super) fn unread(&mut self, path: &str, line: usize, why: &str) {
        self.unread.push((path.to_owned(), line, why.to_owned()));
    }

    /// Prints it, and says whether there was anything.
    ///
    /// # Errors
    /// What the reader's end says.
    pub(super) async fn print(
        &self,
        folder: &Path,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        let verdict = if self.found.is_empty() && self.unread.is_empty() {
            Verdict::Done
        } else {
            Verdict::Fault
        };
        match self.tell(folder, output).await {
            // The exit code is of all findings, also where nobody reads each.
            Err(Failure::ClosedPipe) => Ok(verdict),
            told => told.map(|()| verdict),
        }
    }

    async fn tell(&self, folder: &Path, output: &mut Output) -> Result<(), Failure> {
        for (path, finding) in &self.found {
            let (kind, line) = (finding.kind, finding.line);
            let place = plain(&format!("{path}:{line}"));
            let text = format!(
                "{place}: {}: {}",
                output.bad(kind.code()),
                plain(&finding.to_string())
            );
            let json = json!({
                "file": path,
                "line": line,
                "code": kind.code(),
                "subject": finding.what,
                "text": kind.says(&finding.what),
                "mend": kind.mend(),
            });
            output.result(&text, &json).await?;
        }
        for (path, line, why) in &self.unread {
            let place = plain(&format!("{path}:{line}"));
            let text = format!("{place}: {}: {}", output.bad("unread"), plain(why));
            let json = json!({ "file": path, "line": line, "code": "unread", "text": why });
            output.result(&text, &json).await?;
        }
        output.good(&self.summary(folder), &self.counts()).await?;
        Ok(())
    }

    fn summary(&self, folder: &Path) -> String {
        let places: BTreeSet<_> = self.found.iter().map(|(path, _)| path).collect();
        let mut text = format!(
            "{} files of {} were read: {} findings in {} of them, {} could not be read",
            self.files,
            plain(&folder.display().to_string()),
            self.found.len(),
            places.len(),
            self.unread.len(),
        );
        for (kind, count) in self.by_kind() {
            text.push_str(&format!("\n  {count:>5}  {}", kind.code()));
        }
        text.push_str("\nNot seen here:");
        text.push_str(&format!(
            "\n  {:>5}  texts of SQL that are put together at run time, but for the parts that stand in the source",
            self.built
        ));
        text.push_str(&format!(
            "\n  {:>5}  upserts of an ORM, whose columns are in its own types",
            self.upserts
        ));
        text.push_str(&format!(
            "\n  {:>5}  tests and modules of tests: run them",
            self.tests
        ));
        for (ending, count) in &self.others {
            text.push_str(&format!("\n  {count:>5}  files `.{}`", plain(ending)));
        }
        if self.passed_over > 0 {
            text.push_str(&format!(
                "\n  {:>5}  migrations up to that of --after",
                self.passed_over
            ));
        }
        text
    }

    fn by_kind(&self) -> Vec<(Kind, usize)> {
        let count = |kind| {
            self.found
                .iter()
                .filter(|(_, one)| one.kind == kind)
                .count()
        };
        let counted = Kind::ALL.into_iter().map(|kind| (kind, count(kind)));
        counted.filter(|(_, count)| *count > 0).collect()
    }

    fn counts(&self) -> Value {
        let kinds: BTreeMap<_, _> = (self.by_kind().into_iter())
            .map(|(kind, count)| (kind.code(), count))
            .collect();
        json!({
            "summary": {
                "files": self.files,
                "findings": self.found.len(),
                "unread": self.unread.len(),
                "by_code": kinds,
                "not_seen": {
                    "built_at_run_time": self.built,
                    "orm_upserts": self.upserts,
                    "tests": self.tests,
                    "other_files": self.others,
                    "older_migrations": self.passed_over,
                },
            },
        })
    }
}
