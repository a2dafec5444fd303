//! A billing system that is a file.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{BillingError, BillingProvider, Customer, CustomerId, ReportOutcome, UsageReport};

/// Writes customers and usage into a file, for a system that imports files: one JSON object in a line, to which lines are added and of
/// which none is changed.
///
/// | a line | has |
/// |---|---|
/// | `{"kind":"customer"}` | `tenant`, `name`, `email`; the last of a tenant holds |
/// | `{"kind":"usage"}` | `customer`, `meter`, `quantity` as a text, `at`, `id` |
///
/// A customer's id is its tenant's. A report whose id is in the file is not written again, and one that says something else under that
/// id is refused. Lines are on the disk before an answer
/// comes; a line that was cut off by a crash is removed before the next is written, because nobody was told that it was taken. One
/// process writes a file.
///
/// ```
/// use tenancy_core::{TenantId, Timestamp};
/// use tenancy_usage::billing::{BillingProvider as _, Customer, FileBilling, ReportOutcome, UsageReport};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let path = std::env::temp_dir().join(format!("billing-{}-{}", std::process::id(), TenantId::new()));
/// let billing = FileBilling::new(&path);
/// let customer = billing.upsert_customer(&Customer::new(TenantId::new(), "Acme Ltd")).await?;
/// let report = UsageReport::new(customer, "tokens", 4_711, Timestamp::EPOCH, "acme-tokens-1");
/// assert_eq!(billing.report_usage(&[report.clone()]).await?, [ReportOutcome::Taken]);
/// assert_eq!(billing.report_usage(&[report]).await?, [ReportOutcome::AlreadyTaken]);
/// # std::fs::remove_file(path)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct FileBilling(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// Opened by the first write.
    written: Mutex<Option<Written>>,
}

#[derive(Debug)]
struct Written {
    file: File,
    /// The line of each report, by its id.
    reports: HashMap<String, Value>,
}

impl FileBilling {
    /// A file, which is made when the first line is written.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self(Arc::new(Inner {
            path: path.as_ref().to_owned(),
            written: Mutex::new(None),
        }))
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Written) -> io::Result<T> + Send + 'static,
    ) -> Result<T, BillingError> {
        let inner = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || {
            let mut guard = inner.written.lock().unwrap_or_else(PoisonError::into_inner);
            let mut written = match guard.take() {
                Some(written) => written,
                None => Written::open(&inner.path)?,
            };
            let done = work(&mut written);
            // After an error it is opened anew, so that what was half written is seen.
            if done.is_ok() {
                *guard = Some(written);
            }
            done
        });
        let done = done.await.map_err(BillingError::unavailable)?;
        done.map_err(BillingError::unavailable)
    }
}

impl Written {
    fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(path)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let whole = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        if whole < text.len() {
            file.set_len(u64::try_from(whole).unwrap_or(u64::MAX))?;
        }
        file.seek(SeekFrom::End(0))?;
        let lines = text
            .get(..whole)
            .unwrap_or_default()
            .split(|byte| *byte == b'\n');
        let report = |line: &[u8]| {
            let line: Value = serde_json::from_slice(line).ok()?;
            let id = line.get("id")?.as_str().map(str::to_owned)?;
            Some((id, line))
        };
        let reports = lines.filter_map(report).collect();
        Ok(Self { file, reports })
    }

    fn append(&mut self, lines: &[Value]) -> io::Result<()> {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        self.file.write_all(text.as_bytes())?;
        self.file.sync_data()
    }
}

#[async_trait]
impl BillingProvider for FileBilling {
    async fn upsert_customer(&self, customer: &Customer) -> Result<CustomerId, BillingError> {
        let line = json!({
            "kind": "customer",
            "tenant": customer.tenant,
            "name": customer.name,
            "email": customer.email,
        });
        self.run(move |written| written.append(&[line])).await?;
        Ok(CustomerId::new(customer.tenant.to_string()))
    }

    async fn report_usage(
        &self,
        reports: &[UsageReport],
    ) -> Result<Vec<ReportOutcome>, BillingError> {
        let reports = reports.to_vec();
        self.run(move |written| {
            let (mut lines, mut new, mut outcomes) = (Vec::new(), HashMap::new(), Vec::new());
            for report in &reports {
                let id = report.id.to_string();
                let line = json!({
                    "kind": "usage",
                    "customer": report.customer.as_str(),
                    "meter": report.meter,
                    "quantity": report.quantity,
                    "at": report.at.to_string(),
                    "id": report.id,
                });
                outcomes.push(match written.reports.get(&id).or_else(|| new.get(&id)) {
                    Some(known) if *known == line => ReportOutcome::AlreadyTaken,
                    Some(known) => {
                        let was = known.get("quantity").and_then(Value::as_str);
                        ReportOutcome::Refused(
                            format!(
                                "another report was taken under the id `{id}`, of {}; give this one an id of its own",
                                was.unwrap_or("something else")
                            )
                            .into(),
                        )
                    }
                    None => {
                        lines.push(line.clone());
                        new.insert(id, line);
                        ReportOutcome::Taken
                    }
                });
            }
            if !lines.is_empty() {
                written.append(&lines)?;
            }
            written.reports.extend(new);
            Ok(outcomes)
        })
        .await
    }
}
