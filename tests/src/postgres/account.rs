//! The operating system account the server runs as.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::Command,
};

use super::Error;

/// PostgreSQL refuses to run as root, so root lends it one of these.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// The account to switch to; nothing to do unless we are root.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account(Option<(u32, u32)>);

impl Account {
    pub(crate) fn choose() -> Result<Self, Error> {
        if effective_uid()? != 0 {
            return Ok(Self(None));
        }
        let passwd =
            fs::read_to_string("/etc/passwd").map_err(Error::io("cannot read /etc/passwd"))?;
        UNPRIVILEGED
            .iter()
            .find_map(|name| passwd.lines().find_map(|line| ids(line, name)))
            .map(|ids| Self(Some(ids)))
            .ok_or_else(|| Error::Unavailable {
                what: "an unprivileged account for PostgreSQL".into(),
                mend: "run `useradd --system postgres`, or do not run the tests as root".into(),
            })
    }

    pub(crate) fn apply(self, command: &mut Command) {
        if let Self(Some((uid, gid))) = self {
            command.uid(uid).gid(gid);
        }
    }

    pub(crate) fn own(self, path: &Path) -> Result<(), Error> {
        let Self(Some((uid, gid))) = self else {
            return Ok(());
        };
        chown(path, Some(uid), Some(gid)).map_err(Error::io(format!(
            "cannot change the owner of {}",
            path.display()
        )))
    }
}

/// The standard library has no `geteuid`, but a new file belongs to whom it would name.
pub(super) fn effective_uid() -> Result<u32, Error> {
    tempfile::tempfile()
        .and_then(|file| file.metadata())
        .map(|metadata| metadata.uid())
        .map_err(Error::io("cannot create a temporary file"))
}

fn ids(line: &str, name: &str) -> Option<(u32, u32)> {
    let mut fields = line.split(':');
    if fields.next()? != name {
        return None;
    }
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some((uid, gid))
}

#[cfg(test)]
mod tests {
    use super::ids;

    #[test]
    fn reads_a_passwd_line() {
        let line = "postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash";
        assert_eq!(ids(line, "postgres"), Some((101, 104)));
        assert_eq!(ids(line, "post"), None);
        assert_eq!(ids("nobody:*:-2:-2::/:", "nobody"), None);
    }
}
