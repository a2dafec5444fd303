//! What a counter is found by: its holder, and the limit's name and kind.

use std::{
    hash::{BuildHasher as _, Hasher as _},
    sync::LazyLock,
};

use foldhash::{SharedSeed, quality::SeedableRandomState};

use super::names::Names;
use crate::{
    digest::Digest,
    quota::{Algorithm, CountersError, Take},
};

/// A holder and a limit in 24 bytes, which are compared as a whole.
///
/// A holder that has one id is there as it is. Of one with two ids, a tenant's own and another, there is a keyed digest
/// of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Key {
    id: [u64; 2],
    /// The number of the limit's name, and a byte each for the algorithm, the holder's scope, what kind of id it has,
    /// and the form of the id here.
    limit: u64,
}

/// What the id of a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// There is none.
    Nobody,
    /// The tenant's.
    Tenant,
    /// An id that is in no tenant.
    Own,
    /// The digest of a tenant's id and another.
    Both,
    /// The digest of all ids and of the limit's name, which has no number.
    Named,
}

/// Chosen by chance, so that nobody knows which keys lie together. Who finds out makes us compare more keys, and
/// gets no other answer.
static PLACES: LazyLock<SeedableRandomState> = LazyLock::new(|| {
    let mut seed = [0; 8];
    // Without random bytes, foldhash's own seeds remain: addresses and the time.
    let _ = getrandom::fill(&mut seed);
    SeedableRandomState::with_seed(u64::from_le_bytes(seed), SharedSeed::global_random())
});

impl Key {
    #[inline]
    pub(super) fn of(take: &Take<'_>, names: &Names) -> Result<Self, CountersError> {
        let Some(limit) = names.number_of(take.limit) else {
            return Self::named(take);
        };
        Ok(match take.holder.parts() {
            (kind, None, None) => Self::new(take, kind, Form::Nobody, limit, 0),
            (kind, Some(tenant), None) => Self::new(take, kind, Form::Tenant, limit, tenant),
            (kind, None, Some(own)) => Self::new(take, kind, Form::Own, limit, own),
            (kind, Some(tenant), Some(own)) => {
                Self::new(take, kind, Form::Both, limit, digest([tenant, own], "")?)
            }
        })
    }

    #[cold]
    fn named(take: &Take<'_>) -> Result<Self, CountersError> {
        let (kind, tenant, own) = take.holder.parts();
        let id = digest([tenant.unwrap_or(0), own.unwrap_or(0)], take.limit)?;
        // A holder with a tenant's id alone is another than one with the same id of its own, or with none.
        let which = u32::from(tenant.is_some()) << 1 | u32::from(own.is_some());
        Ok(Self::new(take, kind, Form::Named, which, id))
    }

    #[inline]
    fn new(take: &Take<'_>, kind: u8, form: Form, limit: u32, id: u128) -> Self {
        let algorithm = match take.algorithm {
            Algorithm::Rate(_) => 0,
            Algorithm::Period(..) => 1,
            Algorithm::Concurrent(_) => 2,
            Algorithm::Held(..) => 3,
        };
        let bytes = [algorithm, take.holder.scope() as u8, kind, form as u8];
        let [low, high] = [id as u64, (id >> 64) as u64];
        Self {
            id: [low, high],
            limit: (u64::from(limit) << 32) | u64::from(u32::from_le_bytes(bytes)),
        }
    }

    /// Where tables keep it.
    #[inline]
    pub(super) fn place(&self) -> u64 {
        let mut hasher = PLACES.build_hasher();
        for word in [self.id[0], self.id[1], self.limit] {
            hasher.write_u64(word);
        }
        hasher.finish()
    }
}

fn digest(ids: [u128; 2], name: &str) -> Result<u128, CountersError> {
    Digest::quick(ids, name)
        .ok_or_else(|| CountersError::unavailable("there are no random bytes for a key"))
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, time::Duration};

    use super::*;
    use crate::{
        Actor, KeyId, ProjectId, TenantId, UserId,
        quota::{Holder, Rate},
    };

    fn rate() -> Algorithm {
        Algorithm::Rate(Rate::new(1, Duration::from_secs(1), 1).unwrap())
    }

    /// One UUID in each role that it can have, and every kind of address.
    fn holders() -> Vec<Holder> {
        let id = uuid::Uuid::from_u128(0x0a00_0001);
        let tenant = TenantId::from_uuid(id);
        let other = TenantId::from_uuid(uuid::Uuid::from_u128(0));
        let user = Actor::User(UserId::from_uuid(id));
        let ip = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        vec![
            Holder::system(),
            Holder::tenant(tenant),
            Holder::tenant(other),
            Holder::project(tenant, ProjectId::from_uuid(id)),
            Holder::project(other, ProjectId::from_uuid(id)),
            Holder::key(tenant, KeyId::from_uuid(id)),
            Holder::own_of_key(tenant, KeyId::from_uuid(id)),
            Holder::caller(Some(tenant), Some(&user), None),
            Holder::caller(None, Some(&user), None),
            Holder::caller(Some(tenant), None, None),
            Holder::caller(None, None, None),
            Holder::caller(None, None, ip("10.0.0.1")),
            Holder::caller(Some(tenant), None, ip("10.0.0.1")),
            Holder::address(None),
            Holder::address(ip("10.0.0.1")),
            Holder::address(ip("0:0:a00:1::")),
            Holder::address(ip("0.0.0.0")),
            Holder::address(ip("::")),
        ]
    }

    #[test]
    fn each_holder_has_a_key_of_its_own_for_each_limit() {
        let names = Names::new();
        // So many that some have no number.
        let limits: Vec<_> = (0..2_000).map(|n| format!("limit-{n}")).collect();
        let mut keys = Vec::new();
        for limit in &limits {
            for holder in holders() {
                let take = Take::new(holder, limit, rate(), 1);
                let key = Key::of(&take, &names).unwrap();
                assert!(key == Key::of(&take, &names).unwrap());
                keys.push((key.id, key.limit));
            }
        }
        let all = keys.len();
        let is_named = |limit: u64| limit as u32 >> 24 == Form::Named as u32;
        assert!(keys.iter().any(|(_, limit)| is_named(*limit)));
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), all);
    }
}
