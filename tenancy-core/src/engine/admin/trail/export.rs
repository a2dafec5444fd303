//! An export of the audit trail: page by page, and recorded at its end.

use std::{fmt, io};

use futures_util::stream::{self, Stream};
use serde_json::json;
use uuid::Uuid;

use super::read;
use crate::engine::admin::{Admin, list::MAX_PAGE};
use crate::{AuditFilter, ExportFormat, StoreError, TenantId};

/// An export of the audit trail, of which nothing or a part was told yet. Made by
/// [`Admin::export_entries`].
///
/// Dropped before its end, it is recorded as not complete, with the number of entries that it has told.
///
/// ```
/// # use tenancy_core::{AuditExport, StoreError};
/// async fn size(mut export: AuditExport) -> Result<usize, StoreError> {
///     let mut size = 0;
///     while let Some(text) = export.next().await? {
///         size += text.len();
///     }
///     Ok(size)
/// }
/// # let _ = size;
/// ```
#[must_use = "an export that is dropped tells nothing"]
pub struct AuditExport {
    admin: Admin,
    tenant: Option<TenantId>,
    filter: AuditFilter,
    format: ExportFormat,
    after: Option<Uuid>,
    told: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Begun,
    UnderWay,
    Complete,
}

/// What an export has told.
///
/// ```
/// # use tenancy_core::{AuditExport, ExportError};
/// async fn save(export: AuditExport, file: std::fs::File) -> Result<u64, ExportError> {
///     Ok(export.write_to(file).await?.entries)
/// }
/// # let _ = save;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exported {
    /// How many entries it has.
    pub entries: u64,
}

/// An export that has not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The store did not answer, or the caller may read no more.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was to be written to did not take it.
    #[error("the export could not be written: {0}")]
    Write(#[from] io::Error),
}

impl AuditExport {
    pub(super) const fn begin(
        admin: Admin,
        tenant: Option<TenantId>,
        filter: AuditFilter,
        format: ExportFormat,
    ) -> Self {
        Self {
            admin,
            tenant,
            filter,
            format,
            after: None,
            told: 0,
            state: State::Begun,
        }
    }

    /// The next part of the text: the rows of a page of 1,000 entries at most, and before them what stands before the
    /// first row. `None` at the end.
    ///
    /// After an error it may be asked again, and goes on where it was. So it may when the call was dropped.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer;
    /// [`StoreErrorKind::Forbidden`](crate::StoreErrorKind::Forbidden) if the caller may read no more.
    pub async fn next(&mut self) -> Result<Option<String>, StoreError> {
        if self.state == State::Complete {
            return Ok(None);
        }
        if self.state == State::UnderWay {
            self.admin.author.may_read_on(self.tenant).await?;
        }
        let directory = self.admin.stores().audit_directory()?;
        let page = directory
            .list_entries(self.tenant, &self.filter, self.after, MAX_PAGE)
            .await?;
        let mut text = match self.state {
            State::Begun => self.format.header(),
            _ => String::new(),
        };
        self.state = State::UnderWay;
        let Some(last) = page.last() else {
            self.state = State::Complete;
            self.record();
            return Ok((!text.is_empty()).then_some(text));
        };
        self.after = Some(last.id);
        self.told += u64::try_from(page.len()).unwrap_or(u64::MAX);
        for entry in &page {
            text.push_str(&self.format.row(entry));
        }
        Ok(Some(text))
    }

    /// Writes all of it, page by page. The writer blocks the task while it writes: give it a buffer, or a file on a
    /// local disk. For a response there is [`into_stream`](Self::into_stream).
    ///
    /// # Errors
    /// An [`ExportError`]. What was written before stays written.
    pub async fn write_to(
        mut self,
        mut writer: impl io::Write + Send,
    ) -> Result<Exported, ExportError> {
        while let Some(text) = self.next().await? {
            writer.write_all(text.as_bytes())?;
        }
        writer.flush()?;
        Ok(Exported { entries: self.told })
    }

    /// The parts of the text as a stream: for the body of a response. It ends with the first error, so that a client sees
    /// that the body is not whole.
    ///
    /// ```
    /// # use tenancy_core::{AuditFilter, ExportFormat, StoreError, Tenancy, danger};
    /// # async fn handler(tenancy: Tenancy) -> Result<(), StoreError> {
    /// let admin = tenancy.admin(danger::service("the yearly archive")?);
    /// let all = AuditFilter::new();
    /// let export = admin.export_entries(None, &all, ExportFormat::JsonLines).await?;
    /// let body = export.into_stream(); // in axum `Body::from_stream(body)`
    /// # drop(body);
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_stream(self) -> impl Stream<Item = Result<String, StoreError>> + Send + 'static {
        stream::try_unfold(self, |mut export| async move {
            let next = export.next().await?;
            Ok(next.map(|text| (text, export)))
        })
    }

    fn record(&self) {
        let more = json!({
            "format": self.format.as_str(),
            "count": self.told,
            "complete": self.state == State::Complete,
        });
        let author = &self.admin.author;
        author.record_read(self.tenant, read("export", &self.filter, more));
    }
}

impl Drop for AuditExport {
    fn drop(&mut self) {
        if self.state != State::Complete {
            self.record();
        }
    }
}

impl fmt::Debug for AuditExport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditExport")
            .field("tenant", &self.tenant)
            .field("format", &self.format)
            .field("told", &self.told)
            .finish_non_exhaustive()
    }
}
