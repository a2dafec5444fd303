//! The links of the README, the guides and the other pages lead somewhere, and each guide is in the index.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

fn pages_in(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|end| end == "md"))
}

fn pages() -> Vec<PathBuf> {
    let root = root();
    let mut pages: Vec<_> = pages_in(&root)
        .chain(pages_in(&root.join("docs")))
        .collect();
    pages.push(root.join("examples/pages/README.md"));
    pages
}

/// The text outside of code.
fn prose(page: &Path) -> String {
    let text = fs::read_to_string(page).unwrap();
    let outside = text.split("```").step_by(2);
    outside.collect()
}

/// Where the links of a page lead, those to other sites left out.
fn links(page: &Path) -> Vec<String> {
    let text = prose(page);
    let ends = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let own = ends.filter(|link| !link.contains("://"));
    own.map(str::to_owned).collect()
}

/// The anchors that GitHub makes of a page's headings.
fn anchors(page: &Path) -> BTreeSet<String> {
    let text = prose(page);
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| {
        let kept = line.trim_start_matches('#').trim().to_lowercase();
        let kept = kept
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.collect::<String>().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

#[test]
fn each_link_leads_to_a_file_and_a_heading_that_exist() {
    let mut looked_at = 0;
    for page in pages() {
        for link in links(&page) {
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let to = if path.is_empty() {
                page.clone()
            } else {
                page.parent().unwrap().join(path)
            };
            let from = page.display();
            assert!(to.exists(), "{from} links to {link}, which does not exist");
            let known = anchor.is_empty() || anchors(&to).contains(anchor);
            assert!(known, "{from} links to {link}, which has no such heading");
            looked_at += 1;
        }
    }
    assert!(looked_at > 100, "{looked_at} links were found");
}

#[test]
fn the_index_has_each_guide() {
    let index = root().join("docs/README.md");
    let linked = links(&index);
    for page in pages_in(&root().join("docs")).filter(|page| *page != index) {
        let name = page.file_name().unwrap().to_string_lossy();
        let listed = linked.iter().any(|link| *link == name);
        assert!(listed, "docs/README.md should link {name}");
    }
}
