//! What references and answers decide, over graphs that are written down.

use serde_json::{Value, json};
use tenancy_core::ConfigError;
use tenancy_sqlx::schema::{CatalogName, TableGraph};

use super::{Known, Sketch, Unknown, Verdict, Who};
use crate::adopt::{
    answers::{Answers, Choices},
    plan::keys::{Kind, keys},
};

fn named(name: &str) -> Value {
    json!({ "schema": "public", "name": name })
}

fn public(name: &str) -> CatalogName {
    CatalogName::new("public", name)
}

/// A table with an id, columns that refer (`column>table`, with `?` before it if it can be null), and further columns.
fn table(name: &str, columns: &[&str]) -> Value {
    let mut all = vec![
        json!({ "name": "id", "type_name": "integer", "not_null": true, "identity": "always" }),
    ];
    let mut references = Vec::new();
    for column in columns {
        let required = !column.starts_with('?');
        let (column, to) = match column.trim_start_matches('?').split_once('>') {
            Some((column, to)) => (column, Some(to)),
            None => (column.trim_start_matches('?'), None),
        };
        let type_name = if to.is_some() || column.ends_with("_id") {
            "integer"
        } else {
            "text"
        };
        all.push(json!({ "name": column, "type_name": type_name, "not_null": required }));
        if let Some(to) = to {
            references.push(json!({
                "name": format!("{name}_{column}_fkey"), "columns": [column], "to": named(to), "to_columns": ["id"],
            }));
        }
    }
    let primary = json!({ "index": format!("{name}_pkey"), "columns": ["id"], "primary": true, "valid": true });
    json!({ "name": named(name), "columns": all, "references": references, "keys": [primary], "may_read": true, "may_alter": true })
}

fn graph(tables: Vec<Value>) -> TableGraph {
    serde_json::from_value(json!({ "server_version": 150_000, "tables": tables })).unwrap()
}

fn root() -> Who {
    Who::Root {
        table: public("orgs"),
        key: "id".to_owned(),
    }
}

fn choices(graph: &TableGraph, answers: &str) -> Choices {
    Answers::in_text(answers).unwrap().resolve(graph).unwrap()
}

fn sketch(graph: &TableGraph) -> Sketch<'_> {
    Sketch::new(graph, root(), &Choices::default()).unwrap()
}

/// By what a table gets its tenant, how that is known, and by what else.
fn by<'s>(sketch: &'s Sketch<'_>, name: &str) -> (&'s str, &'s Known, Vec<&'s str>) {
    let Some(Verdict::By { edge, known, also }) = sketch.verdict(&public(name)) else {
        panic!("{:?}", sketch.verdict(&public(name)))
    };
    let also = also.iter().map(|edge| edge.columns[0].as_str());
    (&edge.columns[0], known, also.collect())
}

#[test]
fn a_direct_reference_wins_and_the_others_are_compared() {
    let graph = graph(vec![
        table("orgs", &[]),
        table("users", &["org_id>orgs", "?boss_id>users"]),
        table(
            "notes",
            &["author_id>users", "org_id>orgs", "?reviewer_id>users"],
        ),
    ]);
    let sketch = sketch(&graph);
    assert_eq!(
        by(&sketch, "users"),
        ("org_id", &Known::Required, vec!["boss_id"])
    );
    assert_eq!(
        by(&sketch, "notes"),
        ("org_id", &Known::Required, vec!["author_id", "reviewer_id"])
    );
    assert_eq!(sketch.verdict(&public("orgs")), Some(&Verdict::Root));
}

#[test]
fn the_shortest_of_several_ways_is_taken() {
    let graph = graph(vec![
        table("orgs", &[]),
        table("users", &["org_id>orgs"]),
        table("notes", &["author_id>users"]),
        table("marks", &["note_id>notes", "user_id>users"]),
        table("marks_of_marks", &["mark_id>marks"]),
    ]);
    let sketch = sketch(&graph);
    assert_eq!(
        by(&sketch, "marks"),
        ("user_id", &Known::Required, vec!["note_id"])
    );
    assert_eq!(by(&sketch, "marks_of_marks").0, "mark_id");
    let order: Vec<_> = sketch
        .in_order()
        .iter()
        .map(|(table, _)| table.name.name.clone())
        .collect();
    assert_eq!(order, ["orgs", "users", "marks", "notes", "marks_of_marks"]);
}

#[test]
fn what_can_be_null_is_asked_and_what_hangs_on_it_is_not() {
    let graph = graph(vec![
        table("orgs", &[]),
        table("files", &["?org_id>orgs"]),
        table("pages", &["file_id>files"]),
        table("logs", &["?orgs_id"]),
        table("others", &["org_id"]),
        table("words", &["org"]),
    ]);
    let sketch = sketch(&graph);
    assert_eq!(by(&sketch, "files").1, &Known::Nullable);
    assert_eq!(by(&sketch, "pages").1, &Known::Required);
    assert_eq!(by(&sketch, "logs"), ("orgs_id", &Known::Soft, vec![]));
    assert_eq!(by(&sketch, "others").1, &Known::Soft);
    assert_eq!(
        sketch.verdict(&public("words")),
        Some(&Verdict::Open(Unknown::Isolated))
    );
}

#[test]
fn cycles_and_what_is_only_referred_to_are_no_trouble() {
    let graph = graph(vec![
        table("orgs", &["?main_id>addresses"]),
        table("customers", &["org_id>orgs", "?address_id>addresses"]),
        table(
            "addresses",
            &["customer_id>customers", "country_id>countries"],
        ),
        table("countries", &[]),
        table("a", &["b_id>b"]),
        table("b", &["a_id>a"]),
    ]);
    let sketch = sketch(&graph);
    assert_eq!(
        by(&sketch, "customers"),
        ("org_id", &Known::Required, vec!["address_id"])
    );
    assert_eq!(by(&sketch, "addresses").0, "customer_id");
    let open = |name| sketch.verdict(&public(name)).cloned();
    assert_eq!(open("countries"), Some(Verdict::Open(Unknown::ReferredTo)));
    assert_eq!(open("a"), Some(Verdict::Open(Unknown::Other)));
}

#[test]
fn answers_decide_and_what_can_not_be_meant_is_refused() {
    let graph = graph(vec![
        table("orgs", &[]),
        table("users", &["org_id>orgs"]),
        table("files", &["?org_id>orgs", "?user_id>users"]),
        table("logs", &["actor_id"]),
        table("countries", &[]),
        table("settings", &[]),
    ]);
    let text = r#"
        [adopt]
        shared = ["public.countries"]
        closed = ["public.settings"]
        [adopt.tables."public.files"]
        from = "user_id"
        otherwise = "0199c0de-0000-7000-8000-000000000001"
        [adopt.tables."public.logs"]
        from = "actor_id"
        to = "public.users"
    "#;
    let answered = Sketch::new(&graph, root(), &choices(&graph, text)).unwrap();
    assert_eq!(
        by(&answered, "files"),
        ("user_id", &Known::Answered, vec!["org_id"])
    );
    assert_eq!(by(&answered, "logs").1, &Known::Answered);
    assert_eq!(
        answered.verdict(&public("countries")),
        Some(&Verdict::Shared)
    );
    assert_eq!(
        answered.verdict(&public("settings")),
        Some(&Verdict::Closed { why: None })
    );

    let told = |who: Who, text: &str| -> ConfigError {
        let told = Sketch::new(&graph, who, &choices(&graph, text));
        told.map(|_| ()).unwrap_err()
    };
    for (text, wanted) in [
        (
            "[adopt.tables.\"public.orgs\"]\nrows = \"shared\"",
            "is the root",
        ),
        (
            "[adopt.tables.\"public.settings\"]\nrows = \"tenant\"",
            "nothing leads from `public.settings`",
        ),
        (
            "[adopt]\nshared = [\"public.users\"]\n[adopt.tables.\"public.files\"]\nfrom = \"user_id\"",
            "whose rows are no tenant's",
        ),
        (
            "[adopt.tables.\"public.files\"]\nfrom = [\"user_id\", \"org_id\"]",
            "has no foreign key of (user_id, org_id)",
        ),
    ] {
        let told = told(root(), text).to_string();
        assert!(told.starts_with("line ") && told.contains(wanted), "{told}");
    }
    let of_root = "[adopt.tables.\"public.files\"]\nfrom = \"user_id\"";
    assert!(
        told(Who::One, of_root)
            .to_string()
            .contains("one tenant alone")
    );
}

#[test]
fn an_heir_gets_its_tenant_as_the_table_above_does() {
    let mut heir = table("old_notes", &["author_id", "org_id"]);
    heir["inherits"] = json!([named("notes")]);
    let graph = graph(vec![
        table("orgs", &[]),
        table("notes", &["org_id>orgs"]),
        heir,
    ]);
    let sketch = sketch(&graph);
    assert_eq!(by(&sketch, "old_notes").0, "org_id");
    assert_eq!(
        by(&sketch, "old_notes").1,
        &Known::Inherited(public("notes"))
    );
}

#[test]
fn one_tenant_has_all_but_what_is_nobodys() {
    let mut partition = table("events_1", &[]);
    partition["partition_of"] = named("events");
    let mut protected = table("notes", &[]);
    protected["row_security"] = json!(true);
    protected["columns"][0]["default"] = json!("tenancy.current_tenant()");
    let mut foreign = table("elsewhere", &[]);
    foreign["kind"] = json!("foreign");
    let graph = graph(vec![
        table("events", &[]),
        partition,
        protected,
        foreign,
        table("schema_migrations", &[]),
    ]);
    let sketch = Sketch::new(&graph, Who::One, &Choices::default()).unwrap();
    assert_eq!(sketch.verdict(&public("events")), Some(&Verdict::One));
    assert_eq!(sketch.verdict(&public("events_1")), None);
    assert_eq!(sketch.protected, [&public("notes")]);
    for closed in ["elsewhere", "schema_migrations"] {
        let verdict = sketch.verdict(&public(closed));
        assert!(
            matches!(verdict, Some(Verdict::Closed { why: Some(_) })),
            "{verdict:?}"
        );
    }
}

#[test]
fn keys_are_asked_by_what_they_are_for() {
    let mut users = table(
        "users",
        &["org_id>orgs", "email", "api_key", "nick", "code"],
    );
    let key = |index: &str, columns: &[&str]| json!({ "index": index, "columns": columns, "valid": true });
    users["keys"].as_array_mut().unwrap().extend([
        key("email", &["email"]),
        key("org_email", &["org_id", "email"]),
        key("api_key", &["api_key"]),
        key("nick", &["nick"]),
        json!({ "index": "lower", "columns": [null], "expressions": ["lower(email)"], "valid": true }),
    ]);
    let graph = graph(vec![table("orgs", &[]), users]);
    let sketch = sketch(&graph);
    let kinds: Vec<_> = keys(&sketch)
        .iter()
        .map(|key| (key.key.index.clone(), key.kind))
        .collect();
    let wanted = [
        ("orgs_pkey", Kind::Generated),
        ("users_pkey", Kind::Generated),
        ("email", Kind::Identity),
        ("org_email", Kind::Within),
        ("api_key", Kind::Credential),
        ("nick", Kind::Natural),
        ("lower", Kind::Identity),
    ];
    assert_eq!(kinds, wanted.map(|(index, kind)| (index.to_owned(), kind)));
}
