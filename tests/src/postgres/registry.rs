//! Remembers throw-away clusters, so that the test binaries of one launcher share one and nobody
//! has to tidy up after an interrupted run.

use std::{
    env, fs,
    fs::{DirBuilder, File, OpenOptions},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Binaries, Error, Launcher, account, account::Account, cleanup, cluster};

/// The throw-away clusters of one user, in a file that processes take turns to change.
#[derive(Clone, Debug)]
pub struct ClusterRegistry {
    dir: PathBuf,
    launcher: Launcher,
    special: cluster::Special,
}

/// Where a throw-away cluster is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunningCluster {
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// Everything it owns; the data is in `data` below, the log in `server.log`.
    pub dir: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    dir: PathBuf,
    binaries: PathBuf,
    launcher: Launcher,
    /// Absent until the server has come up, so that a half-made cluster is found and removed too.
    port: Option<u16>,
}

impl ClusterRegistry {
    /// The registry of this user, for clusters that live as long as [`Launcher::current`].
    ///
    /// # Errors
    ///
    /// When there is no launcher, or the registry's directory belongs to somebody else.
    pub fn new() -> Result<Self, Error> {
        let uid = account::effective_uid()?;
        Self::at(
            &env::temp_dir().join(format!("tenancy-tests-{uid}")),
            Launcher::current()?,
        )
    }

    /// A registry in another directory, for clusters that live as long as `launcher`.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made, or belongs to somebody else.
    pub fn at(dir: &Path, launcher: Launcher) -> Result<Self, Error> {
        let what = || format!("cannot use {} as the cluster registry", dir.display());
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(Error::io(what()))?;
        // What is in there says which directories to delete, and its name can be guessed.
        let found = fs::symlink_metadata(dir).map_err(Error::io(what()))?;
        if !found.is_dir() || found.uid() != account::effective_uid()? {
            return Err(Error::Unavailable {
                what: format!("a cluster registry of our own in {}", dir.display()),
                mend: "remove that directory, or set TMPDIR".into(),
            });
        }
        Ok(Self {
            dir: dir.to_owned(),
            launcher,
            special: cluster::Special::default(),
        })
    }

    /// Gives the clusters that are made from now on these lines of configuration too.
    #[must_use]
    pub fn with_settings(mut self, settings: &'static str) -> Self {
        self.special.settings = settings;
        self
    }

    /// Makes standbys of the server at this port of 127.0.0.1, which has to be of the same version.
    #[must_use]
    pub fn standby_of(mut self, primary: u16) -> Self {
        self.special.standby_of = Some(primary);
        self
    }

    /// Makes the standby from this directory, whose server is at rest.
    #[must_use]
    pub fn copied_from(mut self, data: PathBuf) -> Self {
        self.special.copied_from = Some(data);
        self
    }

    /// The cluster of this launcher and these binaries; made if there is none that answers.
    ///
    /// Clusters whose launcher has ended are removed first.
    ///
    /// # Errors
    ///
    /// When the launcher has ended, or the cluster cannot be made; then the message holds what
    /// PostgreSQL wrote.
    pub fn acquire(&self, binaries: &Binaries) -> Result<RunningCluster, Error> {
        let _turn = self.lock()?;
        self.require_launcher()?;
        let mut kept = Vec::new();
        let mut found = None;
        for entry in self.load() {
            let ours = entry.launcher == self.launcher && entry.binaries == binaries.dir();
            match entry.port {
                Some(port) if ours && cluster::answers(port) => {
                    found = Some(RunningCluster {
                        port,
                        dir: entry.dir.clone(),
                    });
                }
                _ if !ours && entry.launcher.is_alive() => {}
                _ => {
                    cleanup::reap(&entry.dir)?;
                    continue;
                }
            }
            kept.push(entry);
        }
        self.save(&kept)?;
        match found {
            Some(cluster) => Ok(cluster),
            None => self.create(binaries, kept),
        }
    }

    fn create(&self, binaries: &Binaries, mut all: Vec<Entry>) -> Result<RunningCluster, Error> {
        let account = Account::choose()?;
        let dir = cluster::directory(account)?;
        let entry = |port| Entry {
            dir: dir.clone(),
            binaries: binaries.dir().to_owned(),
            launcher: self.launcher.clone(),
            port,
        };
        // Both nets are spread before there is anything to catch.
        all.push(entry(None));
        self.save(&all)?;
        cleanup::watch(&dir, &self.launcher)?;

        let started = cluster::start(&dir, binaries, account, &self.special)
            .and_then(|port| self.require_launcher().map(|()| port));
        all.pop();
        match started {
            Ok(port) => {
                all.push(entry(Some(port)));
                self.save(&all)?;
                Ok(RunningCluster { port, dir })
            }
            Err(error) => {
                cleanup::reap(&dir)?;
                self.save(&all)?;
                Err(error)
            }
        }
    }

    /// Whoever outlives the launcher must not make what would outlive them both.
    fn require_launcher(&self) -> Result<(), Error> {
        if self.launcher.is_alive() {
            return Ok(());
        }
        Err(Error::Unavailable {
            what: "the process that a throw-away cluster should live as long as".into(),
            mend: "run the tests again".into(),
        })
    }

    fn lock(&self) -> Result<File, Error> {
        let path = self.dir.join("lock");
        let what = format!("cannot lock {}", path.display());
        OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path)
            .and_then(|file| file.lock().map(|()| file))
            .map_err(Error::io(what))
    }

    /// An unreadable list is an empty one: the cleaners know their directories without it.
    fn load(&self) -> Vec<Entry> {
        fs::read(self.list())
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    fn save(&self, entries: &[Entry]) -> Result<(), Error> {
        let path = self.list();
        let next = path.with_extension("next");
        serde_json::to_vec_pretty(entries)
            .map_err(Into::into)
            .and_then(|bytes| fs::write(&next, bytes))
            .and_then(|()| fs::rename(&next, &path))
            .map_err(Error::io(format!("cannot write {}", path.display())))
    }

    fn list(&self) -> PathBuf {
        self.dir.join("clusters.json")
    }
}
