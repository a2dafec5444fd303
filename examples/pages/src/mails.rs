//! Mails, as files in a folder, in the place of a service that delivers them: a developer opens the links there.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use tenancy::EmailAddress;
use uuid::Uuid;

/// Where mails go.
#[derive(Debug, Clone)]
pub(crate) struct Mails {
    folder: PathBuf,
    site: String,
}

/// A mail with a link.
pub(crate) struct Mail<'a> {
    /// One mail has one id, however often it is posted.
    pub(crate) id: Uuid,
    pub(crate) to: &'a EmailAddress,
    pub(crate) subject: &'a str,
    pub(crate) text: &'a str,
    pub(crate) path: &'a str,
}

impl Mails {
    /// Makes the folder if it is not there. Links begin with the site's address, which is never a request's: whoever sends
    /// a request chooses its `Host`.
    pub(crate) fn new(folder: &str, site: &str) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self {
            folder: folder.into(),
            site: site.trim_end_matches('/').to_owned(),
        })
    }

    /// Writes a mail. The same one again is one file still.
    pub(crate) async fn post(&self, mail: &Mail<'_>) -> io::Result<()> {
        let (site, path) = (&self.site, mail.path);
        let text = format!(
            "To: {}\nSubject: {}\n\n{}\n\n{site}{path}\n",
            mail.to, mail.subject, mail.text
        );
        let file = self.folder.join(format!("{}.txt", mail.id));
        let written = tokio::task::spawn_blocking(move || write(&file, &text));
        written.await.map_err(io::Error::other)?
    }
}

/// Writes all of it or nothing.
fn write(file: &Path, text: &str) -> io::Result<()> {
    let part = file.with_extension("part");
    fs::write(&part, text)?;
    fs::rename(&part, file)
}
