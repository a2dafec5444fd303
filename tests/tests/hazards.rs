//! What the guides to hazards name exists.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{fs, path::Path};

/// The short paths of the guide, and what they stand for.
const PLACES: [(&str, &str); 11] = [
    ("admission/", "tenancy-core/tests/admission/"),
    ("keys/", "tenancy-core/tests/admission/keys/"),
    ("jwt/", "tenancy-core/src/jwt/tests/"),
    ("key/", "tenancy-core/src/key/"),
    ("conformance/", "tenancy-core/src/directory/conformance/"),
    ("directory/", "tests/tests/directory/"),
    ("cases/", "tests/tests/schema/cases/"),
    ("operations/", "tests/tests/operations/"),
    ("pooler/", "tests/tests/pooler/"),
    ("schema/", "tests/tests/schema/"),
    ("sessions/", "tests/tests/sessions/"),
];

fn read(path: &str) -> Result<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read_to_string(root.join(path)).map_err(|error| format!("{path}: {error}"))
}

fn in_full(path: &str) -> String {
    let place = PLACES
        .iter()
        .find_map(|(short, full)| Some((full, path.strip_prefix(short)?)));
    place.map_or_else(|| path.to_owned(), |(full, rest)| format!("{full}{rest}"))
}

/// Every other piece: what stands between the marks.
fn between(text: &str, mark: char) -> impl Iterator<Item = &str> {
    text.split(mark).skip(1).step_by(2)
}

/// Where the function of this name stands in a source.
fn place(source: &str, name: &str) -> Option<usize> {
    ["(", "<"]
        .iter()
        .find_map(|next| source.find(&format!("fn {name}{next}")))
}

/// The source of the function of this name, up to the end of it.
fn function<'a>(source: &'a str, name: &str) -> Option<&'a str> {
    let rest = source.get(place(source, name)?..)?;
    rest.get(..rest.find("\n}\n")?)
}

/// Whether a function is a test, or a part of the conformance suite that the suite calls.
fn runs(path: &str, source: &str, name: &str) -> bool {
    let Some(before) = place(source, name).and_then(|at| source.get(..at)) else {
        return false;
    };
    let attributes = before.rsplit("\n\n").next().unwrap_or_default();
    if attributes.contains("#[test]") || attributes.contains("#[tokio::test") {
        return true;
    }
    let suite = read(&in_full("conformance/keys.rs")).unwrap_or_default();
    path.starts_with("conformance/")
        && function(&suite, "keys")
            .is_some_and(|body| body.contains(&format!(" {name}(directory)")))
}

/// What is wrong with the last column of one row.
fn faults(tests: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut named = between(tests, '`').peekable();
    if named.peek().is_none() {
        faults.push(format!("no test: {tests}"));
    }
    for test in named {
        let Some((path, name)) = test.split_once("::") else {
            faults.push(format!("`{test}` is no path::name"));
            continue;
        };
        match read(&in_full(path)) {
            Err(missing) => faults.push(missing),
            Ok(source) if !runs(path, &source, name) => {
                faults.push(format!("there is no test `{name}` in {path}"));
            }
            Ok(source) => {
                let body = function(&source, name).unwrap_or_default();
                for row in between(tests, '"') {
                    if !body.contains(&format!("\"{row}\"")) {
                        faults.push(format!("`{name}` has no row \"{row}\""));
                    }
                }
            }
        }
    }
    faults
}

/// The last column of each row of a guide.
fn tests_of(guide: &str) -> Vec<String> {
    let guide = read(guide).unwrap();
    let rows = guide
        .lines()
        .filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
    rows.filter_map(|row| row.rsplit('|').next())
        .map(|last| last.trim().to_owned())
        .filter(|last| !["test", "---"].contains(&last.as_str()))
        .collect()
}

#[test]
fn every_test_that_the_guides_to_hazards_name_exists() {
    for (guide, rows) in [
        ("docs/credential-hazards.md", 50),
        ("docs/isolation-hazards.md", 30),
    ] {
        let tests = tests_of(guide);
        assert!(tests.len() > rows, "{guide}: {}", tests.len());
        let faults: Vec<_> = tests.iter().flat_map(|tests| faults(tests)).collect();
        assert!(faults.is_empty(), "{guide}: {faults:#?}");
    }
}

#[test]
fn a_test_a_row_or_a_file_that_does_not_exist_is_noticed() {
    for (tests, fault) in [
        ("", "no test"),
        ("`jwt/time.rs`", "no path::name"),
        ("`jwt/gone.rs::a_test`", "gone.rs"),
        ("`jwt/time.rs::no_such_test`", "there is no test"),
        // A function, and no test.
        ("`key/tests/scanning.rs::reported`", "there is no test"),
        ("`conformance/keys.rs::stored`", "there is no test"),
        (
            "`jwt/time.rs::a_token_without_an_expiry_is_refused` \"no such row\"",
            "has no row",
        ),
    ] {
        let found = faults(tests);
        assert!(
            found.iter().any(|text| text.contains(fault)),
            "{tests}: {found:?}"
        );
    }
}
