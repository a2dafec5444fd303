//! The directory of a spool, and its files.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use tenancy_core::ConfigError;

const LOCK: &str = "lock";
const REFUSED: &str = "refused.jsonl";
const ENDING: &str = ".usage";
const DAMAGED: &str = "damaged-";

/// A directory that this process owns.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    lock: File,
}

/// What was in a directory.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// The length of each file that waits to be sent, by its number.
    pub(super) segments: BTreeMap<u64, u64>,
    /// A number that no file has.
    pub(super) next: u64,
    /// How many bytes are kept for people.
    pub(super) kept: u64,
}

impl Directory {
    /// Makes the directory if it is not there, and takes it.
    pub(super) fn open(path: PathBuf) -> Result<Self, ConfigError> {
        let error = |what: &str, error: &dyn std::fmt::Display| {
            ConfigError::new(format!(
                "the directory `{}` of the usage spool {what}: {error}; give it a directory that it may write",
                path.display()
            ))
        };
        make(&path).map_err(|it| error("can't be made", &it))?;
        let lock = writable()
            .create(true)
            .truncate(false)
            .open(path.join(LOCK));
        let lock = lock.map_err(|it| error("can't be written", &it))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, lock }),
            Err(TryLockError::WouldBlock) => Err(ConfigError::new(format!(
                "another process owns the directory `{}` of the usage spool; give each process one of its own, or wait until \
                 the other has ended",
                path.display()
            ))),
            Err(TryLockError::Error(it)) => Err(error("can't be locked", &it)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Another process may take it.
    pub(super) fn release(&self) {
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, "the directory of the usage spool stays locked until this process ends");
        }
    }

    pub(super) fn contents(&self) -> io::Result<Contents> {
        let mut contents = Contents::default();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let length = entry.metadata()?.len();
            if name == REFUSED {
                contents.kept += length;
            } else if let Some(number) = name.strip_prefix(DAMAGED).and_then(number) {
                contents.kept += length;
                contents.next = contents.next.max(number + 1);
            } else if let Some(number) = number(name) {
                contents.segments.insert(number, length);
                contents.next = contents.next.max(number + 1);
            }
        }
        Ok(contents)
    }

    /// Makes a file, whose name the disk has for sure.
    pub(super) fn create(&self, number: u64) -> io::Result<File> {
        let file = writable().create_new(true).open(self.file(number))?;
        if let Err(error) = self.sync_names() {
            // Nobody knows of it until the next start.
            let _ = self.remove(number);
            return Err(error);
        }
        Ok(file)
    }

    /// Whether a file has its name yet: what is written to one that was removed is written for nobody.
    pub(super) fn has(&self, number: u64) -> bool {
        self.file(number).exists()
    }

    /// Bytes of a file: those from here to there.
    pub(super) fn read(&self, number: u64, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.file(number))?;
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(to.saturating_sub(from)).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn remove(&self, number: u64) -> io::Result<()> {
        match fs::remove_file(self.file(number)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Gives a file another name, so that it stays and is not sent again.
    pub(super) fn set_aside(&self, number: u64) -> io::Result<()> {
        let name = format!("{DAMAGED}{}", name(number));
        fs::rename(self.file(number), self.path.join(name))
    }

    /// Adds lines to the events that were refused, and waits until the disk has them.
    pub(super) fn refuse(&self, lines: &[u8]) -> io::Result<()> {
        let path = self.path.join(REFUSED);
        let is_new = !path.exists();
        let mut file = writable().append(true).create(true).open(path)?;
        file.write_all(lines)?;
        file.sync_data()?;
        if is_new {
            self.sync_names()?;
        }
        Ok(())
    }

    #[cfg(unix)]
    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    /// Elsewhere a directory is no file that can be synchronized.
    #[cfg(not(unix))]
    fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }

    fn file(&self, number: u64) -> PathBuf {
        self.path.join(name(number))
    }
}

fn name(number: u64) -> String {
    format!("{number:020}{ENDING}")
}

fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(ENDING)?;
    let is_number = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .parse()
        .ok()
        .filter(|number| is_number && *number < u64::MAX)
}

/// A file that its user alone can read.
fn writable() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn make(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
