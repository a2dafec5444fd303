//! The keys of anchors, and where anchors are kept.

use std::{fs, path::PathBuf};

use clap::Args;
use tenancy_core::{
    AnchorFile, AnchorStore,
    jwt::{Algorithm, KeyError, SigningKey, VerificationKey},
};
use tenancy_sqlx::PgAnchors;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// The algorithms of anchors. A key in PEM says itself which one it is for.
const ALGORITHMS: [Algorithm; 2] = [Algorithm::EdDSA, Algorithm::ES256];

/// A file with a key, and the key's id.
#[derive(Debug, Clone)]
pub(super) struct KeyFile {
    id: Option<String>,
    path: PathBuf,
}

/// Reads `FILE`, or `ID=FILE`.
pub(super) fn key_file(text: &str) -> Result<KeyFile, &'static str> {
    let (id, path) = match text.split_once('=') {
        Some((id, path)) => (Some(id.to_owned()), path),
        None => (None, text),
    };
    if path.is_empty() || id.as_ref().is_some_and(String::is_empty) {
        return Err("expected a file, or the id of the key and a file: `2027=anchors.pem`");
    }
    Ok(KeyFile {
        id,
        path: path.into(),
    })
}

impl KeyFile {
    fn read(&self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let read = fs::read(&self.path).map(Zeroizing::new);
        read.map_err(|error| Failure::Told(format!("the key `{}`: {error}", self.path.display())))
    }

    fn failure(&self, error: &KeyError) -> Failure {
        Failure::Told(format!("the key `{}`: {error}", self.path.display()))
    }

    /// The private key that signs anchors.
    pub(super) fn signing(&self) -> Result<SigningKey, Failure> {
        let pem = self.read()?;
        let key = first(|algorithm| SigningKey::pem(algorithm, &*pem));
        let key = key.map_err(|error| self.failure(&error))?;
        Ok(match &self.id {
            Some(id) => key.with_id(id),
            None => key,
        })
    }

    /// The public key that verifies anchors.
    pub(super) fn verifying(&self) -> Result<VerificationKey, Failure> {
        let pem = self.read()?;
        let key = first(|algorithm| VerificationKey::pem(algorithm, &*pem));
        let key = key.map_err(|error| self.failure(&error))?;
        Ok(match &self.id {
            Some(id) => key.with_id(id),
            None => key,
        })
    }
}

/// The key of whichever algorithm it is for; else why it is none of the first.
fn first<K>(read: impl Fn(Algorithm) -> Result<K, KeyError>) -> Result<K, KeyError> {
    let [first, second] = ALGORITHMS;
    read(first).or_else(|error| read(second).map_err(|_| error))
}

/// The other database, in which anchors are kept.
#[derive(Debug, Args)]
pub(super) struct Elsewhere {
    /// The other database, in which anchors are kept: `postgres://anchors@vault/anchors`
    #[arg(
        long,
        value_name = "URL",
        env = "TENANCY_ANCHORS_DATABASE_URL",
        hide_env_values = true
    )]
    anchors_database_url: Option<String>,
}

impl Elsewhere {
    /// Connects to the other database.
    pub(super) async fn open(&self) -> Result<PgAnchors, Failure> {
        let url = self.anchors_database_url.as_deref();
        let url = url.filter(|url| !url.trim().is_empty()).ok_or_else(|| {
            Failure::told(
                "no database of anchors: give its URL in the variable TENANCY_ANCHORS_DATABASE_URL or by \
                 --anchors-database-url",
            )
        })?;
        let opened = PgAnchors::connect(url).await;
        opened.map_err(|error| Failure::Told(format!("the database of anchors: {}", cause(&error))))
    }
}

/// All anchors that are kept in a place, the oldest first.
pub(super) async fn kept(store: &dyn AnchorStore, place: &str) -> Result<Vec<String>, Failure> {
    let kept = store.kept().await;
    let kept = kept.map_err(|error| Failure::Told(cause(&error)))?;
    if kept.is_empty() {
        return Err(Failure::Told(format!(
            "no anchors are in {place}; without them nothing was compared"
        )));
    }
    Ok(kept)
}

/// The file of anchors.
pub(super) fn file(path: &PathBuf) -> AnchorFile {
    AnchorFile::new(path)
}

/// What lies behind an error of the trail, in its own words.
pub(super) fn cause(error: &dyn std::error::Error) -> String {
    error
        .source()
        .map_or_else(|| error.to_string(), ToString::to_string)
}
