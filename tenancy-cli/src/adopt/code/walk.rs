//! The files of a folder.

use std::{ffi::OsStr, fs, io, path::Path};

use super::report::Report;
use crate::failure::Failure;

/// Whether a folder has no sources of the application: a hidden one, packages of Node, or what cargo builds.
fn has_no_sources(name: &str, path: &Path) -> bool {
    let is_built =
        || path.join("CACHEDIR.TAG").exists() || path.with_file_name("Cargo.toml").exists();
    name.starts_with('.') || name == "node_modules" || (name == "target" && is_built())
}

/// Endings of files in other languages that may have SQL in them.
const OTHERS: [&str; 20] = [
    "c", "cc", "cpp", "cs", "ex", "exs", "go", "java", "js", "jsx", "kt", "mjs", "php", "pl", "py",
    "rb", "scala", "sh", "ts", "tsx",
];

/// A larger file is generated, and is not read.
const LARGEST: u64 = 16 << 20;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Rust,
    /// Statements of the application.
    Sql,
    /// Statements that change the schema, as its owner.
    Migration,
}

/// A file.
#[derive(Debug)]
pub(super) struct File {
    /// Its path below the folder, with `/` between the parts.
    pub(super) path: String,
    pub(super) source: Source,
}

impl File {
    /// Its text.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub(super) fn read(&self, folder: &Path) -> Result<String, String> {
        let path = folder.join(&self.path);
        let size = fs::metadata(&path).map_err(|error| error.to_string())?;
        if size.len() > LARGEST {
            return Err("the file has more than 16 MiB, and is not read".to_owned());
        }
        let bytes = fs::read(&path).map_err(|error| error.to_string())?;
        String::from_utf8(bytes).map_err(|_| "the file is no UTF-8".to_owned())
    }
}

impl File {
    /// The name of a migration: that of its file, or of its folder below the one with all migrations.
    pub(super) fn migration(&self) -> Option<&str> {
        let parts: Vec<_> = self.path.split('/').collect();
        let folder = parts.iter().rposition(|part| is_migrations(part))?;
        parts.get(folder + 1).copied()
    }
}

/// Whether a folder has migrations, by its name.
fn is_migrations(folder: &str) -> bool {
    ["migration", "migrations", "migrate"].contains(&folder.to_ascii_lowercase().as_str())
}

/// The files with sources, in the order of their paths. Those in other languages are counted.
///
/// # Errors
/// That there is no such folder, or it can't be read. Folders below it that can't be read are told of in the report.
pub(super) fn files(folder: &Path, report: &mut Report) -> Result<Vec<File>, Failure> {
    let mut files = Vec::new();
    let mut waiting = vec![String::new()];
    while let Some(below) = waiting.pop() {
        let listed = list(&folder.join(&below));
        let entries = match listed {
            Ok(entries) => entries,
            Err(error) if below.is_empty() => {
                return Err(Failure::Told(format!("{}: {error}", folder.display())));
            }
            Err(error) => {
                report.unread(&below, 1, &error.to_string());
                continue;
            }
        };
        for (name, is_folder) in entries {
            let path = if below.is_empty() {
                name.clone()
            } else {
                format!("{below}/{name}")
            };
            if is_folder {
                if !has_no_sources(&name, &folder.join(&path)) {
                    waiting.push(path);
                }
                continue;
            }
            match source(&path) {
                Some(source) => files.push(File { path, source }),
                None => count(&path, report),
            }
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// Names of a folder's files and folders. Links are not followed: they may lead round in a circle.
fn list(folder: &Path) -> io::Result<Vec<(String, bool)>> {
    let mut listed = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() || kind.is_file() {
            listed.push((
                entry.file_name().to_string_lossy().into_owned(),
                kind.is_dir(),
            ));
        }
    }
    Ok(listed)
}

fn source(path: &str) -> Option<Source> {
    match ending(path)?.as_str() {
        "rs" => Some(Source::Rust),
        "sql" if path.split('/').rev().skip(1).any(is_migrations) => Some(Source::Migration),
        "sql" => Some(Source::Sql),
        _ => None,
    }
}

fn ending(path: &str) -> Option<String> {
    let ending = Path::new(path).extension().and_then(OsStr::to_str)?;
    Some(ending.to_ascii_lowercase())
}

fn count(path: &str, report: &mut Report) {
    if let Some(ending) = ending(path).filter(|ending| OTHERS.contains(&ending.as_str())) {
        *report.others.entry(ending).or_default() += 1;
    }
}
