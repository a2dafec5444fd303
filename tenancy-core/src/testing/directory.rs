//! A directory that can be watched, switched off, and made to wait.

mod keys;
mod stores;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::{
    Directory, DirectoryError, EntryDirectory, FeedCursor, FeedPage, GenerationFeed, Membership,
    MembershipDirectory, MemoryDirectory, Project, ProjectDirectory, ProjectId, RevokedBefore,
    RoleDefinition, RoleDirectory, RoleName, Stores, TenantDirectory, TenantId, TenantKey,
    TenantRecord, TokenRevocationDirectory, TokenSubject, UserId,
};

/// What a failing directory says: fit for a log, and not for a response.
const OUTAGE: &str = "connection to 10.1.2.3:5432 as tenancy_app was reset";

/// A [`MemoryDirectory`] whose answers can be counted, withheld and turned into errors: to see what
/// a service does when its directory is slow or gone.
///
/// Writes go through, but for last uses of API keys and their digests; clones share everything.
///
/// ```
/// use tenancy_core::{MemoryDirectory, TenantDirectory, TenantId, testing::SwitchedDirectory};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let directory = SwitchedDirectory::new(MemoryDirectory::new());
/// directory.fail(true);
/// assert!(directory.find_tenant(&TenantId::new().into()).await.is_err());
/// assert_eq!(directory.questions(), 1);
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct SwitchedDirectory(Arc<Inner>);

struct Inner {
    directory: MemoryDirectory,
    down: AtomicBool,
    silent: AtomicBool,
    only_news: AtomicBool,
    hides_news: AtomicBool,
    pages: AtomicUsize,
    whole_pages: AtomicUsize,
    holds_writes: AtomicBool,
    open: watch::Sender<bool>,
    /// How far the feed's cursors lie behind the directory's.
    behind: AtomicU64,
    /// The number of the question whose answer is held back.
    held: watch::Sender<Option<usize>>,
    news_held: watch::Sender<bool>,
    origin: watch::Sender<String>,
    mistaken: watch::Sender<Option<TenantRecord>>,
    questions: AtomicUsize,
    uses_written: AtomicUsize,
}

impl SwitchedDirectory {
    /// Stands before a directory and lets everything through.
    #[must_use]
    pub fn new(directory: MemoryDirectory) -> Self {
        Self(Arc::new(Inner {
            directory,
            down: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            only_news: AtomicBool::new(false),
            hides_news: AtomicBool::new(false),
            pages: AtomicUsize::new(0),
            whole_pages: AtomicUsize::new(0),
            holds_writes: AtomicBool::new(false),
            open: watch::Sender::new(true),
            behind: AtomicU64::new(0),
            held: watch::Sender::new(None),
            news_held: watch::Sender::new(false),
            origin: watch::Sender::new(String::new()),
            mistaken: watch::Sender::new(None),
            questions: AtomicUsize::new(0),
            uses_written: AtomicUsize::new(0),
        }))
    }

    /// The directory behind it.
    #[must_use]
    pub fn directory(&self) -> &MemoryDirectory {
        &self.0.directory
    }

    /// Whether every question is answered by an error, the feed's included.
    pub fn fail(&self, fail: bool) {
        self.0.down.store(fail, Ordering::Relaxed);
    }

    /// Whether the feed alone is answered by an error.
    pub fn silence_feed(&self, silent: bool) {
        self.0.silent.store(silent, Ordering::Relaxed);
    }

    /// Whether every question is answered by an error, and the feed as ever.
    pub fn fail_questions(&self, fail: bool) {
        self.0.only_news.store(fail, Ordering::Relaxed);
    }

    /// Whether the feed says that nothing has changed, whatever has: as for a change that no trigger
    /// saw. Asked without a cursor it tells every token revocation all the same.
    pub fn hide_news(&self, hide: bool) {
        self.0.hides_news.store(hide, Ordering::Relaxed);
    }

    /// How often the feed was asked.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.0.pages.load(Ordering::SeqCst)
    }

    /// How often the feed was asked without a cursor, and so for every token revocation.
    #[must_use]
    pub fn whole_pages(&self) -> usize {
        self.0.whole_pages.load(Ordering::Relaxed)
    }

    /// From now on another directory answers the feed, which counts its changes from where it likes.
    pub fn move_to(&self, origin: &str) {
        self.0.origin.send_replace(origin.to_owned());
    }

    /// From now on every tenant that is found is answered with this record, as by a store that compares
    /// loosely.
    pub fn mistake_all_for(&self, tenant: &TenantRecord) {
        self.0.mistaken.send_replace(Some(tenant.clone()));
    }

    /// Whether what the feed says is held back: it is looked up, and told once this is false again.
    /// What changes meanwhile is not in it.
    pub fn hold_news(&self, hold: bool) {
        self.0.news_held.send_replace(hold);
    }

    /// From now on the feed counts from zero, as a directory does that was restored elsewhere.
    pub async fn count_anew(&self) {
        if let Ok(page) = self.0.directory.changes_since(None).await {
            self.0.behind.store(page.cursor.number, Ordering::SeqCst);
        }
    }

    /// Whether a change of status or of a token revocation is made and never answered, as when the network is lost.
    pub fn hold_answers_to_writes(&self, hold: bool) {
        self.0.holds_writes.store(hold, Ordering::Relaxed);
    }

    /// From now on questions wait.
    pub fn close(&self) {
        self.0.open.send_replace(false);
    }

    /// Answers those that wait, and all after them.
    pub fn open(&self) {
        self.0.open.send_replace(true);
    }

    /// Holds the answer to one question back, that with the number `after` behind those that
    /// [`questions`](Self::questions) counts so far: it is looked up, and told when
    /// [`tell`](Self::tell) says so. What changes meanwhile is not in it.
    pub fn hold_answer(&self, after: usize) {
        self.0.held.send_replace(Some(self.questions() + after));
    }

    /// Tells the answer that was held back.
    pub fn tell(&self) {
        self.0.held.send_replace(None);
    }

    /// How many questions have been asked; asking the feed is not counted.
    #[must_use]
    pub fn questions(&self) -> usize {
        self.0.questions.load(Ordering::SeqCst)
    }

    /// How many times last uses of API keys have been written.
    #[must_use]
    pub fn uses_written(&self) -> usize {
        self.0.uses_written.load(Ordering::SeqCst)
    }

    /// Looks something up, and tells it unless this answer is held back.
    async fn ask<T, F>(&self, look_up: F) -> Result<T, DirectoryError>
    where
        F: AsyncFnOnce(&MemoryDirectory) -> Result<T, DirectoryError>,
    {
        let number = self.0.questions.fetch_add(1, Ordering::SeqCst);
        let directory = self.passed().await?;
        if self.0.only_news.load(Ordering::Relaxed) {
            return Err(DirectoryError::new(OUTAGE));
        }
        let answer = look_up(directory).await;
        let mut held = self.0.held.subscribe();
        let _ = held.wait_for(|held| *held != Some(number)).await;
        answer
    }

    async fn passed(&self) -> Result<&MemoryDirectory, DirectoryError> {
        let mut open = self.0.open.subscribe();
        let _ = open.wait_for(|open| *open).await;
        if self.0.down.load(Ordering::Relaxed) {
            return Err(DirectoryError::new(OUTAGE));
        }
        Ok(&self.0.directory)
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SwitchedDirectory").finish_non_exhaustive()
    }
}

#[async_trait]
impl TenantDirectory for SwitchedDirectory {
    async fn find_tenant(&self, key: &TenantKey) -> Result<Option<TenantRecord>, DirectoryError> {
        let found = self.ask(async |inner| inner.find_tenant(key).await).await?;
        let mistaken = self.0.mistaken.borrow().clone();
        Ok(found.map(|tenant| mistaken.unwrap_or(tenant)))
    }
}

#[async_trait]
impl MembershipDirectory for SwitchedDirectory {
    async fn find_membership(
        &self,
        tenant: TenantId,
        user: UserId,
    ) -> Result<Option<Membership>, DirectoryError> {
        self.ask(async |inner| inner.find_membership(tenant, user).await)
            .await
    }
}

#[async_trait]
impl ProjectDirectory for SwitchedDirectory {
    async fn find_project(
        &self,
        tenant: TenantId,
        project: ProjectId,
    ) -> Result<Option<Project>, DirectoryError> {
        self.ask(async |inner| inner.find_project(tenant, project).await)
            .await
    }

    async fn find_project_role(
        &self,
        tenant: TenantId,
        project: ProjectId,
        user: UserId,
    ) -> Result<Option<RoleName>, DirectoryError> {
        self.passed()
            .await?
            .find_project_role(tenant, project, user)
            .await
    }
}

#[async_trait]
impl RoleDirectory for SwitchedDirectory {
    async fn find_roles(&self, tenant: TenantId) -> Result<Vec<RoleDefinition>, DirectoryError> {
        self.ask(async |inner| inner.find_roles(tenant).await).await
    }
}

/// One by one: each is a question of its own.
impl EntryDirectory for SwitchedDirectory {}

impl Directory for SwitchedDirectory {
    fn stores(self: Arc<Self>) -> Stores {
        let directory = || self.0.directory.clone();
        let stores = Stores::of(&self).audit(directory());
        stores
            .ownership(directory())
            .domain_joins(directory())
            .invitations(directory())
            .issuers(directory())
            .plans(directory())
            .limit_overrides(directory())
            .provisioning(directory())
            .accounts(directory())
            .password_resets(directory())
    }
}

#[async_trait]
impl TokenRevocationDirectory for SwitchedDirectory {
    async fn find_token_revocation(
        &self,
        of: &[TokenSubject],
    ) -> Result<RevokedBefore, DirectoryError> {
        self.ask(async |directory| directory.find_token_revocation(of).await)
            .await
    }
}

#[async_trait]
impl GenerationFeed for SwitchedDirectory {
    async fn changes_since(&self, cursor: Option<FeedCursor>) -> Result<FeedPage, DirectoryError> {
        if self.0.silent.load(Ordering::Relaxed) {
            return Err(DirectoryError::new(OUTAGE));
        }
        self.0.pages.fetch_add(1, Ordering::SeqCst);
        if cursor.is_none() {
            self.0.whole_pages.fetch_add(1, Ordering::Relaxed);
        }
        let behind = self.0.behind.load(Ordering::SeqCst);
        let is_next = cursor.is_some();
        let cursor = cursor.map(|seen| FeedCursor::at(seen.number.saturating_add(behind)));
        let mut page = self.passed().await?.changes_since(cursor).await?;
        page.cursor.number = page.cursor.number.saturating_sub(behind);
        page.origin.clone_from(&self.0.origin.borrow());
        if is_next && self.0.hides_news.load(Ordering::Relaxed) {
            page.changed.clear();
            page.token_revocations.clear();
        }
        let mut held = self.0.news_held.subscribe();
        let _ = held.wait_for(|held| !held).await;
        Ok(page)
    }
}
