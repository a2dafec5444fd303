//! TokenRevocations: what [`TokenRevocationDirectory`](crate::TokenRevocationDirectory) and the feed promise about them.

use std::{sync::Arc, time::Duration};

use super::super::{Directory, DirectoryStore, FeedCursor};
use crate::{
    RevokedBefore, ServiceId, TenantId, Timestamp, TokenSubject, UserId, testing::unattributed,
};

const FIRST: i64 = 1_700_000_000;

fn revoked_before(seconds: i64) -> RevokedBefore {
    RevokedBefore::from_timestamp(Timestamp::from_unix_seconds(FIRST + seconds))
}

/// Subjects that nothing else is about.
fn subjects() -> [TokenSubject; 4] {
    let issuer: Arc<str> = format!("https://\u{e4}.example/'{}\"; --", UserId::new()).into();
    [
        TokenSubject::Issuer(issuer),
        TokenSubject::User(UserId::new()),
        TokenSubject::Service(ServiceId::new()),
        TokenSubject::Tenant(TenantId::new()),
    ]
}

/// What the feed tells of a subject.
async fn told<D: Directory>(
    directory: &D,
    cursor: Option<FeedCursor>,
    of: &TokenSubject,
) -> Option<RevokedBefore> {
    let page = directory.changes_since(cursor).await.unwrap();
    let revoked_before = page.token_revocations.iter().find(|(about, _)| about == of);
    revoked_before.map(|(_, revoked_before)| *revoked_before)
}

/// A token revocation is found by its subject alone, is raised and never lowered, and the newest counts.
pub async fn token_revocations_never_move_back<D: Directory + DirectoryStore>(directory: &D) {
    let subjects = subjects();
    for of in &subjects {
        let found = async || {
            directory
                .find_token_revocation(std::slice::from_ref(of))
                .await
                .unwrap()
        };
        assert_eq!(found().await, RevokedBefore::NONE, "{of}");
        for (to, then) in [(10, 10), (5, 10), (10, 10), (20, 20)] {
            directory
                .revoke_before(of, revoked_before(to), &unattributed())
                .await
                .unwrap();
            assert_eq!(found().await, revoked_before(then), "{of}");
        }
    }
    let [issuer, user, ..] = &subjects;
    let both = [user.clone(), issuer.clone()];
    directory
        .revoke_before(issuer, revoked_before(30), &unattributed())
        .await
        .unwrap();
    assert_eq!(
        directory.find_token_revocation(&both).await.unwrap(),
        revoked_before(30)
    );
    assert_eq!(
        directory.find_token_revocation(&[]).await.unwrap(),
        RevokedBefore::NONE
    );
    // The same id as something else is somebody else.
    if let TokenSubject::User(id) = user {
        let namesake = TokenSubject::Tenant(TenantId::from_uuid(id.as_uuid()));
        assert_eq!(
            directory.find_token_revocation(&[namesake]).await.unwrap(),
            RevokedBefore::NONE
        );
    }
    let micros = Timestamp::from_unix_seconds(FIRST + 40) + Duration::from_micros(1);
    let exact = RevokedBefore::from_timestamp(micros);
    directory
        .revoke_before(issuer, exact, &unattributed())
        .await
        .unwrap();
    assert_eq!(directory.find_token_revocation(&both).await.unwrap(), exact);
}

/// The feed tells of what was raised since a cursor, and of everything to whoever has none.
pub async fn token_revocations_are_told<D: Directory + DirectoryStore>(directory: &D) {
    for of in subjects() {
        let before = directory.changes_since(None).await.unwrap().cursor;
        assert_eq!(told(directory, None, &of).await, None);
        directory
            .revoke_before(&of, revoked_before(10), &unattributed())
            .await
            .unwrap();
        let page = directory.changes_since(Some(before.clone())).await.unwrap();
        assert_eq!(
            told(directory, Some(before), &of).await,
            Some(revoked_before(10))
        );
        directory
            .revoke_before(&of, revoked_before(20), &unattributed())
            .await
            .unwrap();
        let again = told(directory, Some(page.cursor), &of).await;
        assert_eq!(again, Some(revoked_before(20)));
        assert_eq!(told(directory, None, &of).await, Some(revoked_before(20)));
    }
}

/// What is older than a moment is forgotten, and nothing else. The moment lies before that of any
/// other token revocation.
pub async fn old_token_revocations_are_forgotten<D: Directory + DirectoryStore>(directory: &D) {
    let [old, new, ..] = subjects();
    directory
        .revoke_before(&old, revoked_before(-20), &unattributed())
        .await
        .unwrap();
    directory
        .revoke_before(&new, revoked_before(-10), &unattributed())
        .await
        .unwrap();
    let forgotten = directory
        .forget_token_revocations(revoked_before(-10), &unattributed())
        .await
        .unwrap();
    assert_eq!(forgotten, 1);
    assert_eq!(told(directory, None, &old).await, None);
    assert_eq!(told(directory, None, &new).await, Some(revoked_before(-10)));
}
