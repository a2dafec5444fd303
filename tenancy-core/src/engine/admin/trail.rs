//! Reading the audit trail: in pages, as an export, and as it grows. Each reading is recorded.

mod export;
mod tail;

pub use export::{AuditExport, ExportError, Exported};
use serde_json::{Value, json};
pub use tail::{AuditTail, TailOptions};
use uuid::Uuid;

use super::{Admin, list::MAX_PAGE};
use crate::engine::author::Author;
use crate::engine::trail_reads::Listing;
use crate::{AuditEntry, AuditFilter, ExportFormat, OperatorRight, StoreError, TenantId};

impl Admin {
    /// The audit trail of a tenant, or without a tenant that of all tenants and of what concerns none. The newest
    /// entries come first.
    ///
    /// A page is read from the newest entries on until it is full: a filter that few entries match makes for a
    /// long read. To read all, there is [`export_entries`](Self::export_entries).
    ///
    /// Reading leaves an entry `trail.read` in the trail: one for a listing, with what was asked for. A page that goes
    /// on where this process has told the same reader a page before leaves none. What an operator lists is recorded as
    /// `operator.list` instead. Of one reader in one tenant at most 10 readings in a minute are recorded, and the others
    /// counted.
    ///
    /// # Errors
    /// A [`StoreError`] if the store did not answer. [`StoreErrorKind::Forbidden`](crate::StoreErrorKind::Forbidden)
    /// if the authority is one tenant's, and the listing is not that tenant's; that is recorded too.
    ///
    /// # Security
    /// Entries have addresses, user agents and the reasons that operators gave. Guard the route by a permission of
    /// its own.
    ///
    /// ```
    /// # use tenancy_core::{AuditFilter, Tenancy, TenantContext};
    /// # async fn handler(tenancy: Tenancy, context: TenantContext) -> Result<(), Box<dyn std::error::Error>> {
    /// let admin = tenancy.admin(context.authority("audit:read")?);
    /// let invitations = AuditFilter::new().action("membership.put");
    /// let mut after = None;
    /// loop {
    ///     let page = admin.list_entries(Some(context.tenant_id()), &invitations, after, 100).await?;
    ///     let Some(last) = page.last() else { break };
    ///     after = Some(last.id);
    ///     for entry in &page {
    ///         println!("{}: {:?} {:?}", entry.at, entry.actor, entry.targets);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn list_entries(
        &self,
        tenant: Option<TenantId>,
        filter: &AuditFilter,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        self.may_read(tenant, filter).await?;
        let directory = self.stores().audit_directory()?;
        let page = directory
            .list_entries(tenant, filter, after, limit.min(MAX_PAGE))
            .await?;
        let reads = &self.author.engine.inner().trail_reads;
        let listing = Listing {
            reader: self.author.authority.actor(),
            tenant,
            filter,
        };
        if after.is_none_or(|after| !reads.goes_on(&listing, after)) {
            self.author
                .record_read(tenant, read("list", filter, json!({})));
        }
        if let Some(last) = page.last() {
            reads.ended(&listing, last.id);
        }
        Ok(page)
    }

    /// Writes the audit trail of a tenant in a [format](ExportFormat), or without a tenant that of all tenants and of
    /// what concerns none. The newest entries come first. Entries that come during the export are not in it.
    ///
    /// It is read in pages, so it takes no more memory for ten million entries than for a thousand. Whether the caller may
    /// still read is asked for each page.
    ///
    /// When it ends, or is dropped before its end, it leaves one entry `trail.read` with its filter, its format and how
    /// many entries were told. What an operator exports is recorded as `operator.list` instead, before it begins.
    ///
    /// # Errors
    /// As [`list_entries`](Self::list_entries).
    ///
    /// # Security
    /// As [`list_entries`](Self::list_entries).
    ///
    /// ```
    /// # use tenancy_core::{AuditFilter, ExportFormat, Tenancy, TenantContext};
    /// # async fn handler(tenancy: Tenancy, context: TenantContext) -> Result<(), Box<dyn std::error::Error>> {
    /// let admin = tenancy.admin(context.authority("audit:export")?);
    /// let all = AuditFilter::new();
    /// let export = admin.export_entries(Some(context.tenant_id()), &all, ExportFormat::Csv).await?;
    /// let mut file = Vec::new();
    /// let done = export.write_to(&mut file).await?;
    /// println!("{} entries", done.entries);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn export_entries(
        &self,
        tenant: Option<TenantId>,
        filter: &AuditFilter,
        format: ExportFormat,
    ) -> Result<AuditExport, StoreError> {
        self.may_read(tenant, filter).await?;
        self.stores().audit_directory()?;
        Ok(AuditExport::begin(
            self.clone(),
            tenant,
            filter.clone(),
            format,
        ))
    }

    /// Tells entries of a tenant's audit trail as they come, or without a tenant those of all tenants and of none.
    ///
    /// Each entry that reaches the store after this call is told once, also one whose transaction commits after that of
    /// a later entry: see [`TailOptions::look_back`]. Whether the caller may still read is asked at each poll.
    ///
    /// It leaves an entry `trail.read` when it begins. What an operator reads is recorded as `operator.list` instead.
    ///
    /// # Errors
    /// As [`list_entries`](Self::list_entries).
    ///
    /// # Security
    /// As [`list_entries`](Self::list_entries).
    ///
    /// ```
    /// # use tenancy_core::{AuditFilter, StoreError, TailOptions, Tenancy, TenantContext};
    /// # async fn handler(tenancy: Tenancy, context: TenantContext) -> Result<(), Box<dyn std::error::Error>> {
    /// let admin = tenancy.admin(context.authority("audit:read")?);
    /// let (tenant, all) = (Some(context.tenant_id()), AuditFilter::new());
    /// let mut tail = admin.tail_entries(tenant, &all, TailOptions::new()).await?;
    /// // Ends when the caller may read no more.
    /// loop {
    ///     for entry in tail.next().await? {
    ///         println!("{} {}", entry.at, entry.action);
    ///     }
    /// }
    /// # }
    /// ```
    pub async fn tail_entries(
        &self,
        tenant: Option<TenantId>,
        filter: &AuditFilter,
        options: TailOptions,
    ) -> Result<AuditTail, StoreError> {
        self.may_read(tenant, filter).await?;
        let tail = AuditTail::begin(self.clone(), tenant, filter.clone(), options).await?;
        self.author
            .record_read(tenant, read("tail", filter, json!({})));
        Ok(tail)
    }

    /// Whether the authority is good for reading; a refusal is recorded.
    async fn may_read(
        &self,
        tenant: Option<TenantId>,
        filter: &AuditFilter,
    ) -> Result<(), StoreError> {
        let allowed = self
            .author
            .may_list("entries", OperatorRight::ReadTrail, (tenant, None))
            .await;
        match allowed {
            Ok(_) => Ok(()),
            Err(error) => {
                let what = read("list", filter, json!({}));
                self.author.record_read_refused(tenant, what, &error);
                Err(error)
            }
        }
    }
}

impl Author {
    /// Whether the authority is still good for a reading that it was good for. Records nothing.
    async fn may_read_on(&self, tenant: Option<TenantId>) -> Result<(), StoreError> {
        self.may_go_on_listing(OperatorRight::ReadTrail, (tenant, None))
            .await
            .map(drop)
    }
}

/// What a reading was.
fn read(how: &str, filter: &AuditFilter, more: Value) -> Value {
    let mut what = json!({ "how": how, "filter": filter.told() });
    if let (Value::Object(what), Value::Object(more)) = (&mut what, more) {
        what.extend(more);
    }
    what
}
