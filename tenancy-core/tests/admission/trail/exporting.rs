//! Exports: whole, in bounded memory, in three formats, of one tenant, and recorded at their end.

use std::{collections::BTreeSet, io};

use futures_util::TryStreamExt as _;
use serde_json::Value;
use tenancy_core::{
    Actor, AuditEntry, AuditFilter, AuditSink as _, Clock as _, ExportError, ExportFormat, Outcome,
    ProjectId, StoreErrorKind, TraceId, UserId,
    testing::{StoreDirectly as _, service},
};

use super::{alices, readings, recorded, told};
use crate::support::World;

const FORMATS: [ExportFormat; 3] = [
    ExportFormat::JsonLines,
    ExportFormat::Csv,
    ExportFormat::Ocsf,
];

#[tokio::test]
async fn an_export_has_each_entry_of_the_tenant_once_and_none_of_another() {
    let w = World::new().await;
    let own = recorded(&w, w.acme.id, 2_500);
    let others = recorded(&w, w.globex.id, 10);
    let shares = AuditFilter::new().action("note.share");
    let listed = w.tenancy.admin(service());
    let listed = listed
        .list_entries(Some(w.globex.id), &shares, None, 100)
        .await;
    assert_eq!(listed.unwrap().len(), others.len());

    let own: BTreeSet<_> = own.iter().map(|entry| entry.id.to_string()).collect();
    let admin = alices(&w).await;
    for format in FORMATS {
        let export = admin
            .export_entries(Some(w.acme.id), &shares, format)
            .await
            .unwrap();
        let mut text = Vec::new();
        let done = export.write_to(&mut text).await.unwrap();
        assert_eq!(done.entries, 2_500);
        let text = String::from_utf8(text).unwrap();
        let ids = |row: &str| match format {
            ExportFormat::Csv => row.split(',').nth(1).unwrap().to_owned(),
            ExportFormat::Ocsf => {
                let event: Value = serde_json::from_str(row).unwrap();
                event["metadata"]["uid"].as_str().unwrap().to_owned()
            }
            _ => {
                let entry: Value = serde_json::from_str(row).unwrap();
                entry["id"].as_str().unwrap().to_owned()
            }
        };
        let header = usize::from(format == ExportFormat::Csv);
        let rows: Vec<_> = text.lines().skip(header).map(ids).collect();
        assert_eq!(rows.len(), 2_500, "{format:?}");
        assert_eq!(rows.into_iter().collect::<BTreeSet<_>>(), own, "{format:?}");

        let entry = readings(&w).pop().unwrap();
        assert_eq!(told(&entry, "how"), "export");
        assert_eq!(told(&entry, "format"), format.as_str());
        assert_eq!(told(&entry, "count"), 2_500);
        assert_eq!(told(&entry, "complete"), true);
        assert_eq!(told(&entry, "filter")["action"], "note.share");
    }
    assert_eq!(
        readings(&w).len(),
        1 + FORMATS.len(),
        "one for each, and the listing"
    );
}

#[tokio::test]
async fn an_export_that_is_given_up_says_how_far_it_came() {
    let w = World::new().await;
    recorded(&w, w.acme.id, 2_500);
    let admin = alices(&w).await;
    let shares = AuditFilter::new().action("note.share");
    let export = async || {
        let format = ExportFormat::JsonLines;
        admin
            .export_entries(Some(w.acme.id), &shares, format)
            .await
            .unwrap()
    };
    let mut begun = export().await;
    let page = begun.next().await.unwrap().unwrap();
    assert_eq!(
        page.lines().count(),
        1_000,
        "no more than a page is in memory"
    );
    drop(begun);
    let entry = readings(&w).pop().unwrap();
    assert_eq!(
        (told(&entry, "count"), told(&entry, "complete")),
        (1_000.into(), false.into())
    );

    /// A disk that is full.
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let failed = export().await.write_to(Full).await.unwrap_err();
    assert!(matches!(failed, ExportError::Write(_)), "{failed}");
    assert_eq!(told(&readings(&w).pop().unwrap(), "complete"), false);
}

/// An export of an hour is no way past a permission that was taken away.
#[tokio::test]
async fn an_export_ends_where_the_caller_may_read_no_more() {
    let w = World::new().await;
    recorded(&w, w.acme.id, 2_500);
    let admin = alices(&w).await;
    let all = AuditFilter::new();
    let format = ExportFormat::JsonLines;
    let mut export = admin
        .export_entries(Some(w.acme.id), &all, format)
        .await
        .unwrap();
    assert!(export.next().await.unwrap().is_some());
    w.directory
        .remove_membership(w.acme.id, w.alice)
        .await
        .unwrap();
    w.tenancy.catch_up().await.unwrap();
    let refused = export.next().await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Forbidden);
    // As a stream it ends there too, with the error.
    let parts: Result<Vec<_>, _> = export.into_stream().try_collect().await;
    assert_eq!(parts.unwrap_err().kind(), StoreErrorKind::Forbidden);
    assert_eq!(told(&readings(&w).pop().unwrap(), "count"), 1_000);
}

#[tokio::test]
async fn an_export_that_others_may_not_have_is_refused_and_recorded() {
    let w = World::new().await;
    recorded(&w, w.globex.id, 3);
    let admin = alices(&w).await;
    let all = AuditFilter::new();
    for format in FORMATS {
        let refused = admin.export_entries(Some(w.globex.id), &all, format).await;
        assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::Forbidden);
    }
    assert!(
        readings(&w)
            .iter()
            .all(|entry| entry.outcome == Outcome::Refused)
    );
    assert_eq!(readings(&w).len(), 3);
}

/// An entry with all that one can have.
fn full(w: &World) -> AuditEntry {
    let mut entry = AuditEntry::new(w.clock.now(), "membership.put", Outcome::Allowed)
        .tenant(w.acme.id)
        .project(ProjectId::new())
        .actor(Actor::User(w.alice))
        .reason("a,b \"c\"\n")
        .about("user", UserId::new())
        .change("role", "viewer", serde_json::json!({ "name": "editor" }))
        .details(serde_json::json!({ "a": [1, null] }));
    entry.on_behalf_of = Some(w.alice);
    entry.credential = Some("https://login.example".into());
    entry.ip = "2001:db8::7".parse().ok();
    entry.user_agent = Some("curl/8".into());
    entry.request_id = Some("r-1".into());
    entry.trace_id = TraceId::from_stored("0af7651916cd43dd8448eb211c80319c");
    entry.suppressed = 3;
    entry
}

/// Whether a value is as a schema has it: as far as the documented one goes.
fn fits(value: &Value, schema: &Value, at: &str) {
    if let Some(wanted) = schema.get("const") {
        assert_eq!(value, wanted, "{at}");
    }
    if let Some(wanted) = schema.get("enum") {
        assert!(wanted.as_array().unwrap().contains(value), "{at}: {value}");
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    match schema.get("type") {
        Some(Value::String(wanted)) => assert_eq!(kind, wanted, "{at}"),
        Some(Value::Array(wanted)) => assert!(wanted.contains(&kind.into()), "{at}: {value}"),
        _ => {}
    }
    if let (Some(fields), Some(known)) = (value.as_object(), schema.get("properties")) {
        for (name, value) in fields {
            let schema = known
                .get(name)
                .unwrap_or_else(|| panic!("{at}: `{name}` is not in the schema"));
            fits(value, schema, name);
        }
        for name in schema["required"].as_array().unwrap() {
            let name = name.as_str().unwrap();
            assert!(fields.contains_key(name), "{at}: `{name}` is missing");
        }
    }
    if let (Some(items), Some(schema)) = (value.as_array(), schema.get("items")) {
        for item in items {
            fits(item, schema, at);
        }
    }
}

#[tokio::test]
async fn what_is_written_as_json_is_what_the_documented_schema_says() {
    let w = World::new().await;
    let schema: Value =
        serde_json::from_str(include_str!("../../../../docs/audit-entry.schema.json")).unwrap();
    let full = full(&w);
    let empty = AuditEntry::new(w.clock.now(), "note.share", Outcome::Refused);
    let mut seen = BTreeSet::new();
    for entry in [&full, &empty] {
        let row: Value = serde_json::from_str(&ExportFormat::JsonLines.row(entry)).unwrap();
        fits(&row, &schema, "entry");
        seen.extend(row.as_object().unwrap().keys().cloned());
    }
    // Each field of the schema is one that is written.
    let known = schema["properties"].as_object().unwrap().keys().cloned();
    assert_eq!(seen, known.collect());
    assert_eq!(
        schema["properties"]["version"]["const"],
        AuditEntry::VERSION
    );
}

#[tokio::test]
async fn an_entry_with_all_that_it_can_have_is_one_row_in_each_format() {
    let w = World::new().await;
    let entry = full(&w);
    w.directory.directory().record(entry.clone());
    let admin = alices(&w).await;
    let only = AuditFilter::new().action("membership.put");
    for format in FORMATS {
        let export = admin
            .export_entries(Some(w.acme.id), &only, format)
            .await
            .unwrap();
        let mut text = Vec::new();
        assert_eq!(export.write_to(&mut text).await.unwrap().entries, 1);
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text, format!("{}{}", format.header(), format.row(&entry)));
        for said in [
            "2001:db8::7",
            "0af7651916cd43dd8448eb211c80319c",
            "editor",
            "r-1",
        ] {
            assert!(text.contains(said), "{format:?} lacks {said}: {text}");
        }
    }
}
