//! Pages of what is in memory.

use crate::TenantKey;

/// Where a name stands in a listing: domains before other systems' ids, and before both what is in the
/// tenant's record.
pub(super) fn place(name: &TenantKey) -> (u8, &str, &str) {
    match name {
        TenantKey::Id(_) | TenantKey::Slug(_) => (0, "", ""),
        TenantKey::Domain(domain) => (1, "", domain.as_str()),
        TenantKey::External { provider, id } => (2, provider, id),
    }
}

/// The first of these behind `after`, in the order of `key`.
pub(super) fn page<'a, T: Clone + 'a, K: Ord>(
    these: impl IntoIterator<Item = &'a T>,
    key: impl Fn(&'a T) -> K,
    after: Option<K>,
    limit: u32,
) -> Vec<T> {
    let behind = |one: &&'a T| after.as_ref().is_none_or(|after| key(one) > *after);
    let mut behind: Vec<_> = these.into_iter().filter(behind).collect();
    behind.sort_by_key(|one| key(one));
    behind.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    behind.into_iter().cloned().collect()
}
