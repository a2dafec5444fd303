//! Epochs: what [`EpochDirectory`](crate::EpochDirectory) and the feed promise about them.

use std::{sync::Arc, time::Duration};

use super::super::{Directory, DirectoryStore, FeedCursor};
use crate::{Epoch, ServiceId, TenantId, Timestamp, TokensOf, UserId, testing::unattributed};

const FIRST: i64 = 1_700_000_000;

fn epoch(seconds: i64) -> Epoch {
    Epoch::from_timestamp(Timestamp::from_unix_seconds(FIRST + seconds))
}

/// Subjects that nothing else is about.
fn subjects() -> [TokensOf; 4] {
    let issuer: Arc<str> = format!("https://\u{e4}.example/'{}\"; --", UserId::new()).into();
    [
        TokensOf::Issuer(issuer),
        TokensOf::User(UserId::new()),
        TokensOf::Service(ServiceId::new()),
        TokensOf::Tenant(TenantId::new()),
    ]
}

/// What the feed tells of a subject.
async fn told<D: Directory>(
    directory: &D,
    cursor: Option<FeedCursor>,
    of: &TokensOf,
) -> Option<Epoch> {
    let page = directory.changes_since(cursor).await.unwrap();
    let epoch = page.epochs.iter().find(|(about, _)| about == of);
    epoch.map(|(_, epoch)| *epoch)
}

/// An epoch is found by its subject alone, is raised and never lowered, and the newest counts.
pub async fn epochs_are_raised_and_never_lowered<D: Directory + DirectoryStore>(directory: &D) {
    let subjects = subjects();
    for of in &subjects {
        let found = async || {
            directory
                .find_epoch(std::slice::from_ref(of))
                .await
                .unwrap()
        };
        assert_eq!(found().await, Epoch::NONE, "{of}");
        for (to, then) in [(10, 10), (5, 10), (10, 10), (20, 20)] {
            directory
                .raise_epoch(of, epoch(to), &unattributed())
                .await
                .unwrap();
            assert_eq!(found().await, epoch(then), "{of}");
        }
    }
    let [issuer, user, ..] = &subjects;
    let both = [user.clone(), issuer.clone()];
    directory
        .raise_epoch(issuer, epoch(30), &unattributed())
        .await
        .unwrap();
    assert_eq!(directory.find_epoch(&both).await.unwrap(), epoch(30));
    assert_eq!(directory.find_epoch(&[]).await.unwrap(), Epoch::NONE);
    // The same id as something else is somebody else.
    if let TokensOf::User(id) = user {
        let namesake = TokensOf::Tenant(TenantId::from_uuid(id.as_uuid()));
        assert_eq!(
            directory.find_epoch(&[namesake]).await.unwrap(),
            Epoch::NONE
        );
    }
    let micros = Timestamp::from_unix_seconds(FIRST + 40) + Duration::from_micros(1);
    let exact = Epoch::from_timestamp(micros);
    directory
        .raise_epoch(issuer, exact, &unattributed())
        .await
        .unwrap();
    assert_eq!(directory.find_epoch(&both).await.unwrap(), exact);
}

/// The feed tells of what was raised since a cursor, and of everything to whoever has none.
pub async fn raised_epochs_are_told<D: Directory + DirectoryStore>(directory: &D) {
    for of in subjects() {
        let before = directory.changes_since(None).await.unwrap().cursor;
        assert_eq!(told(directory, None, &of).await, None);
        directory
            .raise_epoch(&of, epoch(10), &unattributed())
            .await
            .unwrap();
        let page = directory.changes_since(Some(before.clone())).await.unwrap();
        assert_eq!(told(directory, Some(before), &of).await, Some(epoch(10)));
        directory
            .raise_epoch(&of, epoch(20), &unattributed())
            .await
            .unwrap();
        let again = told(directory, Some(page.cursor), &of).await;
        assert_eq!(again, Some(epoch(20)));
        assert_eq!(told(directory, None, &of).await, Some(epoch(20)));
    }
}

/// What is older than a moment is forgotten, and nothing else. The moment lies before that of any
/// other epoch.
pub async fn old_epochs_are_forgotten<D: Directory + DirectoryStore>(directory: &D) {
    let [old, new, ..] = subjects();
    directory
        .raise_epoch(&old, epoch(-20), &unattributed())
        .await
        .unwrap();
    directory
        .raise_epoch(&new, epoch(-10), &unattributed())
        .await
        .unwrap();
    let forgotten = directory
        .forget_epochs(epoch(-10), &unattributed())
        .await
        .unwrap();
    assert_eq!(forgotten, 1);
    assert_eq!(told(directory, None, &old).await, None);
    assert_eq!(told(directory, None, &new).await, Some(epoch(-10)));
}
