//! That a secret which is logged ends the process, each tried in a process of its own.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a fault of the suite itself ends it"
)]

use std::{
    fmt::Write as _,
    process::{Command, Output},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tracing::{Level, field::Empty};
use tracing_subscriber::prelude::*;

/// Set in the process that logs; says how, and what.
const HOW: &str = "LOGWATCH_HOW";
const WHAT: &str = "LOGWATCH_WHAT";

const KEY: &str =
    "acme_live_01KAJN2V8QxT3mYc7RwZ5p_TestsTestsTestsTestsTestsTestsTestsTestsTes4Mmjpx";

const PEPPER: &str = "an \"onion\" that only the tests know";

const TOLD_OF: &str = "a secret was logged: what was told of, in the field";

/// What nobody told of: the kind that is reported, and the text.
fn by_shape() -> Vec<(&'static str, String)> {
    let token = format!("eyJhbGciOiJub25lIn0.eyJzdWIiOiI0MiJ9.{}", "A-_9".repeat(11));
    vec![
        ("an API key", KEY.to_owned()),
        ("an API key", format!("found\\n{KEY}")),
        ("a signed token", token.clone()),
        ("a bearer credential", format!("Bearer {token}")),
        (
            "a bearer credential",
            "authorization: bearer 0123456789abcdefghij".to_owned(),
        ),
        ("a private key", "-----BEGIN PRIVATE KEY-----".to_owned()),
        (
            "a private key",
            "-----BEGIN RSA PRIVATE KEY-----".to_owned(),
        ),
        (
            "an Argon2 hash",
            "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ".to_owned(),
        ),
        (
            "a password in a URL",
            "postgres://app:secret@localhost/notes".to_owned(),
        ),
        (
            "a password in a URL",
            "postgres://app:p@ss@localhost/notes".to_owned(),
        ),
    ]
}

/// [`PEPPER`] in the forms in which it could be written.
fn told_of() -> Vec<String> {
    let bytes = PEPPER.as_bytes();
    let mut hex = String::new();
    for byte in bytes {
        write!(hex, "{byte:02x}").unwrap();
    }
    vec![
        PEPPER.to_owned(),
        PEPPER.get(..16).unwrap().to_owned(),
        format!("{PEPPER:?}"),
        format!("b\"{}\"", bytes.escape_ascii()),
        "an%20%22onion%22%20that%20only%20the%20tests%20know".to_owned(),
        "an+%22onion%22+that+only+the+tests+know".to_owned(),
        hex.to_uppercase(),
        hex,
        STANDARD.encode(bytes),
        format!("{bytes:?}"),
    ]
}

/// What looks like one and is none, or is meant to be seen.
fn harmless() -> Vec<String> {
    vec![
        KEY.get(..33).unwrap().to_owned(),
        KEY.replace("Tests", "Tasts"),
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiI0MiJ9.".to_owned(),
        "Bearer realm=\"notes\"".to_owned(),
        "-----BEGIN PUBLIC KEY-----".to_owned(),
        "postgres://app@localhost/notes".to_owned(),
        "http://localhost:5432/a@b".to_owned(),
        "an \"onion\"".to_owned(),
    ]
}

type Way = (&'static str, fn(&str));

/// The ways to the log.
const WAYS: &[Way] = &[
    ("a message", |text| tracing::info!("before {text} after")),
    (
        "a field by Debug",
        |text| tracing::trace!(field = ?Wrapped(text)),
    ),
    ("a field by Display", |text| tracing::debug!(field = %text)),
    ("an error's source", |text| {
        let error = anyhow::anyhow!("{text}").context("refused");
        tracing::error!(error = AsRef::<dyn std::error::Error>::as_ref(&error));
    }),
    ("a span's field", |text| {
        drop(tracing::trace_span!("span", field = text))
    }),
    ("a field that a span gets later", |text| {
        let span = tracing::span!(Level::TRACE, "span", field = Empty);
        span.record("field", text);
    }),
    ("the facade `log`", |text| {
        log::trace!("before {text} after")
    }),
    ("a subscriber of the test's own", |text| {
        let own = tracing_subscriber::registry().with(tenancy_logwatch::layer());
        tracing::subscriber::with_default(own, || tracing::trace!("{text}"));
    }),
    ("a thread that nobody waits for", |text| {
        let text = text.to_owned();
        let (logs, logged) = std::sync::mpsc::channel::<()>();
        std::thread::spawn(move || {
            tracing::trace!("{text}");
            drop(logs);
        });
        // The process has to live until then; whether the thread lives on is not looked at.
        let _ = logged.recv();
    }),
];

/// Printed as a `Debug` that its author forgot about prints it.
struct Wrapped<'a>(&'a str);

impl std::fmt::Debug for Wrapped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

/// What stands before the part of a credential that nobody may see.
fn separator(credential: &str) -> char {
    if credential.starts_with("eyJ") {
        '.'
    } else {
        '_'
    }
}

/// Not a test by itself: what the others start.
#[test]
fn actor() {
    let (Ok(how), Ok(what)) = (std::env::var(HOW), std::env::var(WHAT)) else {
        return;
    };
    match how.as_str() {
        "told too late" => {
            tenancy_logwatch::watch();
            tracing::trace!("{what}");
            tenancy_logwatch::issued(PEPPER);
        }
        "a part of a credential" => {
            tenancy_logwatch::issued(&what);
            let (_, part) = what.rsplit_once(separator(&what)).unwrap();
            tracing::trace!("{}", part.get(..20).unwrap());
        }
        "a client's request" => {
            tenancy_logwatch::watch();
            log::trace!(target: "tungstenite::handshake::client", "{what}");
        }
        "a server's answer" => {
            tenancy_logwatch::watch();
            log::trace!(target: "tungstenite::handshake::server", "{what}");
        }
        "too short" => {
            tenancy_logwatch::issued(what);
        }
        "another subscriber" => {
            tracing_subscriber::registry().init();
            tenancy_logwatch::watch();
        }
        "looked away" => {
            tenancy_logwatch::look_away();
            tenancy_logwatch::issued(&what);
            tracing::error!("{what}");
        }
        way => {
            tenancy_logwatch::watch();
            tenancy_logwatch::issued(PEPPER);
            let (_, log) = WAYS.iter().find(|(name, _)| *name == way).unwrap();
            let seen = tenancy_logwatch::seen().lines;
            log(&what);
            assert!(tenancy_logwatch::seen().lines > seen, "nothing was logged");
        }
    }
}

fn act(how: &str, what: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "actor", "--nocapture"])
        .env(HOW, how)
        .env(WHAT, what)
        .output()
        .unwrap()
}

/// The process must have ended for this reason, and without saying what it found.
#[track_caller]
fn assert_ended(output: &Output, reason: &str, secret: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success(),
        "{reason}: {secret} was passed over"
    );
    assert!(
        said.contains(&format!("LOGWATCH: {reason}")),
        "{reason}: {secret}: {said}"
    );
    assert!(!said.contains(secret), "{reason}: {said}");
}

#[test]
fn a_secret_is_found_by_its_shape_on_every_way_to_the_log() {
    for (kind, text) in by_shape() {
        for (way, _) in WAYS {
            let reason = format!("a secret was logged: {kind}, in the field");
            assert_ended(&act(way, &text), &reason, &text);
        }
    }
}

#[test]
fn a_secret_that_was_told_of_is_found_in_every_form_on_every_way_to_the_log() {
    for text in told_of() {
        for (way, _) in WAYS {
            assert_ended(&act(way, &text), TOLD_OF, &text);
        }
    }
}

#[test]
fn a_secret_that_was_logged_before_it_was_told_of_is_found() {
    for text in told_of() {
        assert_ended(&act("told too late", &text), TOLD_OF, &text);
    }
}

#[test]
fn the_secret_part_of_a_credential_is_found_alone() {
    for (_, text) in by_shape() {
        if text.starts_with("acme_") || text.starts_with("eyJ") {
            let output = act("a part of a credential", &text);
            let (_, part) = text.rsplit_once(separator(&text)).unwrap();
            assert_ended(&output, TOLD_OF, part);
        }
    }
}

#[test]
fn what_is_no_secret_may_be_logged() {
    for text in harmless() {
        for (way, _) in WAYS {
            let output = act(way, &text);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{way}: {text}: {said}");
            let ran = String::from_utf8_lossy(&output.stdout);
            assert!(ran.contains("1 passed"), "{way}: {text}: {ran}");
        }
    }
}

#[test]
fn the_client_alone_may_log_its_request() {
    let output = act("a client's request", KEY);
    assert!(output.status.success(), "{output:?}");
    let output = act("a server's answer", KEY);
    assert_ended(
        &output,
        "a secret was logged: an API key, in the field",
        KEY,
    );
}

#[test]
fn a_watch_that_could_not_see_everything_is_none() {
    let other = act("another subscriber", "");
    assert_ended(&other, "the log can't be watched", "no secret");
    let short = act("too short", "7 bytes");
    assert_ended(
        &short,
        "a secret of 7 bytes can't be looked for",
        "7 bytes!",
    );
}

#[test]
fn a_program_that_is_no_test_can_have_its_log_left_alone() {
    let output = act("looked away", KEY);
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}
