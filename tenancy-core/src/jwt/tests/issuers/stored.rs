//! Issuers that a source knows: found, kept, renewed and removed, with many processes in mind.

mod floods;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::watch;

use super::{
    super::super::{IssuerSource, JwtConfigErrorKind, StoredIssuers},
    *,
};
use crate::LookupError;

const SECOND: Duration = Duration::from_secs(1);

/// What the table has about an issuer.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    issuer: String,
    /// Whether its key is that of the good tokens.
    genuine: bool,
}

/// A table that every process sees; clones are the same one.
#[derive(Debug, Clone)]
struct Table(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    rows: Mutex<HashMap<String, Row>>,
    asked: AtomicUsize,
    built: AtomicUsize,
    open: watch::Sender<bool>,
    down: watch::Sender<bool>,
}

impl Table {
    fn empty() -> Self {
        Self(Arc::new(Inner {
            rows: Mutex::default(),
            asked: AtomicUsize::new(0),
            built: AtomicUsize::new(0),
            open: watch::Sender::new(true),
            down: watch::Sender::new(false),
        }))
    }

    /// Has the good tokens' issuer.
    fn with_issuer() -> Self {
        let table = Self::empty();
        table.put(ISSUER, true);
        table
    }

    fn put(&self, issuer: &str, genuine: bool) {
        let row = Row {
            issuer: issuer.to_owned(),
            genuine,
        };
        self.0.rows.lock().unwrap().insert(issuer.to_owned(), row);
    }

    fn remove(&self) {
        self.0.rows.lock().unwrap().clear();
    }

    fn asked(&self) -> usize {
        self.0.asked.load(Ordering::SeqCst)
    }

    fn built(&self) -> usize {
        self.0.built.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl IssuerSource for Table {
    type Record = Row;

    async fn find_issuer(&self, issuer: &str) -> Result<Option<Row>, LookupError> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        let mut open = self.0.open.subscribe();
        let _ = open.wait_for(|open| *open).await;
        if *self.0.down.borrow() {
            return Err(LookupError::new("connection refused"));
        }
        // As loosely as a collation without regard to case.
        let rows = self.0.rows.lock().unwrap();
        Ok(rows.get(&issuer.to_lowercase()).cloned())
    }

    fn authenticator(&self, _: &str, row: &Row) -> Result<JwtAuthenticator, LookupError> {
        self.0.built.fetch_add(1, Ordering::SeqCst);
        let key = match row.genuine {
            true => keys::verifier(Algorithm::HS256),
            false => VerificationKey::hmac(Algorithm::HS256, [7; 32]).unwrap(),
        };
        let tokens = JwtAuthenticator::builder(&row.issuer, AUDIENCE).key(key);
        tokens.build().map_err(LookupError::new)
    }
}

/// A process of the service, with a time that the test moves.
struct Process {
    issuers: StoredIssuers<Table>,
    now: Timestamp,
}

impl Process {
    fn over(table: &Table) -> Self {
        let issuers = StoredIssuers::new(table.clone());
        Self {
            issuers,
            now: now(),
        }
    }

    fn after(&mut self, span: Duration) {
        self.now = self.now + span;
    }

    /// What is said in the end, as the engine asks: `unavailable` for an error.
    async fn says(&self, token: &str) -> &'static str {
        let credential = Credential::new(token);
        let mut verdict = self.issuers.probe(credential, self.now);
        if matches!(verdict, Verdict::NeedsLookup) {
            match self.issuers.verify(credential, self.now).await {
                Ok(answer) => verdict = answer,
                Err(_) => return "unavailable",
            }
        }
        match verdict {
            Verdict::Verified(_) => "accepted",
            Verdict::Rejected(rejection) => rejection.reason(),
            Verdict::NotMine => "not-mine",
            Verdict::NeedsLookup => "needs-lookup",
        }
    }
}

fn good() -> String {
    hs256(HEADER, claims().to_string())
}

fn of(issuer: &str) -> String {
    posing_as(json!(issuer))
}

#[tokio::test]
async fn what_one_process_registers_the_others_find() {
    let table = Table::empty();
    let (registering, mut other) = (Process::over(&table), Process::over(&table));
    for process in [&registering, &other] {
        assert_eq!(process.says(&good()).await, "not-mine");
    }
    table.put(ISSUER, true);
    registering.issuers.forget();
    assert_eq!(registering.says(&good()).await, "accepted");
    assert_eq!(other.says(&good()).await, "not-mine");
    other.after(10 * SECOND);
    assert_eq!(other.says(&good()).await, "accepted");
}

#[tokio::test]
async fn an_issuer_is_asked_about_once_and_then_again_when_it_is_old() {
    let table = Table::with_issuer();
    let mut process = Process::over(&table);
    for _ in 0..3 {
        assert_eq!(process.says(&good()).await, "accepted");
    }
    process.after(29 * SECOND);
    assert_eq!(process.says(&good()).await, "accepted");
    assert_eq!((table.asked(), table.built()), (1, 1));
    process.after(SECOND);
    assert_eq!(process.says(&good()).await, "accepted");
    // Asked again, and not built again: it would have lost its keys and remembered tokens.
    assert_eq!((table.asked(), table.built()), (2, 1));
    process.issuers.forget();
    assert_eq!(process.says(&good()).await, "accepted");
    assert_eq!((table.asked(), table.built()), (3, 1));
}

#[tokio::test]
async fn a_removed_issuer_takes_its_remembered_tokens_along() {
    let table = Table::with_issuer();
    let (mut late, at_once) = (Process::over(&table), Process::over(&table));
    for process in [&late, &at_once] {
        assert_eq!(process.says(&good()).await, "accepted");
    }
    table.remove();
    at_once.issuers.forget();
    assert_eq!(at_once.says(&good()).await, "not-mine");
    assert_eq!(late.says(&good()).await, "accepted");
    late.after(30 * SECOND);
    assert_eq!(late.says(&good()).await, "not-mine");
}

#[tokio::test]
async fn a_changed_record_is_another_authenticator() {
    let table = Table::with_issuer();
    let process = Process::over(&table);
    assert_eq!(process.says(&good()).await, "accepted");
    table.put(ISSUER, false);
    process.issuers.forget();
    assert_eq!(process.says(&good()).await, "token-signature");
    assert_eq!(table.built(), 2);
}

#[tokio::test]
async fn a_source_that_is_down_is_unavailable_and_never_nobody() {
    let table = Table::with_issuer();
    let mut process = Process::over(&table);
    table.0.down.send_replace(true);
    assert_eq!(process.says(&good()).await, "unavailable");
    table.0.down.send_replace(false);
    assert_eq!(process.says(&good()).await, "accepted");
    table.0.down.send_replace(true);
    assert_eq!(process.says(&good()).await, "accepted", "from memory");
    process.after(30 * SECOND);
    // It may have been removed meanwhile.
    assert_eq!(process.says(&good()).await, "unavailable");
    let token = good();
    let asked = process.issuers.verify(Credential::new(&token), process.now);
    let error = asked.await.unwrap_err().to_string();
    assert_eq!(error, LookupError::new("connection refused").to_string());
    table.0.down.send_replace(false);
    assert_eq!(process.says(&good()).await, "accepted");
    assert_eq!(table.built(), 1);
}

#[tokio::test]
async fn a_record_that_is_good_for_nothing_is_unavailable() {
    let table = Table::with_issuer();
    let row = Row {
        issuer: String::new(),
        genuine: true,
    };
    table.0.rows.lock().unwrap().insert(ISSUER.into(), row);
    assert_eq!(Process::over(&table).says(&good()).await, "unavailable");
}

#[tokio::test]
async fn a_name_that_nobody_could_have_is_not_asked_about() {
    let table = Table::with_issuer();
    let process = Process::over(&table);
    for name in [
        String::new(),
        "x".repeat(513),
        format!("{ISSUER}\0"),
        format!("{ISSUER}\n"),
    ] {
        assert_eq!(process.says(&of(&name)).await, "not-mine", "{name:?}");
    }
    for text in ["", "x", "x.y.z", "Basic x"] {
        assert_ne!(process.says(text).await, "accepted", "{text:?}");
    }
    assert_eq!(table.asked(), 0);
    assert_eq!(process.says(&of(&"x".repeat(512))).await, "not-mine");
    assert_eq!(table.asked(), 1);
}

#[tokio::test]
async fn an_issuer_is_found_by_its_own_name_alone() {
    let table = Table::with_issuer();
    let mut process = Process::over(&table);
    // The table finds it, and it is another text.
    let shouted = ISSUER.to_uppercase();
    for _ in 0..2 {
        assert_eq!(process.says(&of(&shouted)).await, "not-mine");
    }
    assert_eq!(table.asked(), 1);
    // It is held as nobody's, for as long as that is believed.
    process.after(10 * SECOND);
    assert_eq!(process.says(&of(&shouted)).await, "not-mine");
    assert_eq!(table.asked(), 2);
    for near in [format!("{ISSUER}/"), format!(" {ISSUER}")] {
        assert_eq!(process.says(&of(&near)).await, "not-mine", "{near}");
    }
    assert_eq!(process.says(&good()).await, "accepted");
}

#[test]
fn an_age_out_of_its_bounds_is_refused() {
    let with = |age| StoredIssuers::new(Table::empty()).max_age(age);
    for age in [Duration::ZERO, 601 * SECOND] {
        let refused = with(age).unwrap_err();
        assert_eq!(refused.kind(), JwtConfigErrorKind::RemoteTiming);
    }
    assert!(with(SECOND).is_ok() && with(600 * SECOND).is_ok());
}
