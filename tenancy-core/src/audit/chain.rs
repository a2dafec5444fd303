//! What the verification of a chain of the trail has found.

use std::fmt;

use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::{TenantId, Timestamp};

/// SHA-256 of a link: of an entry, and of the hash before it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChainHash([u8; 32]);

impl ChainHash {
    /// What stands before the first link.
    pub const GENESIS: Self = Self([0; 32]);

    /// The hash of these bytes, as they are stored.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash of 64 hexadecimal digits, as [`Display`](fmt::Display) writes it; `None` for anything else.
    ///
    /// ```
    /// use tenancy_core::ChainHash;
    ///
    /// let text = ChainHash::GENESIS.to_string();
    /// assert_eq!(ChainHash::from_hex(&text), Some(ChainHash::GENESIS));
    /// assert_eq!(ChainHash::from_hex("0"), None);
    /// ```
    #[must_use]
    pub fn from_hex(digits: &str) -> Option<Self> {
        let bytes = digits.as_bytes();
        if bytes.len() != 64 || !bytes.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(bytes.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(hash))
    }
}

impl fmt::Display for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ChainHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One chain of the trail: each tenant has one, and what concerns no tenant is in one of its own.
///
/// ```
/// use tenancy_core::{TenantId, TrailChain};
///
/// let acme = TenantId::new();
/// assert_eq!(TrailChain::from(acme).tenant(), Some(acme));
/// assert_eq!(TrailChain::from(None), TrailChain::OfNoTenant);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(
    clippy::exhaustive_enums,
    reason = "an entry is of one tenant or of none"
)]
pub enum TrailChain {
    /// What concerns no tenant.
    OfNoTenant,
    /// What concerns this tenant.
    Of(TenantId),
}

impl TrailChain {
    /// The tenant, if it is one's.
    #[must_use]
    pub const fn tenant(self) -> Option<TenantId> {
        match self {
            Self::OfNoTenant => None,
            Self::Of(tenant) => Some(tenant),
        }
    }
}

impl From<TenantId> for TrailChain {
    fn from(tenant: TenantId) -> Self {
        Self::Of(tenant)
    }
}

impl From<Option<TenantId>> for TrailChain {
    fn from(tenant: Option<TenantId>) -> Self {
        tenant.map_or(Self::OfNoTenant, Self::Of)
    }
}

/// Where a chain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ChainHead {
    /// The tenant whose chain it is; `None` for the chain of what concerns no tenant.
    pub tenant: Option<TenantId>,
    /// The number of the last link; 0 if there is none.
    pub seq: u64,
    /// Its hash.
    pub hash: ChainHash,
}

impl ChainHead {
    /// A head, as a store tells it.
    #[must_use]
    pub const fn new(tenant: Option<TenantId>, seq: u64, hash: ChainHash) -> Self {
        Self { tenant, seq, hash }
    }

    /// The chain that stands there.
    #[must_use]
    pub const fn chain(&self) -> TrailChain {
        match self.tenant {
            Some(tenant) => TrailChain::Of(tenant),
            None => TrailChain::OfNoTenant,
        }
    }
}

/// What is wrong with a chain, where it shows first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ChainFaultKind {
    /// A link is missing: numbers are left out.
    LinkMissing,
    /// The hash of a link is not that of its entry and of the hash before it: the entry was changed, or replaced, or
    /// links were put in another order.
    EntryChanged,
    /// The entry of a link is not there.
    EntryMissing,
    /// The particulars of an entry are not those whose digest the chain has.
    ParticularsChanged,
    /// The particulars of an entry are not there, and no erasure says why.
    ParticularsMissing,
    /// The chain ends before a head, a checkpoint or an anchor that was further.
    TailCut,
    /// A checkpoint has another hash than the link of its number.
    CheckpointDiffers,
    /// An anchor has another hash than the link of its number: the chain was rewritten.
    AnchorDiffers,
    /// An entry has no link, and does not wait for one: it was put in past the chain.
    EntryUnlinked,
    /// The chain begins behind its first number, and no checkpoint says that it was pruned to there; or nobody has
    /// recorded that it was.
    BeginningMissing,
}

impl ChainFaultKind {
    /// The name of the fault, such as `entry-changed`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LinkMissing => "link-missing",
            Self::EntryChanged => "entry-changed",
            Self::EntryMissing => "entry-missing",
            Self::ParticularsChanged => "particulars-changed",
            Self::ParticularsMissing => "particulars-missing",
            Self::TailCut => "tail-cut",
            Self::CheckpointDiffers => "checkpoint-differs",
            Self::AnchorDiffers => "anchor-differs",
            Self::EntryUnlinked => "entry-unlinked",
            Self::BeginningMissing => "beginning-missing",
        }
    }
}

impl fmt::Display for ChainFaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The first broken link of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ChainFault {
    /// What is wrong.
    pub kind: ChainFaultKind,
    /// The number of the link; 0 where an entry has none.
    pub seq: u64,
    /// The entry, where it is known.
    pub entry: Option<Uuid>,
}

impl ChainFault {
    /// A fault, as a store finds it.
    #[must_use]
    pub const fn new(kind: ChainFaultKind, seq: u64, entry: Option<Uuid>) -> Self {
        Self { kind, seq, entry }
    }
}

impl fmt::Display for ChainFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at link {}", self.kind, self.seq)?;
        match self.entry {
            Some(entry) => write!(f, ", entry {entry}"),
            None => Ok(()),
        }
    }
}

/// What was verified of one chain, and its first fault if it has one.
///
/// ```
/// use tenancy_core::{ChainReport, TenantId};
///
/// let report = ChainReport::new(Some(TenantId::new()));
/// assert!(report.is_whole());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ChainReport {
    /// The tenant whose chain it is; `None` for the chain of what concerns no tenant.
    pub tenant: Option<TenantId>,
    /// How many links were verified, each with its entry.
    pub verified: u64,
    /// The number of the last link that was verified; 0 if there was none.
    pub last: u64,
    /// Up to which number the chain was pruned; 0 if it was not.
    pub pruned: u64,
    /// Of how many entries the particulars are erased.
    pub erased: u64,
    /// How many entries wait for their link. They are not covered by the chain yet.
    pub unsealed: u64,
    /// Since when the oldest of them waits.
    #[serde(serialize_with = "as_optional_text")]
    pub unsealed_since: Option<Timestamp>,
    /// How many entries were recorded before there was a chain. They are not covered by it.
    pub before_chain: u64,
    /// The greatest number for which an anchor was given that agrees; 0 if there was none. A chain that somebody has
    /// rewritten as a whole shows only by an anchor.
    pub anchored: u64,
    /// The first fault. What stands behind it was not verified.
    pub fault: Option<ChainFault>,
}

impl ChainReport {
    /// The report about an empty chain.
    #[must_use]
    pub const fn new(tenant: Option<TenantId>) -> Self {
        Self {
            tenant,
            verified: 0,
            last: 0,
            pruned: 0,
            erased: 0,
            unsealed: 0,
            unsealed_since: None,
            before_chain: 0,
            anchored: 0,
            fault: None,
        }
    }

    /// Whether no fault was found.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.fault.is_none()
    }
}

fn as_optional_text<S: Serializer>(
    value: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}
