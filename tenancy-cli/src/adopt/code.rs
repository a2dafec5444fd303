//! `tenancy adopt code`: what of an application's sources breaks or leaks once its tables have tenants.

mod finding;
mod known;
mod literals;
mod migration;
mod report;
mod rust;
mod statement;
mod tokens;
mod walk;

use std::path::PathBuf;

use clap::Args;

use self::{
    finding::Finding,
    known::Known,
    report::Report,
    walk::{File, Source},
};
use crate::{
    arguments::Form,
    failure::{Failure, Verdict},
    interrupted::until_interrupted,
    output::Output,
};

/// List the places in an application's sources that break or leak once its tables have tenants.
///
/// It reads `.rs` and `.sql` files of a folder, and no database. It passes over hidden folders, `target`, `node_modules` and links.
/// A place that is meant says so in a comment, `tenancy: checked`, on its line or on the line before. What it can't see is
/// counted at the end.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes:
  0  nothing was found
  1  something was found, or a file could not be read: each is named
  2  it is not known: no such folder, a plan that can't be read

Examples:
  tenancy adopt code .
  tenancy adopt code . --plan plan.json --after 20270101_last_before.sql --format json")]
pub(super) struct Code {
    /// The folder with the sources
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The plan that `tenancy adopt plan` wrote: tables that are no tenant's are passed over then, and look-ups by keys that
    /// become a tenant's are told
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// The last migration before the adoption, by the name of its file or folder: only later ones are judged as migrations
    #[arg(long, value_name = "NAME")]
    after: Option<String>,
    #[command(flatten)]
    pub(super) form: Form,
}

impl Code {
    pub(super) async fn run(self, output: &mut Output) -> Result<Verdict, Failure> {
        let known = match &self.plan {
            Some(file) => Known::read(file)?,
            None => Known::nothing(),
        };
        let folder = self.folder.clone();
        let read = tokio::task::spawn_blocking(move || look(&self, &known));
        let report = until_interrupted(async { read.await.map_err(Failure::told)? }).await?;
        report.print(&folder, output).await
    }
}

/// Reads all sources, and says what was found.
fn look(code: &Code, known: &Known) -> Result<Report, Failure> {
    let mut report = Report::default();
    let files = walk::files(&code.folder, &mut report)?;
    if files.is_empty() {
        return Err(Failure::Told(format!(
            "there is neither Rust nor SQL below {}; give the folder of the application's sources",
            code.folder.display()
        )));
    }
    let after = code.after.as_deref();
    if let Some(after) = after
        && !files.iter().any(|file| is_of(file, after))
    {
        return Err(Failure::Told(format!(
            "no migration below {} is called `{after}`; give the name of its file or folder by --after",
            code.folder.display()
        )));
    }
    for file in &files {
        let text = match file.read(&code.folder) {
            Ok(text) => text,
            Err(why) => {
                report.unread(&file.path, 1, &why);
                continue;
            }
        };
        report.files += 1;
        let mut found = Vec::new();
        match file.source {
            Source::Rust => match rust::look(&text, known, &mut report) {
                Ok(findings) => found = findings,
                Err((line, why)) => report.unread(&file.path, line, &why),
            },
            Source::Sql => statement::look(&text, known, &mut found),
            Source::Migration if after.is_none_or(|after| comes_after(file, after)) => {
                migration::look(&text, known, &mut found);
            }
            Source::Migration => report.passed_over += 1,
        }
        let lines: Vec<_> = text.lines().collect();
        found.retain(|one| !is_checked(one, &lines));
        found.sort_by(|one, other| {
            (one.line, one.kind, &one.what).cmp(&(other.line, other.kind, &other.what))
        });
        found.dedup_by(|one, other| {
            (one.line, one.kind, &one.what) == (other.line, other.kind, &other.what)
        });
        report.found(&file.path, found);
    }
    Ok(report)
}

/// Whether a file is of the migration of this name: `0007_last` is that of `0007_last.sql` and of `0007_last.down.sql` too.
fn is_of(file: &File, migration: &str) -> bool {
    let rest = file
        .migration()
        .and_then(|name| name.strip_prefix(migration));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Whether a file is of a later migration than this one. They are ordered by the numbers with which their names begin, as
/// `20270101_users.sql` and `V10__users.sql` do, and then by their names.
fn comes_after(file: &File, migration: &str) -> bool {
    !is_of(file, migration)
        && file
            .migration()
            .is_some_and(|name| order(name) > order(migration))
}

/// By what a migration stands among others: those without a number come after all that have one.
fn order(name: &str) -> (bool, usize, &str, &str) {
    let number = name.strip_prefix(['V', 'v', 'U', 'u']).unwrap_or(name);
    let end = number.find(|c: char| !c.is_ascii_digit());
    let digits = number
        .get(..end.unwrap_or(number.len()))
        .unwrap_or_default();
    let digits = digits.trim_start_matches('0');
    let is_named = !number.starts_with(|c: char| c.is_ascii_digit());
    (is_named, digits.len(), digits, name)
}

/// Whether a comment on the line of a place, or on the line before, says that it is meant.
fn is_checked(found: &Finding, lines: &[&str]) -> bool {
    let says = |number: usize| {
        let line = number.checked_sub(1).and_then(|index| lines.get(index));
        line.is_some_and(|line| {
            let comment = ["//", "--", "/*"]
                .iter()
                .filter_map(|mark| line.find(mark))
                .min();
            let comment = comment.and_then(|at| line.get(at..));
            comment.is_some_and(|comment| comment.contains("tenancy: checked"))
        })
    };
    // A statement of several lines may say it where it begins.
    [
        found.line,
        found.line.saturating_sub(1),
        found.begins,
        found.begins.saturating_sub(1),
    ]
    .into_iter()
    .any(says)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_ordered_by_their_names() {
        let judged = |path: &str, after: &str| {
            let file = File {
                path: path.to_owned(),
                source: Source::Migration,
            };
            (is_of(&file, after), comes_after(&file, after))
        };
        for (path, after, expected) in [
            (
                "app/migrations/0007_last.sql",
                "0007_last.sql",
                (true, false),
            ),
            ("app/migrations/0007_last.sql", "0007_last", (true, false)),
            (
                "app/migrations/0007_last.down.sql",
                "0007_last",
                (true, false),
            ),
            ("app/migrations/0001_first.sql", "0007_last", (false, false)),
            ("m/migrations/V10__next.sql", "V9__last.sql", (false, true)),
            ("m/migrations/V8__first.sql", "V9__last.sql", (false, false)),
            ("m/migrations/10_next.sql", "9_last", (false, true)),
            ("m/migrations/views.sql", "9_last", (false, true)),
            (
                "app/migrations/0008_next.sql",
                "0007_last.sql",
                (false, true),
            ),
            ("migrations/0008_next/up.sql", "0007_last", (false, true)),
            ("migrations/0007_last/down.sql", "0007_last", (true, false)),
            ("migrations/0006/up.sql", "0007_last", (false, false)),
        ] {
            assert_eq!(judged(path, after), expected, "{path} {after}");
        }
    }
}
