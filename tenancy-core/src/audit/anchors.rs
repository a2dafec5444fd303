//! Where signed anchors are kept: outside of what they vouch for.

use std::{
    io::{BufRead as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use async_trait::async_trait;

use super::AuditError;

/// Keeps signed anchors of the trail's chains, each a line of text.
///
/// `tenancy-sqlx` keeps them in another database, with `PgAnchors`.
///
/// # Security
/// Whoever can rewrite the trail must not be able to rewrite these. A file on the database's own machine proves
/// nothing against its administrator.
#[async_trait]
pub trait AnchorStore: Send + Sync {
    /// Keeps anchors durably.
    ///
    /// # Errors
    /// An [`AuditError`] if they are not kept.
    async fn keep(&self, anchors: &[String]) -> Result<(), AuditError>;

    /// A page of what was kept, the oldest first: so many at most, from this [place](AnchorPage::next) on, which is 0 for the
    /// oldest. Nothing of a place that can't be read back, such as a log.
    ///
    /// # Errors
    /// An [`AuditError`] if they can't be read.
    async fn kept_from(&self, place: u64, limit: u32) -> Result<AnchorPage, AuditError>;

    /// All that was kept, the oldest first: for a verification. What is anchored is read in pages.
    ///
    /// # Errors
    /// An [`AuditError`] if they can't be read.
    async fn kept(&self) -> Result<Vec<String>, AuditError> {
        let (mut all, mut place) = (Vec::new(), 0);
        loop {
            let page = self.kept_from(place, PAGE).await?;
            if page.anchors.is_empty() {
                return Ok(all);
            }
            place = page.next;
            all.extend(page.anchors);
        }
    }
}

/// How many anchors are read at once.
pub(crate) const PAGE: u32 = 1_000;

/// Some of the anchors that a store has kept.
///
/// ```
/// use tenancy_core::AnchorPage;
///
/// let last = AnchorPage::default();
/// assert!(last.anchors.is_empty());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AnchorPage {
    /// The anchors; none behind the last.
    pub anchors: Vec<String>,
    /// The place behind them, which is the store's own to choose.
    pub next: u64,
}

impl AnchorPage {
    /// These anchors, and the place behind them.
    #[must_use]
    pub const fn new(anchors: Vec<String>, next: u64) -> Self {
        Self { anchors, next }
    }
}

/// Keeps anchors in a file, a line each, and adds to its end only.
///
/// ```
/// use tenancy_core::{AnchorFile, AnchorStore as _};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let path = std::env::temp_dir().join(format!("anchors-{}", std::process::id()));
/// let file = AnchorFile::new(&path);
/// file.keep(&["first".to_owned()]).await?;
/// file.keep(&["second".to_owned()]).await?;
/// assert_eq!(file.kept().await?, ["first", "second"]);
/// # std::fs::remove_file(path)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct AnchorFile {
    path: PathBuf,
}

impl AnchorFile {
    /// A file, which is made when the first anchor is kept.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, AuditError> {
        let path = self.path.clone();
        let named = move || {
            work(&path).map_err(|error| {
                let message = format!("the file of anchors `{}`: {error}", path.display());
                std::io::Error::new(error.kind(), message)
            })
        };
        let done = tokio::task::spawn_blocking(named).await;
        done.map_err(AuditError::new)?.map_err(AuditError::new)
    }
}

#[async_trait]
impl AnchorStore for AnchorFile {
    async fn keep(&self, anchors: &[String]) -> Result<(), AuditError> {
        let mut lines = anchors.join("\n");
        if lines.is_empty() {
            return Ok(());
        }
        lines.push('\n');
        self.run(move |path| {
            let mut file = std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)?;
            file.write_all(lines.as_bytes())?;
            file.sync_all()
        })
        .await
    }

    /// The place is a number of bytes. A file that is not there yet has none; [`kept`](AnchorStore::kept) fails then,
    /// because whoever verifies expects one.
    async fn kept_from(&self, place: u64, limit: u32) -> Result<AnchorPage, AuditError> {
        self.run(move |path| {
            let mut file = match std::fs::File::open(path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    return Ok(AnchorPage::default());
                }
                opened => opened?,
            };
            file.seek(std::io::SeekFrom::Start(place))?;
            let mut lines = std::io::BufReader::new(file);
            let mut page = AnchorPage::new(Vec::new(), place);
            let mut line = String::new();
            while page.anchors.len() < usize::try_from(limit).unwrap_or(usize::MAX) {
                line.clear();
                let bytes = lines.read_line(&mut line)?;
                if bytes == 0 {
                    break;
                }
                page.next += u64::try_from(bytes).unwrap_or(0);
                if !line.trim().is_empty() {
                    page.anchors.push(line.trim().to_owned());
                }
            }
            Ok(page)
        })
        .await
    }

    async fn kept(&self) -> Result<Vec<String>, AuditError> {
        self.run(|path| {
            let text = std::fs::read_to_string(path)?;
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            Ok(lines.map(str::to_owned).collect())
        })
        .await
    }
}

/// Writes anchors into the log: `tracing` events at `info` with the target `tenancy::anchors`.
///
/// What reads the log back is the application's. [`kept`](AnchorStore::kept) is empty.
///
/// ```
/// use tenancy_core::{AnchorLog, AnchorStore as _};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// AnchorLog.keep(&["eyJ0…".to_owned()]).await?;
/// assert!(AnchorLog.kept().await?.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct AnchorLog;

#[async_trait]
impl AnchorStore for AnchorLog {
    async fn keep(&self, anchors: &[String]) -> Result<(), AuditError> {
        for anchor in anchors {
            tracing::info!(target: "tenancy::anchors", %anchor, "the trail stands here");
        }
        Ok(())
    }

    async fn kept_from(&self, _place: u64, _limit: u32) -> Result<AnchorPage, AuditError> {
        Ok(AnchorPage::default())
    }
}
