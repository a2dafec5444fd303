//! The API keys that scenarios are played with.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tenancy_core::{
    Clock as _, ManualClock, Tenancy, TenantId, UserId,
    key::{ApiKeys, Environment, HmacKeyHasher, KeyFormat, NewKey, Pepper},
};
use tenancy_tests::{
    logwatch,
    notes::{Notes, PEPPER},
};

/// Keys `notes_live_…`, kept in the database of the notes.
pub(crate) fn configured(notes: &Notes) -> ApiKeys {
    let format = KeyFormat::new("notes", Environment::Live).unwrap();
    let pepper = Pepper::new(1, PEPPER).unwrap();
    let hasher = HmacKeyHasher::new(pepper);
    ApiKeys::new(format, hasher, notes.directory.clone()).header("x-api-key")
}

/// Issues every key that a scenario names, and revokes those that are to be.
pub(crate) async fn issue(
    tenancy: &Tenancy,
    clock: &Arc<ManualClock>,
    users: &BTreeMap<&'static str, UserId>,
    tenants: &BTreeMap<&'static str, TenantId>,
) -> anyhow::Result<BTreeMap<&'static str, String>> {
    let keys = tenancy.keys()?.by(tenancy_core::testing::service());
    let of = |name: &str, tenant: &str, user: &str, scope: &str| {
        anyhow::Ok(NewKey::new(
            tenants[tenant],
            users[user],
            name,
            [scope.parse()?],
        ))
    };
    let soon = clock.now() + Duration::from_secs(1);
    let news = [
        ("all", of("all", "acme", "alice", "*")?),
        ("reading", of("reading", "acme", "alice", "notes:read")?),
        ("a viewer's", of("a viewer's", "acme", "vera", "*")?),
        ("carol's", of("carol's", "acme", "carol", "*")?),
        ("globex's", of("globex's", "globex", "bob", "*")?),
        ("of asleep", of("of asleep", "asleep", "alice", "*")?),
        ("revoked", of("revoked", "acme", "alice", "*")?),
        ("disabled", of("disabled", "acme", "alice", "*")?),
        (
            "expired",
            of("expired", "acme", "alice", "*")?.expires_at(soon),
        ),
        (
            "from here",
            of("from here", "acme", "alice", "*")?.network("127.0.0.0/8".parse()?),
        ),
        (
            "from elsewhere",
            of("from elsewhere", "acme", "alice", "*")?.network("10.0.0.0/8".parse()?),
        ),
    ];
    let mut texts = BTreeMap::new();
    for (name, new) in news {
        let issued = keys.issue(new).await?;
        logwatch::issued_key(&issued);
        let (id, tenant) = (issued.record().id, issued.record().tenant);
        match name {
            "revoked" => drop(keys.revoke(tenant, id).await?),
            "disabled" => drop(keys.disable(tenant, id).await?),
            _ => {}
        }
        texts.insert(name, issued.expose().to_owned());
    }
    let (body, _) = texts["all"].split_at(texts["all"].len() - 6);
    let elsewhere = checked(body.replace("_live_", "_test_"));
    texts.insert("of another environment", elsewhere);
    Ok(texts)
}

/// The key with another secret, and the checksum that fits: as somebody would try who knows the id.
pub(crate) fn guess(key: &str) -> String {
    let (body, _) = key.split_at(key.len() - 6);
    let (rest, last) = body.split_at(body.len() - 1);
    checked(format!("{rest}{}", if last == "a" { 'b' } else { 'a' }))
}

/// A key's text with its checksum: CRC-32 of what stands before it, in six digits of base 62.
fn checked(body: String) -> String {
    const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let sum = crc32fast::hash(body.as_bytes()) as usize;
    let digit = |place| char::from(DIGITS[sum / 62_usize.pow(place) % 62]);
    body + &(0..6).rev().map(digit).collect::<String>()
}
