//! What a spool tells of itself.

/// What became of the events of a [`UsageSpool`](crate::UsageSpool), what waits, and what is wrong.
///
/// ```
/// use tenancy_usage::{SpoolStatus, UsageSpool};
///
/// /// What somebody should look at.
/// fn is_in_trouble(spool: &UsageSpool) -> bool {
///     let SpoolStatus { refused, dropped, damaged, disk_fault, .. } = spool.status();
///     refused + dropped + damaged > 0 || disk_fault.is_some()
/// }
/// # let _ = is_in_trouble;
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SpoolStatus {
    /// How many events the sink has counted since the start, or had counted before.
    pub counted: u64,
    /// How many events the sink has refused for good since the start. They are in `refused.jsonl`.
    pub refused: u64,
    /// How many events were lost since the start: because there was no room for them, or the disk took none until the
    /// spool had to end.
    pub dropped: u64,
    /// How many stretches of files were found damaged since the start. The files stay under another name.
    pub damaged: u64,
    /// How many bytes wait for the disk.
    pub buffered_bytes: u64,
    /// How many bytes the directory has: what waits for the sink, what was refused, and what is damaged.
    pub disk_bytes: u64,
    /// Why the disk took nothing the last time, if it did not. For logs.
    pub disk_fault: Option<String>,
    /// Why the sink gave no answer the last time, if it did not. For logs.
    pub sink_fault: Option<String>,
}
