//! Taking something away while requests come in: once that has returned, no request that begins
//! later in the same process is admitted by it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tenancy_core::{
    Admission, Membership, RouteNeeds, SystemClock, SystemRole, Tenancy,
    key::{ApiKeys, Environment, HmacKeyHasher, IssuedKey, KeyFormat, NewKey, Pepper},
    testing::FakeRequest,
};
use tenancy_tests::{
    Random, Server, logwatch, long,
    notes::{self, Notes},
    seed,
};
use tokio::sync::Barrier;

/// Who asks at the same time.
const CALLERS: usize = 4;

/// How many requests each of them makes after what was taken away is gone.
const AFTERWARDS: u32 = 3;

#[derive(Debug, Clone, Copy)]
enum Loss {
    KeyRevoked,
    KeyDisabled,
    KeyRotated,
    AllKeysRevoked,
    MembershipRemoved,
    TenantSuspended,
}

const LOSSES: [Loss; 6] = [
    Loss::KeyRevoked,
    Loss::KeyDisabled,
    Loss::KeyRotated,
    Loss::AllKeysRevoked,
    Loss::MembershipRemoved,
    Loss::TenantSuspended,
];

impl Loss {
    async fn happen(self, engine: &Tenancy, notes: &Notes, key: &IssuedKey) -> anyhow::Result<()> {
        let (keys, admin) = (
            engine.keys()?.by(tenancy_core::testing::service()),
            engine.admin(tenancy_core::testing::service()),
        );
        let (tenant, id) = (notes.acme.id, key.record().id);
        match self {
            Self::KeyRevoked => drop(keys.revoke(tenant, id).await?),
            Self::KeyDisabled => drop(keys.disable(tenant, id).await?),
            Self::KeyRotated => drop(keys.rotate(tenant, id, Duration::ZERO).await?),
            Self::AllKeysRevoked => drop(keys.revoke_tenant(tenant).await?),
            Self::MembershipRemoved => admin.remove_membership(tenant, notes.alice).await?,
            Self::TenantSuspended => drop(admin.suspend(tenant).await?),
        }
        Ok(())
    }

    async fn undo(self, engine: &Tenancy, notes: &Notes) -> anyhow::Result<()> {
        let admin = engine.admin(tenancy_core::testing::service());
        match self {
            Self::MembershipRemoved => {
                let owner = Membership::new(notes.acme.id, notes.alice, SystemRole::Owner.name());
                admin.put_membership(&owner).await?;
            }
            Self::TenantSuspended => drop(admin.activate(notes.acme.id).await?),
            _ => {}
        }
        Ok(())
    }
}

/// Keys `notes_live_…` in the database of the notes, and an engine of its own over them.
pub(crate) fn engine_with_keys(notes: &Notes) -> anyhow::Result<Tenancy> {
    let format = KeyFormat::new("notes", Environment::Live)?;
    let hasher = HmacKeyHasher::new(Pepper::new(1, notes::PEPPER)?);
    let keys = ApiKeys::new(format, hasher, notes.directory.clone());
    let builder = notes::builder(notes.directory.clone())?;
    Ok(builder.clock(Arc::new(SystemClock)).keys(keys).build()?)
}

async fn is_admitted(engine: &Tenancy, text: &str) -> bool {
    let request = FakeRequest::new("/notes").bearer(text);
    match engine.admit(&request, RouteNeeds::tenant()) {
        Admission::Ready(answer) => answer.is_ok(),
        Admission::Pending(pending) => pending.resolve().await.is_ok(),
    }
}

#[derive(Debug, Default)]
struct Tally {
    admitted: AtomicU64,
    refused: AtomicU64,
    /// Requests that began after the loss had returned, and were admitted; must stay 0.
    too_late: AtomicU64,
}

/// Asks again and again, until some requests have begun after the loss.
async fn call(engine: Tenancy, text: Arc<str>, gone: Arc<AtomicBool>, tally: Arc<Tally>) {
    let mut afterwards = 0;
    while afterwards < AFTERWARDS {
        let late = gone.load(Ordering::SeqCst);
        let admitted = is_admitted(&engine, &text).await;
        let count = match (admitted, late) {
            (true, true) => &tally.too_late,
            (true, false) => &tally.admitted,
            (false, _) => &tally.refused,
        };
        count.fetch_add(1, Ordering::Relaxed);
        afterwards += u32::from(late);
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_revocation_has_returned_no_request_is_admitted() -> anyhow::Result<()> {
    let rounds = if long() { 2_000 } else { 60 };
    let seed = seed()?;
    for server in Server::all().await? {
        let notes = Notes::start(&server).await?;
        let engine = engine_with_keys(&notes)?;
        let mut random = Random::new(seed);
        let tally = Arc::new(Tally::default());
        for round in 0..rounds {
            let loss = *random.one_of(&LOSSES).unwrap_or(&Loss::KeyRevoked);
            let new = NewKey::new(notes.acme.id, notes.alice, "a key", ["*".parse()?]);
            let key = engine
                .keys()?
                .by(tenancy_core::testing::service())
                .issue(new)
                .await?;
            logwatch::issued_key(&key);
            // A fresh key, so that its record is being read when it is revoked; or a known one.
            if random.below(3) == 0 {
                assert!(is_admitted(&engine, key.expose()).await);
            }
            let (text, gone) = (Arc::from(key.expose()), Arc::new(AtomicBool::new(false)));
            let start = Arc::new(Barrier::new(CALLERS + 1));
            let callers: Vec<_> = (0..CALLERS)
                .map(|_| {
                    let calling = call(
                        engine.clone(),
                        Arc::clone(&text),
                        Arc::clone(&gone),
                        Arc::clone(&tally),
                    );
                    let start = Arc::clone(&start);
                    tokio::spawn(async move {
                        start.wait().await;
                        calling.await;
                    })
                })
                .collect();
            start.wait().await;
            for _ in 0..random.below(40) {
                tokio::task::yield_now().await;
            }
            loss.happen(&engine, &notes, &key).await?;
            gone.store(true, Ordering::SeqCst);
            for caller in callers {
                caller.await?;
            }
            let late = tally.too_late.load(Ordering::Relaxed);
            assert_eq!(late, 0, "seed {seed}, round {round}: {loss:?}");
            loss.undo(&engine, &notes).await?;
        }
        let (admitted, refused) = (
            tally.admitted.load(Ordering::Relaxed),
            tally.refused.load(Ordering::Relaxed),
        );
        println!("{rounds} rounds: {admitted} admitted before, {refused} refused after");
        // Otherwise nothing was tested.
        assert!(admitted > rounds && refused > rounds);
        notes.database.close().await?;
    }
    Ok(())
}
