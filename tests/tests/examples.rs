//! Each public type of the crates has an example, or is on a list that says why not.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Why a type has no example of its own.
#[derive(Debug, Clone, Copy)]
enum Excuse {
    /// An example of this type names it.
    ShownBy(&'static str),
    /// An example of this type has one, whose type it need not name.
    UsedBy(&'static str),
    /// Whoever writes an adapter names it, or a layer makes it. Applications do not.
    Adapters,
    /// Whoever writes a store names it. The stores in memory are the example.
    Stores,
}

use Excuse::{Adapters, ShownBy, Stores, UsedBy};

/// By crate and type.
const EXCUSED: &[(&str, &str, Excuse)] = &[
    ("tenancy-core", "AccountStore", Stores),
    ("tenancy-core", "Admitted", ShownBy("Admission")),
    ("tenancy-core", "AnchorStore", ShownBy("AnchorFile")),
    ("tenancy-core", "AnchorVerifier", ShownBy("AnchorSigner")),
    ("tenancy-core", "AuditDirectory", Stores),
    ("tenancy-core", "AuditTrail", Stores),
    ("tenancy-core", "ChainFault", UsedBy("ChainReport")),
    ("tenancy-core", "ChainFaultKind", UsedBy("ChainReport")),
    ("tenancy-core", "ChainHead", ShownBy("AnchorSigner")),
    ("tenancy-core", "LinkedEntry", ShownBy("TrailHandOver")),
    ("tenancy-core", "Pruned", Stores),
    ("tenancy-core", "TrailReceiver", ShownBy("TrailHandOver")),
    ("tenancy-core", "AuditTarget", ShownBy("AuditEntry")),
    ("tenancy-core", "Charge", ShownBy("Charger")),
    ("tenancy-core", "ChargeRequest", ShownBy("Charger")),
    ("tenancy-core", "Claim", Stores),
    ("tenancy-core", "ClaimRequest", Stores),
    ("tenancy-core", "ConsumerLag", UsedBy("Outbox")),
    ("tenancy-core", "CorsAnswer", Adapters),
    ("tenancy-core", "CorsDecision", Adapters),
    ("tenancy-core", "Credential", ShownBy("Authenticator")),
    ("tenancy-core", "DirectoryStore", Stores),
    ("tenancy-core", "DomainJoinStore", Stores),
    ("tenancy-core", "Entry", Stores),
    ("tenancy-core", "EachTenantReport", UsedBy("EachTenant")),
    ("tenancy-core", "EntryDirectory", ShownBy("Directory")),
    ("tenancy-core", "EventPage", Stores),
    ("tenancy-core", "Fields", Adapters),
    ("tenancy-core", "Node", Adapters),
    ("tenancy-core", "Placed", Adapters),
    ("tenancy-core", "Position", Adapters),
    ("tenancy-core", "Value", Adapters),
    ("tenancy-core", "Failure", Stores),
    ("tenancy-core", "FeedCursor", ShownBy("Directory")),
    ("tenancy-core", "FeedPage", ShownBy("Directory")),
    ("tenancy-core", "GenerationFeed", ShownBy("Directory")),
    ("tenancy-core", "HandedKey", Stores),
    ("tenancy-core", "HttpJwksFetcher", UsedBy("JwksHttpClient")),
    ("tenancy-core", "ImpersonationStore", Stores),
    ("tenancy-core", "InvitationStore", Stores),
    ("tenancy-core", "OperatorStore", Stores),
    ("tenancy-core", "IssuerDirectory", Stores),
    ("tenancy-core", "IssuerSource", ShownBy("StoredIssuers")),
    ("tenancy-core", "IssuerStore", Stores),
    ("tenancy-core", "KeyDigest", ShownBy("KeyHasher")),
    ("tenancy-core", "KeyDirectory", Stores),
    ("tenancy-core", "KeyHandover", Stores),
    ("tenancy-core", "KeyMatch", ShownBy("KeyHasher")),
    ("tenancy-core", "KeyRotation", Stores),
    ("tenancy-core", "KeyState", ShownBy("ApiKey")),
    ("tenancy-core", "KeyStore", Stores),
    ("tenancy-core", "KeyStoreDirectly", UsedBy("StoreDirectly")),
    ("tenancy-core", "KeyText", UsedBy("IssuedKey")),
    ("tenancy-core", "KeyVerifier", Stores),
    ("tenancy-core", "MemberHoldings", Stores),
    ("tenancy-core", "MembershipDirectory", ShownBy("Directory")),
    ("tenancy-core", "MembershipRemoval", Stores),
    ("tenancy-core", "MembershipStatus", ShownBy("Membership")),
    ("tenancy-core", "LimitOverrideDirectory", Stores),
    ("tenancy-core", "LimitOverrideStore", Stores),
    ("tenancy-core", "InvalidSubject", ShownBy("ExternalSubject")),
    ("tenancy-core", "MembershipStore", Stores),
    ("tenancy-core", "NewPasswordReset", Stores),
    ("tenancy-core", "PasswordReset", Stores),
    ("tenancy-core", "PasswordVerdict", ShownBy("Passwords")),
    ("tenancy-core", "PasswordResetStore", Stores),
    ("tenancy-core", "ProvisioningStore", Stores),
    ("tenancy-core", "UsedPasswordReset", Stores),
    ("tenancy-core", "Merge", Adapters),
    ("tenancy-core", "MintedToken", UsedBy("TokenMinter")),
    ("tenancy-core", "NameStore", Stores),
    ("tenancy-core", "OwnershipStore", Stores),
    ("tenancy-core", "Outcome", ShownBy("AuditEntry")),
    ("tenancy-core", "ParkedEvent", UsedBy("Outbox")),
    ("tenancy-core", "PendingAdmission", UsedBy("Admission")),
    ("tenancy-core", "PendingCors", Adapters),
    ("tenancy-core", "Pepper", ShownBy("HmacKeyHasher")),
    ("tenancy-core", "PermissionDecision", ShownBy("RoleTable")),
    (
        "tenancy-core",
        "PermissionRegistryBuilder",
        UsedBy("PermissionRegistry"),
    ),
    ("tenancy-core", "PresentedKey", ShownBy("KeyHasher")),
    ("tenancy-core", "ProjectDirectory", ShownBy("Directory")),
    ("tenancy-core", "PlanDirectory", Stores),
    ("tenancy-core", "PlanStore", Stores),
    ("tenancy-core", "ProjectStore", Stores),
    ("tenancy-core", "PublicMailDomain", UsedBy("VerifiedDomain")),
    ("tenancy-core", "Rejection", ShownBy("Authenticator")),
    ("tenancy-core", "RevocationStore", Stores),
    ("tenancy-core", "RoleDirectory", ShownBy("Directory")),
    ("tenancy-core", "RoleProblemKind", ShownBy("RoleProblem")),
    ("tenancy-core", "RoleStore", Stores),
    ("tenancy-core", "SeatDirectory", Stores),
    ("tenancy-core", "SecurityField", Adapters),
    ("tenancy-core", "Start", ShownBy("OutboxConsumerBuilder")),
    ("tenancy-core", "TenantDirectory", ShownBy("Directory")),
    ("tenancy-core", "TenantStore", Stores),
    (
        "tenancy-core",
        "TokenRevocationDirectory",
        ShownBy("Directory"),
    ),
    ("tenancy-core", "Verdict", ShownBy("Authenticator")),
    ("tenancy-sqlx", "Column", UsedBy("TableGraph")),
    ("tenancy-sqlx", "ColumnName", UsedBy("TableGraph")),
    ("tenancy-sqlx", "ConflictTarget", UsedBy("TableGraph")),
    ("tenancy-sqlx", "ConstraintText", UsedBy("TableGraph")),
    ("tenancy-sqlx", "ForeignKey", UsedBy("TableGraph")),
    ("tenancy-sqlx", "Function", UsedBy("TableGraph")),
    ("tenancy-sqlx", "Identity", UsedBy("TableGraph")),
    ("tenancy-sqlx", "Isolation", ShownBy("TxOptions")),
    ("tenancy-sqlx", "KeyName", UsedBy("TableGraph")),
    ("tenancy-sqlx", "Matching", UsedBy("TableGraph")),
    ("tenancy-sqlx", "Policy", UsedBy("TableGraph")),
    ("tenancy-sqlx", "PositionalInsert", UsedBy("TableGraph")),
    ("tenancy-sqlx", "Publication", UsedBy("TableGraph")),
    ("tenancy-sqlx", "PublishedTable", UsedBy("TableGraph")),
    ("tenancy-sqlx", "ReplicaStats", UsedBy("PoolStats")),
    (
        "tenancy-sqlx",
        "StatementOutcome",
        UsedBy("StatementRecord"),
    ),
    ("tenancy-sqlx", "Sequence", UsedBy("TableGraph")),
    ("tenancy-sqlx", "Step", UsedBy("TableGraph")),
    ("tenancy-sqlx", "Table", UsedBy("TableGraph")),
    ("tenancy-sqlx", "TableKind", UsedBy("TableGraph")),
    ("tenancy-sqlx", "TenantLoad", UsedBy("PoolStats")),
    ("tenancy-sqlx", "Trigger", UsedBy("TableGraph")),
    ("tenancy-sqlx", "UniqueKey", UsedBy("TableGraph")),
    ("tenancy-sqlx", "View", UsedBy("TableGraph")),
    ("tenancy-sqlx", "Way", UsedBy("TableGraph")),
    ("tenancy-usage", "FinishedRequest", ShownBy("RequestUsage")),
    ("tenancy-axum", "Readiness", Adapters),
    ("tenancy-actix", "Readiness", Adapters),
];

/// The examples of each type of a crate: those on it, and on its methods.
fn examples(krate: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::<_, (bool, String)>::new();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(krate)
        .join("src");
    for path in sources_below(&sources) {
        read(&fs::read_to_string(path).unwrap(), &mut found);
    }
    let public = found.into_iter().filter(|(_, (is_public, _))| *is_public);
    public
        .map(|(name, (_, examples))| (name, examples))
        .collect()
}

fn sources_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" && name != "conformance" {
            files.extend(sources_below(&path));
        } else if name.ends_with(".rs") && name != "tests.rs" && name != "conformance.rs" {
            files.push(path);
        }
    }
    files
}

/// Notes the types of a file: whether each is public, and its examples.
fn read(source: &str, found: &mut BTreeMap<String, (bool, String)>) {
    let (mut docs, mut within) = (String::new(), None);
    for line in source.lines() {
        if line == "mod tests {" {
            break;
        }
        let code = line.trim_start();
        if let Some(doc) = code.strip_prefix("///") {
            docs += doc;
            docs.push('\n');
        } else if let Some(name) = public_type(code) {
            let (is_public, examples) = found.entry(name).or_default();
            *is_public = true;
            *examples += &fenced(&docs);
            docs.clear();
        } else if line.starts_with("impl") && !line.contains(" for ") {
            within = implemented(line);
            docs.clear();
        } else if line.starts_with('}') {
            within = None;
            docs.clear();
        } else if code.starts_with("pub ")
            || code.starts_with("async fn")
            || code.starts_with("fn ")
        {
            if let Some(name) = &within {
                found.entry(String::clone(name)).or_default().1 += &fenced(&docs);
            }
            docs.clear();
        }
    }
}

fn public_type(code: &str) -> Option<String> {
    let kinds = ["pub struct ", "pub enum ", "pub trait "];
    let rest = kinds.iter().find_map(|kind| code.strip_prefix(kind))?;
    Some(name_at(rest))
}

/// The type that an `impl` without a trait is for.
fn implemented(line: &str) -> Option<String> {
    let rest = line.strip_prefix("impl")?;
    let rest = if rest.starts_with('<') {
        rest.split_once("> ")?.1
    } else {
        rest.trim_start()
    };
    Some(name_at(rest))
}

fn name_at(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// The code in documentation.
fn fenced(docs: &str) -> String {
    let blocks = docs.split("```").skip(1).step_by(2);
    let examples = blocks.filter(|block| !block.starts_with("text"));
    examples.collect::<Vec<_>>().concat()
}

/// Errors are shown where something returns them.
fn is_error(name: &str) -> bool {
    let ends = ["Error", "ErrorKind"];
    let begins = ["Invalid", "Bad", "Illegal", "Unknown"];
    ends.iter().any(|end| name.ends_with(end)) || begins.iter().any(|begin| name.starts_with(begin))
}

fn excuse(krate: &str, name: &str) -> Option<Excuse> {
    if krate == "tenancy-http" {
        return Some(Adapters);
    }
    let made_by_layers = ["Future", "Service", "Body"];
    let is_adapter = krate == "tenancy-axum" || krate == "tenancy-actix";
    if is_adapter && made_by_layers.iter().any(|end| name.ends_with(end)) {
        return Some(Adapters);
    }
    let listed = EXCUSED
        .iter()
        .find(|(of, listed, _)| *of == krate && *listed == name);
    listed.map(|(.., excuse)| *excuse)
}

#[test]
fn each_public_type_has_an_example_or_an_excuse() {
    let mut lacking = Vec::new();
    for krate in [
        "tenancy-core",
        "tenancy-sqlx",
        "tenancy-usage",
        "tenancy-http",
        "tenancy-axum",
        "tenancy-actix",
    ] {
        let examples = examples(krate);
        assert!(examples.len() > 9, "{krate} has public types");
        for (name, own) in &examples {
            // Of a macro, the source does not say the name.
            if name.is_empty() || !own.is_empty() || is_error(name) {
                continue;
            }
            match excuse(krate, name) {
                None => lacking.push(format!("{krate} {name}: no example")),
                Some(ShownBy(by)) => {
                    let shown = examples.get(by).is_some_and(|text| has_word(text, name));
                    if !shown {
                        lacking.push(format!("{krate} {name}: not in an example of {by}"));
                    }
                }
                Some(UsedBy(by)) => {
                    if examples.get(by).is_none_or(String::is_empty) {
                        lacking.push(format!("{krate} {name}: {by} has no example either"));
                    }
                }
                Some(Adapters | Stores) => {}
            }
        }
        for (of, name, _) in EXCUSED {
            if *of == krate && examples.get(*name).is_none_or(|own| !own.is_empty()) {
                lacking.push(format!("{krate} {name}: excused for nothing"));
            }
        }
    }
    assert!(
        lacking.is_empty(),
        "add an example, or say why there is none:\n{}",
        lacking.join("\n")
    );
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .any(|found| found == word)
}
