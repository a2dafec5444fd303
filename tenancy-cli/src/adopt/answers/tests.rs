//! What the answers can say, and what they are told.

use tenancy_sqlx::schema::{CatalogName, TableGraph};

use super::*;

fn graph() -> TableGraph {
    let table = |name: &str, columns: &[&str], key: &str| {
        let columns: Vec<_> = columns
            .iter()
            .map(|name| serde_json::json!({ "name": name, "type_name": "uuid" }))
            .collect();
        serde_json::json!({
            "name": { "schema": "public", "name": name }, "columns": columns,
            "keys": [{ "index": key, "columns": ["id"], "primary": true }],
        })
    };
    let mut partition = table("events_1", &["id"], "events_1_pkey");
    partition["partition_of"] = serde_json::json!({ "schema": "public", "name": "events" });
    serde_json::from_value(serde_json::json!({
        "tables": [
            table("countries", &["id"], "countries_pkey"),
            table("events", &["id"], "events_pkey"),
            partition,
            table("notes", &["id", "org"], "notes_pkey"),
            table("orgs", &["id"], "orgs_pkey"),
        ],
        "views": [{ "name": { "schema": "public", "name": "seen" }, "reads": [{ "schema": "public", "name": "notes" }] }],
    }))
    .unwrap()
}

fn choices(text: &str) -> Result<Choices, ConfigError> {
    Answers::in_text(text)?.resolve(&graph())
}

fn told(text: &str) -> String {
    choices(text).unwrap_err().to_string()
}

#[test]
fn answers_are_read_with_what_they_are_about() {
    let text = r#"
        [other]
        thing = 1

        [adopt]
        root = "public.orgs"
        shared = ["public.countries"]

        [adopt.tables."public.notes"]
        from = "org"
        to = "public.orgs"
        to-columns = ["id"]
        otherwise = "0199c0de-0000-7000-8000-000000000001"

        [adopt.keys]
        "public.orgs_pkey" = "everywhere"
    "#;
    let answers = Answers::in_text(text).unwrap();
    assert_eq!(answers.root.as_ref().unwrap().value, "public.orgs");
    let choices = answers.resolve(&graph()).unwrap();
    let of = |name: &str| &choices.tables[&CatalogName::new("public", name)].value;
    assert_eq!(of("countries"), &Choice::Shared);
    let Choice::From {
        columns, otherwise, ..
    } = of("notes")
    else {
        unreachable!()
    };
    assert_eq!(columns, &["org"]);
    assert!(otherwise.is_some());
    let key = CatalogName::new("public", "orgs_pkey");
    assert_eq!(choices.keys[&key].value, Holds::Everywhere);
    assert!(
        Answers::in_text("[elsewhere]\nx = 1")
            .unwrap()
            .root
            .is_none()
    );
}

#[test]
fn what_can_not_be_meant_is_told_with_its_place() {
    for (text, wanted) in [
        (
            "[adopt]\nroots = \"x\"",
            "line 2, column 1: `[adopt]` has no field `roots`",
        ),
        (
            "[adopt]\nshared = \"public.notes\"",
            "line 2, column 10: `shared` has to be a list",
        ),
        (
            "[adopt]\nshared = [\"public.note\"]",
            "line 2, column 11: there is no table `public.note`; the nearest is `public.notes`",
        ),
        (
            "[adopt]\nclosed = [\"notes\"]",
            "the nearest is `public.notes`",
        ),
        ("[adopt]\nclosed = [\"public.seen\"]", "is a view"),
        (
            "[adopt]\nclosed = [\"public.events_1\"]",
            "name `public.events`",
        ),
        (
            "[adopt]\nclosed = [\"public.notes\"]\nshared = [\"public.notes\"]",
            "answered a second time",
        ),
        (
            "[adopt]\nroot = \"public.orgs\"\none-tenant = \"Acme\"",
            "line 3, column 14: `one-tenant` stands beside `root`",
        ),
        (
            "[adopt]\nroot = \"public.orgs\"\ntenant = \"0199c0de-0000-7000-8000-000000000001\"",
            "belongs to `one-tenant`",
        ),
        (
            "[adopt]\ntenant = \"acme\"",
            "a hyphenated UUID; `acme` is none",
        ),
        (
            "[adopt.tables.\"public.notes\"]\nrows = \"mine\"",
            "line 2, column 8: `rows` has to be",
        ),
        (
            "[adopt.tables.\"public.notes\"]\n",
            "says neither `rows` nor `from`",
        ),
        (
            "[adopt.tables.\"public.notes\"]\nrows = \"shared\"\nfrom = \"org\"",
            "stands beside `rows`",
        ),
        (
            "[adopt.tables.\"public.notes\"]\nfrom = \"orgs\"",
            "line 2, column 8: there is no column of `public.notes` `orgs`; the nearest is `org`",
        ),
        (
            "[adopt.tables.\"public.notes\"]\nfrom = []",
            "`from` is empty",
        ),
        (
            "[adopt.tables.\"public.notes\"]\nto = \"public.orgs\"\nrows = \"tenant\"",
            "`to` belongs to `from`",
        ),
        (
            "[adopt.tables.\"public.notes\"]\nfrom = \"org\"\nto-columns = [\"id\"]",
            "stands without `to`",
        ),
        (
            "[adopt.keys]\n\"public.notes_key\" = \"tenant\"",
            "there is no unique key `public.notes_key`; the nearest is `public.notes_pkey`",
        ),
        (
            "[adopt.keys]\n\"public.notes_pkey\" = \"global\"",
            "line 2, column 23: `public.notes_pkey` has to be",
        ),
        ("[adopt]\nshared = [", "no TOML"),
    ] {
        let told = told(text);
        assert!(told.contains(wanted), "{text}\n{told}\n{wanted}");
    }
}
