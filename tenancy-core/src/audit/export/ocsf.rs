//! An entry as an event of OCSF: Authentication for who signed in and was refused, API Activity for all else.

use serde_json::{Map, Value, json};

use super::{ExportFormat, json};
use crate::{Actor, AuditEntry, ChangeAction, Outcome};

/// A class of events: its id, its name, its category with its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Class(u32, &'static str, u32, &'static str);

const AUTHENTICATION: Class = Class(3002, "Authentication", 3, "Identity & Access Management");
const API_ACTIVITY: Class = Class(6003, "API Activity", 6, "Application Activity");

/// What the entry is the log of. The name of the application is not known here.
const PRODUCT: &str = "tenancy";

pub(super) fn row(entry: &AuditEntry) -> String {
    let mut text = json::text(&event(entry));
    text.push('\n');
    text
}

fn event(entry: &AuditEntry) -> Value {
    let (class, (activity, name)) = classified(entry);
    let Class(class_uid, class_name, category_uid, category_name) = class;
    let (severity, severity_id) = severity(entry);
    let (status, status_id) = match entry.outcome {
        Outcome::Allowed => ("Success", 1),
        Outcome::Refused | Outcome::Failed => ("Failure", 2),
    };
    let mut event = Map::new();
    let mut put = |name: &str, value: Value| drop(event.insert(name.to_owned(), value));
    put("class_uid", json!(class_uid));
    put("class_name", json!(class_name));
    put("category_uid", json!(category_uid));
    put("category_name", json!(category_name));
    put("activity_id", json!(activity));
    put("activity_name", json!(name));
    put("type_uid", json!(class_uid * 100 + activity));
    put("type_name", json!(format!("{class_name}: {name}")));
    put("time", json!(entry.at.as_unix_micros().div_euclid(1_000)));
    put("severity_id", json!(severity_id));
    put("severity", json!(severity));
    put("status_id", json!(status_id));
    put("status", json!(status));
    put("status_code", json!(entry.outcome.as_str()));
    if let Some(reason) = &entry.reason {
        put("status_detail", json!(reason));
    }
    put("message", json!(entry.action));
    put("metadata", metadata(entry, class));
    put(
        "actor",
        json!({ "user": user(entry), "session": session(entry) }),
    );
    put("src_endpoint", source(entry));
    if let Some(agent) = &entry.user_agent {
        put("http_request", json!({ "user_agent": agent }));
    }
    if class == AUTHENTICATION {
        put("user", acted_as(entry));
        put("service", json!({ "name": PRODUCT }));
        if entry.action == ChangeAction::ImpersonationStart.as_str() {
            put("account_switch_type_id", json!(2));
            put("account_switch_type", json!("Impersonate"));
        }
    } else {
        put("api", api(entry));
        let targets = entry.typed_targets();
        if !targets.is_empty() {
            let resource = |target: &crate::AuditTarget| json!({ "type": target.kind, "uid": target.id, "role_id": 1 });
            put("resources", targets.iter().map(resource).collect());
        }
        if let Some(trace) = entry.trace_id {
            put("trace", json!({ "uid": trace.to_string() }));
        }
    }
    put("unmapped", unmapped(entry));
    without_nulls(Value::Object(event))
}

/// The class of an entry, and what was done in the words of the class.
fn classified(entry: &AuditEntry) -> (Class, (u32, &'static str)) {
    let action = entry.action.as_ref();
    // Whoever was refused and is known has authenticated, and lacks a right.
    let is_unknown = matches!(entry.actor, None | Some(Actor::Anonymous));
    if action == "operator.authenticate" || action == "request.admit" && is_unknown {
        return (AUTHENTICATION, (1, "Logon"));
    }
    if action == ChangeAction::ImpersonationStart.as_str() {
        return (AUTHENTICATION, (7, "Account Switch"));
    }
    let done = action.rsplit('.').next().unwrap_or_default();
    let verb = done.split('-').next().unwrap_or_default();
    let activity = match verb {
        "create" | "provision" | "issue" | "import" | "offer" | "add" | "start" | "join"
        | "grant" => (1, "Create"),
        "read" | "list" | "check" | "verify" | "admit" | "enter" => (2, "Read"),
        "set" | "put" | "rename" | "rotate" | "enable" | "disable" | "suspend" | "resume"
        | "bind" | "accept" | "approve" | "resend" | "link" | "change" => (3, "Update"),
        "remove" | "revoke" | "unbind" | "unlink" | "forget" | "erase" | "prune" | "end"
        | "leave" | "withdraw" | "decline" | "drop" | "purge" | "delete" => (4, "Delete"),
        _ => (99, "Other"),
    };
    (API_ACTIVITY, activity)
}

fn severity(entry: &AuditEntry) -> (&'static str, u32) {
    match entry.outcome {
        _ if entry.action == "alert.raise" => ("High", 4),
        Outcome::Allowed if entry.action.starts_with("danger.") => ("Medium", 3),
        Outcome::Allowed => ("Informational", 1),
        Outcome::Refused => ("Low", 2),
        Outcome::Failed => ("Medium", 3),
    }
}

fn metadata(entry: &AuditEntry, class: Class) -> Value {
    json!({
        "version": ExportFormat::OCSF_VERSION,
        "uid": entry.id,
        "tenant_uid": entry.tenant,
        "event_code": entry.action,
        "correlation_uid": entry.request_id,
        "original_time": entry.at.to_string(),
        "log_name": "audit",
        "log_version": AuditEntry::VERSION.to_string(),
        "profiles": (class == API_ACTIVITY && entry.trace_id.is_some()).then_some(["trace"]),
        "product": {
            "name": PRODUCT,
            "vendor_name": PRODUCT,
            "version": env!("CARGO_PKG_VERSION"),
        },
    })
}

fn user(entry: &AuditEntry) -> Value {
    let (kind, type_id) = match &entry.actor {
        Some(Actor::User(_)) => ("User", 1),
        Some(Actor::Operator(_)) => ("Admin", 2),
        Some(Actor::System | Actor::Job(_)) => ("System", 3),
        Some(Actor::Service(_) | Actor::Key(_)) => ("Service", 4),
        Some(Actor::Anonymous) | None => ("Unknown", 0),
    };
    let name = match &entry.actor {
        Some(actor) => actor.to_string(),
        None => "unknown".to_owned(),
    };
    let uid = entry.actor.as_ref().and_then(Actor::id);
    json!({ "name": name, "uid": uid, "type": kind, "type_id": type_id })
}

/// Whom an authentication was for: the user whom an operator becomes, or else whoever asked.
fn acted_as(entry: &AuditEntry) -> Value {
    let targets = entry.typed_targets();
    match targets.iter().find(|target| target.kind == "user") {
        Some(target) => json!({ "uid": target.id, "type": "User", "type_id": 1 }),
        None => user(entry),
    }
}

fn session(entry: &AuditEntry) -> Value {
    match &entry.credential {
        Some(credential) => json!({ "issuer": credential }),
        None => Value::Null,
    }
}

fn source(entry: &AuditEntry) -> Value {
    match entry.ip {
        Some(ip) => json!({ "ip": ip }),
        // The schema wants some name where there is no address.
        None => json!({ "name": "unknown" }),
    }
}

fn api(entry: &AuditEntry) -> Value {
    let request = entry.request_id.as_ref().map(|id| json!({ "uid": id }));
    json!({
        "operation": entry.action,
        "service": { "name": PRODUCT },
        "request": request,
    })
}

fn unmapped(entry: &AuditEntry) -> Value {
    json!({
        "project": entry.project,
        "on_behalf_of": entry.on_behalf_of,
        "changes": (!entry.changes.is_empty()).then_some(&entry.changes),
        "details": entry.details,
        "suppressed": entry.suppressed,
    })
}

/// The same without the fields of this mapping that have nothing to say. What the entry holds stays as it is.
fn without_nulls(mut event: Value) -> Value {
    if let Value::Object(fields) = &mut event {
        for (name, value) in fields.iter_mut() {
            if let (true, Value::Object(within)) = (is_of_mapping(name), &mut *value) {
                within.retain(|_, value| !value.is_null());
            }
        }
    }
    event
}

fn is_of_mapping(name: &str) -> bool {
    matches!(name, "metadata" | "actor" | "user" | "api" | "unmapped")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clock as _, OperatorId, SystemClock, TenantId, TraceId, UserId};

    fn told(entry: &AuditEntry) -> Value {
        let row = row(entry);
        assert!(row.ends_with('\n') && row.trim_end().lines().count() == 1);
        serde_json::from_str(&row).unwrap()
    }

    /// What the schema 1.8.0 requires of every event, and of the objects that are in each.
    fn has_what_every_event_has(event: &Value, entry: &AuditEntry) {
        let number = |name: &str| {
            event[name]
                .as_u64()
                .unwrap_or_else(|| panic!("{name}: {event}"))
        };
        let (class, activity) = (number("class_uid"), number("activity_id"));
        assert_eq!(number("type_uid"), class * 100 + activity);
        assert_eq!(number("category_uid"), class / 1_000);
        assert!((0..=6).contains(&number("severity_id")));
        assert!([1, 2].contains(&number("status_id")));
        assert_eq!(event["time"], entry.at.as_unix_micros() / 1_000);
        let metadata = &event["metadata"];
        assert_eq!(metadata["version"], "1.8.0");
        assert_eq!(metadata["uid"], entry.id.to_string());
        assert_eq!(metadata["product"]["name"], "tenancy");
        // `actor` has to have one of several; a user one of `account`, `name` and `uid`.
        assert!(event["actor"]["user"]["name"].is_string(), "{event}");
        // An end point has to have one of several.
        let source = &event["src_endpoint"];
        assert!(source["ip"].is_string() || source["name"].is_string());
        assert!(event.get("unmapped").is_some_and(Value::is_object));
        let nulls = |value: &Value| {
            value
                .as_object()
                .is_some_and(|it| it.values().any(Value::is_null))
        };
        assert!(
            !nulls(event) && !nulls(metadata) && !nulls(&event["actor"]),
            "{event}"
        );
    }

    #[test]
    fn a_change_is_an_api_activity_with_all_that_the_class_requires() {
        let (tenant, user) = (TenantId::new(), UserId::new());
        let mut entry = AuditEntry::new(SystemClock.now(), "membership.put", Outcome::Allowed)
            .tenant(tenant)
            .actor(Actor::User(user))
            .about("user", "ann")
            .change("role", "viewer", Value::Null);
        entry.ip = "192.0.2.7".parse().ok();
        entry.request_id = Some("r-1".into());
        entry.trace_id =
            TraceId::of_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let event = told(&entry);
        has_what_every_event_has(&event, &entry);
        assert_eq!(
            (&event["class_uid"], &event["type_uid"]),
            (&json!(6003), &json!(600_303))
        );
        assert_eq!(event["metadata"]["tenant_uid"], tenant.to_string());
        assert_eq!(event["actor"]["user"]["uid"], user.to_string());
        assert_eq!(event["api"]["operation"], "membership.put");
        assert_eq!(event["api"]["request"]["uid"], "r-1");
        assert_eq!(event["src_endpoint"]["ip"], "192.0.2.7");
        assert_eq!(
            event["resources"],
            json!([{ "type": "user", "uid": "ann", "role_id": 1 }])
        );
        assert_eq!(event["trace"]["uid"], "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(event["metadata"]["profiles"], json!(["trace"]));
        // What an entry holds stays, a null too.
        assert_eq!(event["unmapped"]["changes"][0]["after"], Value::Null);
    }

    #[test]
    fn who_was_not_let_in_is_a_failed_authentication_with_all_that_the_class_requires() {
        for action in ["request.admit", "operator.authenticate"] {
            let entry = AuditEntry::new(SystemClock.now(), action, Outcome::Refused)
                .reason("token-expired");
            let event = told(&entry);
            has_what_every_event_has(&event, &entry);
            assert_eq!(
                (&event["class_uid"], &event["type_uid"]),
                (&json!(3002), &json!(300_201))
            );
            assert_eq!(
                (&event["status_id"], &event["status_detail"]),
                (&json!(2), &json!("token-expired"))
            );
            assert!(event["user"]["name"].is_string() && event["service"]["name"].is_string());
        }
        // Whoever is known has signed in, and lacks a right.
        let entry = AuditEntry::new(SystemClock.now(), "request.admit", Outcome::Refused)
            .actor(Actor::User(UserId::new()));
        assert_eq!(told(&entry)["class_uid"], 6003);
    }

    #[test]
    fn an_impersonation_is_a_switch_to_the_user() {
        let entry = AuditEntry::new(SystemClock.now(), "impersonation.start", Outcome::Allowed)
            .actor(Actor::Operator(OperatorId::new()))
            .about("impersonation", "i")
            .about("user", "ann");
        let event = told(&entry);
        has_what_every_event_has(&event, &entry);
        assert_eq!(event["type_uid"], 300_207);
        assert_eq!(event["user"]["uid"], "ann");
        assert_eq!(event["actor"]["user"]["type_id"], 2);
        assert_eq!(event["account_switch_type_id"], 2);
    }

    #[test]
    fn each_change_of_the_library_has_an_activity_of_the_schema() {
        for action in ChangeAction::ALL {
            let entry = AuditEntry::new(SystemClock.now(), action.as_str(), Outcome::Allowed);
            has_what_every_event_has(&told(&entry), &entry);
            let (_, (activity, _)) = classified(&entry);
            let other = [
                ChangeAction::PasswordResetRequest,
                ChangeAction::PasswordResetUse,
            ];
            assert_eq!(activity == 99, other.contains(action), "{action}");
        }
    }
}
