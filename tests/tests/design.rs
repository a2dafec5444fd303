//! What `DESIGN.md` shows and names exists: its pictures, and its map of folders.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
}

/// Each part of a text between a beginning and the next end.
fn between<'a>(text: &'a str, begin: &'a str, end: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(begin)
        .skip(1)
        .filter_map(move |rest| rest.split(end).next())
}

/// How often each word occurs, with what each escape stands for in its place.
fn words<'a>(
    texts: impl Iterator<Item = &'a str>,
    escapes: &[(&str, &str)],
) -> BTreeMap<String, usize> {
    let mut words = BTreeMap::new();
    for text in texts {
        let plain = |text: String, (from, to): &(&str, &str)| text.replace(from, to);
        let text = escapes.iter().fold(text.to_owned(), plain);
        for word in text.split_whitespace() {
            *words.entry(word.to_owned()).or_default() += 1;
        }
    }
    words
}

#[test]
fn each_picture_has_the_words_and_the_arrows_of_its_text() {
    let mut pictures = 0;
    for path in entries(&root().join("docs/pictures")) {
        if path.extension().is_none_or(|extension| extension != "dot") {
            continue;
        }
        let name = path.display();
        let picture = fs::read_to_string(path.with_extension("svg")).unwrap();
        let source = fs::read_to_string(&path).unwrap();
        // A quotation mark in a label would end it here.
        let source = source.replace("\\\"", "&quot;");
        let said = words(between(&source, "label=\"", "\""), &[("\\n", " ")]);
        let texts = between(&picture, "<text ", "</text>");
        let drawn = texts.filter_map(|text| text.split('>').nth(1));
        let drawn = words(drawn, &[("&#45;", "-"), ("&#39;", "'"), ("&#160;", " ")]);
        assert!(!said.is_empty(), "{name} says nothing");
        assert_eq!(
            said, drawn,
            "{name} says other words than its picture; run scripts/pictures"
        );
        assert_eq!(
            source.matches("->").count(),
            picture.matches("class=\"edge\"").count(),
            "{name} has other arrows than its picture; run scripts/pictures"
        );
        pictures += 1;
    }
    assert!(pictures > 0, "there are no pictures");
}

#[test]
fn the_design_shows_every_picture() {
    let design = text("DESIGN.md");
    for path in entries(&root().join("docs/pictures")) {
        let file = path.file_name().unwrap().to_string_lossy();
        if file.ends_with(".svg") {
            let shown = format!("](docs/pictures/{file})");
            assert!(design.contains(&shown), "DESIGN.md should show {file}");
        }
    }
}

/// The paths in the first column of the map. A name without a folder is beside the path before it.
fn mapped() -> BTreeSet<String> {
    let design = text("DESIGN.md");
    let map = between(&design, "## Where to look", "\n## ")
        .next()
        .unwrap()
        .to_owned();
    let mut paths = BTreeSet::new();
    for row in map.lines().filter(|line| line.starts_with("| `")) {
        let mut beside = PathBuf::new();
        let cell = row.split(" | ").next().unwrap();
        for name in cell.split('`').skip(1).step_by(2) {
            let path = if name.contains('/') || !name.ends_with(".rs") {
                PathBuf::from(name)
            } else {
                beside.join(name)
            };
            beside = path.parent().unwrap().to_owned();
            paths.insert(path.to_string_lossy().into_owned());
        }
    }
    paths
}

#[test]
fn the_map_names_what_exists() {
    for path in mapped() {
        assert!(
            root().join(&path).exists(),
            "DESIGN.md names {path}, which does not exist"
        );
    }
}

/// Folders of tests' own code are not on the map.
#[test]
fn the_map_has_each_folder_of_the_engine_and_of_the_crates() {
    let mapped = mapped();
    let sources = [
        "tenancy-core/src",
        "tenancy-core/src/engine",
        "tenancy-sqlx/src",
        "tenancy-cli/src",
        "tenancy-redis/src",
        "tenancy-usage/src",
    ];
    for parent in sources {
        for path in entries(&root().join(parent)).filter(|path| path.is_dir()) {
            let name = path.file_name().unwrap().to_string_lossy();
            let folder = format!("{parent}/{name}");
            let known = mapped.iter().any(|path| path.starts_with(&folder));
            assert!(known, "DESIGN.md should say what is in {folder}");
        }
    }
}

#[test]
fn each_section_of_the_design_opens_with_its_claim() {
    let design = text("DESIGN.md");
    let whys = design.split("\n## ").skip(1).filter(|section| {
        !section.starts_with("Pictures\n") && !section.starts_with("Where to look\n")
    });
    for section in whys {
        let (title, rest) = section.split_once('\n').unwrap();
        assert!(
            rest.trim_start().starts_with("**"),
            "the section `{title}` should open with its claim in bold"
        );
    }
}
