//! What the README counts is counted here.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs::{self, DirEntry},
    path::{Path, PathBuf},
};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

fn source(example: &str, file: &str) -> String {
    fs::read_to_string(examples().join(example).join("src").join(file)).unwrap()
}

/// The files of an example's folder by name.
fn folder(example: &str, name: &str) -> BTreeMap<OsString, String> {
    let files = fs::read_dir(examples().join(example).join(name)).unwrap();
    let read = |file: DirEntry| (file.file_name(), fs::read_to_string(file.path()).unwrap());
    files.map(|file| read(file.unwrap())).collect()
}

/// Lines that only the second text has, and lines that only the first has, as `diff` counts them:
/// everything outside a longest common subsequence.
fn changed(before: &str, after: &str) -> (usize, usize) {
    let (a, b): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let mut longest = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, left) in a.iter().enumerate() {
        for (j, right) in b.iter().enumerate() {
            longest[i + 1][j + 1] = if left == right {
                longest[i][j] + 1
            } else {
                longest[i][j + 1].max(longest[i + 1][j])
            };
        }
    }
    let common = longest[a.len()][b.len()];
    (b.len() - common, a.len() - common)
}

#[test]
fn the_difference_between_before_and_after_is_what_the_readme_says() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md"));
    let readme = readme.unwrap();
    for file in ["notes.rs", "digest.rs", "error.rs"] {
        let (added, removed) = changed(&source("notes-before", file), &source("notes-axum", file));
        let row = format!("| `{file}` | {added} | {removed} |");
        assert!(readme.contains(&row), "the README should say {row}");
    }
}

#[test]
fn no_query_call_site_changes() {
    let calls = |example, file| -> BTreeSet<String> {
        let text = source(example, file);
        let lines = text.lines().map(str::trim);
        let call = |line: &&str| line.contains(".fetch_") || line.contains(".execute(");
        lines.filter(call).map(str::to_owned).collect()
    };
    for file in ["notes.rs", "digest.rs"] {
        let before = calls("notes-before", file);
        assert!(!before.is_empty());
        for after in ["notes-axum", "notes-actix"] {
            assert_eq!(before, calls(after, file), "{file} of {after}");
        }
    }
}

#[test]
fn the_services_on_both_frameworks_share_what_is_not_the_frameworks() {
    for file in ["setup.rs", "provision.rs"] {
        let (axum, actix) = (source("notes-axum", file), source("notes-actix", file));
        assert_eq!(axum, actix, "{file}");
    }
    // Of a query, `.sqlx` keeps the text.
    for name in ["migrations", ".sqlx"] {
        let (axum, actix) = (folder("notes-axum", name), folder("notes-actix", name));
        assert!(!axum.is_empty());
        assert_eq!(axum, actix, "{name}");
    }
}

/// Files below a folder whose names end so.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, end));
        } else if path.to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
    found
}

/// A reader copies from these: one crate to depend on, and one name to import from.
#[test]
fn the_readme_the_guides_and_the_examples_name_the_facade_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut texts = vec![root.join("README.md"), root.join("tenancy/README.md")];
    texts.extend(files(&root.join("docs"), ".md"));
    texts.extend(files(&examples(), ".rs"));
    let behind = ["actix", "axum", "core", "http", "sqlx", "usage"];
    for path in texts {
        let text = fs::read_to_string(&path).unwrap();
        for path_of in behind.map(|end| format!("tenancy_{end}::")) {
            assert!(
                !text.contains(&path_of),
                "{} names {path_of}",
                path.display()
            );
        }
    }
    for path in files(&examples(), "Cargo.toml") {
        let text = fs::read_to_string(&path).unwrap();
        for name in behind.map(|end| format!("tenancy-{end}")) {
            let depends = text.lines().any(|line| line.starts_with(&name));
            assert!(!depends, "{} depends on {name}", path.display());
        }
    }
}

/// The guide to changes has each action with its event, and no other.
#[test]
fn the_guide_to_changes_has_every_action() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/changes.md");
    let guide = fs::read_to_string(guide).unwrap();
    let rows = guide.lines().filter(|line| {
        line.strip_prefix("| `")
            .is_some_and(|row| row.split('`').next().is_some_and(|name| name.contains('.')))
    });
    let told: BTreeSet<_> = rows.map(str::to_owned).collect();
    let actions = tenancy_core::ChangeAction::ALL.iter().map(|action| {
        let event = action.event();
        let event = event.map_or_else(|| "–".to_owned(), |event| format!("`{event}`"));
        format!("| `{action}` | {event} |")
    });
    assert_eq!(told, actions.collect::<BTreeSet<_>>());
}
