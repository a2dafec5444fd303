//! Ids of operations: by which a charge that is repeated is known.

use std::{
    cell::Cell,
    fmt,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// The id of one charge, commit or release. Whoever repeats one with the same id does it once.
///
/// ```
/// use tenancy_core::quota::OperationId;
///
/// assert_ne!(OperationId::unique(), OperationId::unique());
/// // Of what a client calls its operation, and of what it is about.
/// let first = OperationId::of(["acme", "key-7", "exports", "1"]);
/// assert_eq!(first, OperationId::of(["acme", "key-7", "exports", "1"]));
/// assert_ne!(first, OperationId::of(["acme", "key-7", "exports", "2"]));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OperationId(u128);

/// Random for each process. Without random bytes from the operating system, ids are unique in this process alone.
static PROCESS: LazyLock<u64> = LazyLock::new(|| {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(_) => 0,
    }
});

static NEXT: AtomicU64 = AtomicU64::new(0);

/// How many numbers a thread gets at once, so that threads seldom wait for each other.
const BLOCK: u64 = 1 << 16;

thread_local! {
    /// The next number of this thread. A multiple of the block's size has to be fetched anew.
    static OWN_NEXT: Cell<u64> = const { Cell::new(0) };
}

/// A number that no other operation of this process has.
#[inline]
fn next_number() -> u64 {
    OWN_NEXT.with(|own| {
        let mut number = own.get();
        if number % BLOCK == 0 {
            number = NEXT.fetch_add(BLOCK, Ordering::Relaxed);
        }
        own.set(number.wrapping_add(1));
        number
    })
}

impl OperationId {
    /// An id that no other operation has: 64 random bits of this process and a number.
    #[must_use]
    #[inline]
    pub fn unique() -> Self {
        Self((u128::from(*PROCESS) << 64) | u128::from(next_number()))
    }

    /// The id of these parts: half of their SHA-256. Other parts have another id, however they are divided.
    #[must_use]
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        let digest: [u8; 32] = hasher.finalize().into();
        let half = digest.first_chunk::<16>().copied().unwrap_or_default();
        Self(u128::from_le_bytes(half))
    }

    /// As a number, for stores.
    #[must_use]
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

impl From<Uuid> for OperationId {
    fn from(id: Uuid) -> Self {
        Self(id.as_u128())
    }
}

impl fmt::Debug for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OperationId({:032x})", self.0)
    }
}

/// One charge: its id, and whether somebody may repeat it.
///
/// ```
/// use tenancy_core::quota::{Operation, OperationId};
///
/// let once = Operation::once();
/// let by_the_client = Operation::repeatable(OperationId::of(["acme", "their-id"]));
/// assert!(!once.is_repeatable() && by_the_client.is_repeatable());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    id: OperationId,
    repeatable: bool,
    /// Whether it was taken of shares, while the store did not answer.
    of_share: bool,
}

impl Operation {
    /// A charge that only a store that loses answers may have to repeat. A store in the same process need not
    /// remember it.
    #[must_use]
    pub fn once() -> Self {
        Self {
            id: OperationId::unique(),
            repeatable: false,
            of_share: false,
        }
    }

    /// A charge that may come again with this id. A store remembers it.
    #[must_use]
    pub const fn repeatable(id: OperationId) -> Self {
        Self {
            id,
            repeatable: true,
            of_share: false,
        }
    }

    /// The same, to be settled where it was granted.
    pub(super) const fn granted(mut self, granted: &super::Granted) -> Self {
        self.of_share = granted.by_share;
        self
    }

    pub(super) const fn is_of_share(self) -> bool {
        self.of_share
    }

    /// Its id.
    #[must_use]
    pub const fn id(self) -> OperationId {
        self.id
    }

    /// Whether it may come again.
    #[must_use]
    pub const fn is_repeatable(self) -> bool {
        self.repeatable
    }
}
