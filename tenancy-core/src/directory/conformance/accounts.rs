//! Accounts of the service, and password resets.

use std::time::Duration;

use super::slug;
use crate::{
    Account, AccountChange, AccountKey, AccountStore, Actor, AuditEntry, ChangeRecord,
    EmailAddress, ExternalSubject, NewPasswordReset, Outcome, PasswordResetStore, RevokedBefore,
    StoreErrorKind, Timestamp, TokenRevocationDirectory, TokenSubject, UsedPasswordReset, UserId,
    key::SecretHash, one_time::OneTimeDigest,
};

/// Runs all that concerns accounts.
pub async fn accounts<D: AccountStore + PasswordResetStore + TokenRevocationDirectory>(
    directory: &D,
) {
    accounts_are_found_as_they_were_stored(directory).await;
    an_address_and_a_subject_are_one_accounts(directory).await;
    changes_of_accounts_are_kept_and_take_tokens_back(directory).await;
    a_hash_is_renewed_if_it_is_the_expected_one(directory).await;
    a_reset_is_used_once(directory).await;
    a_reset_counts_for_its_address_until_it_is_replaced_or_expires(directory).await;
}

/// A store may write no other entries without a tenant.
fn record() -> ChangeRecord {
    let now = Timestamp::from(std::time::SystemTime::now());
    let entry = AuditEntry::new(now, "account.change", Outcome::Allowed);
    ChangeRecord::new(entry.actor(Actor::System))
}

fn email() -> EmailAddress {
    format!("{}@example.com", slug("alice")).parse().unwrap()
}

fn subject() -> ExternalSubject {
    ExternalSubject::new("https://login.example.com", slug("sub").as_str()).unwrap()
}

fn hash(text: &str) -> SecretHash {
    SecretHash::from_stored(text)
}

async fn made<D: AccountStore>(directory: &D) -> Account {
    let mut account = Account::with_password(email(), hash("first")).subject(subject());
    account.created_at = Timestamp::from_unix_micros(1_800_000_000_123_456);
    directory.create_account(&account, &record()).await.unwrap();
    account
}

async fn find<D: AccountStore>(directory: &D, user: UserId) -> Account {
    let found = directory.find_account(&AccountKey::User(user)).await;
    found.unwrap().unwrap()
}

async fn revoked<D: TokenRevocationDirectory>(directory: &D, user: UserId) -> RevokedBefore {
    let of = [TokenSubject::User(user)];
    directory.find_token_revocation(&of).await.unwrap()
}

/// An account is found by its id, its address and its subject, and by nothing that merely looks like them.
pub async fn accounts_are_found_as_they_were_stored<D: AccountStore>(directory: &D) {
    let account = made(directory).await;
    let other = Account::external(subject());
    directory.create_account(&other, &record()).await.unwrap();
    let of = &account.subjects[0];
    for by in [
        AccountKey::User(account.user),
        AccountKey::Email(account.email.clone().unwrap()),
        AccountKey::Subject(of.clone()),
    ] {
        let found = directory.find_account(&by).await.unwrap();
        assert_eq!(found.as_ref(), Some(&account), "{by:?}");
    }
    let swapped = ExternalSubject::new(of.subject(), of.issuer()).unwrap();
    let elsewhere = ExternalSubject::new("https://login.example.org", of.subject()).unwrap();
    let upper = ExternalSubject::new(of.issuer(), of.subject().to_uppercase()).unwrap();
    for by in [
        AccountKey::User(UserId::new()),
        AccountKey::Email(email()),
        AccountKey::Subject(swapped),
        AccountKey::Subject(elsewhere),
        AccountKey::Subject(upper),
    ] {
        assert_eq!(directory.find_account(&by).await.unwrap(), None, "{by:?}");
    }
}

/// A second account with an id, an address or a subject that is taken is a conflict, and none is added.
pub async fn an_address_and_a_subject_are_one_accounts<D: AccountStore>(directory: &D) {
    let first = made(directory).await;
    let mut same_id = Account::external(subject());
    same_id.user = first.user;
    let same_email = Account::with_password(first.email.clone().unwrap(), hash("theirs"));
    let same_subject = Account::external(first.subjects[0].clone()).email(email());
    for second in [same_id, same_email, same_subject] {
        let refused = directory.create_account(&second, &record()).await;
        assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::Conflict);
        if second.user != first.user {
            let by = AccountKey::User(second.user);
            assert_eq!(directory.find_account(&by).await.unwrap(), None);
        }
    }
    assert_eq!(find(directory, first.user).await, first);

    let other = made(directory).await;
    let link = AccountChange::Link(first.subjects[0].clone());
    let refused = directory.change_account(other.user, &link, &record()).await;
    assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::Conflict);
    let unlink = AccountChange::Unlink(first.subjects[0].clone());
    directory
        .change_account(other.user, &unlink, &record())
        .await
        .unwrap();
    assert_eq!(
        find(directory, first.user).await,
        first,
        "it is not the other's to part"
    );
}

/// A change is kept; another password and a disabled account take the user's tokens back, and nobody else's.
pub async fn changes_of_accounts_are_kept_and_take_tokens_back<
    D: AccountStore + TokenRevocationDirectory,
>(
    directory: &D,
) {
    let (mut account, other) = (made(directory).await, made(directory).await);
    let user = account.user;
    let at = |second| RevokedBefore::from_timestamp(Timestamp::from_unix_seconds(second));
    let further = ExternalSubject::new("https://sso.example.org", slug("s").as_str()).unwrap();
    for (change, expected) in [
        (AccountChange::Link(further.clone()), RevokedBefore::NONE),
        (AccountChange::Link(further.clone()), RevokedBefore::NONE),
        (
            AccountChange::Password {
                hash: hash("second"),
                revoked: at(1_800_000_100),
            },
            at(1_800_000_100),
        ),
        (
            AccountChange::Disable {
                revoked: at(1_800_000_200),
            },
            at(1_800_000_200),
        ),
        (AccountChange::Enable, at(1_800_000_200)),
        (AccountChange::Unlink(further), at(1_800_000_200)),
        // An earlier moment moves nothing back.
        (
            AccountChange::Password {
                hash: hash("third"),
                revoked: at(1_800_000_150),
            },
            at(1_800_000_200),
        ),
    ] {
        directory
            .change_account(user, &change, &record())
            .await
            .unwrap();
        change.apply(&mut account);
        assert_eq!(find(directory, user).await, account, "{change:?}");
        assert_eq!(revoked(directory, user).await, expected, "{change:?}");
        assert_eq!(revoked(directory, other.user).await, RevokedBefore::NONE);
    }
    let unknown = directory
        .change_account(UserId::new(), &AccountChange::Enable, &record())
        .await;
    assert_eq!(unknown.unwrap_err().kind(), StoreErrorKind::NotFound);
}

/// A hash that was replaced meanwhile stays.
pub async fn a_hash_is_renewed_if_it_is_the_expected_one<D: AccountStore>(directory: &D) {
    let account = made(directory).await;
    let renew = async |user, expected, new| {
        let renewed = directory
            .renew_hash(user, &hash(expected), &hash(new))
            .await;
        renewed.unwrap()
    };
    assert!(renew(account.user, "first", "renewed").await);
    assert!(!renew(account.user, "first", "stale").await);
    assert!(!renew(UserId::new(), "first", "nobody's").await);
    assert_eq!(
        find(directory, account.user).await.password,
        Some(hash("renewed"))
    );
}

struct Asked {
    reset: NewPasswordReset,
    now: Timestamp,
}

async fn asked<D: PasswordResetStore>(directory: &D, email: &EmailAddress, byte: u8) -> Asked {
    // By the stores' clocks, which clean up what has expired.
    let now = Timestamp::from(std::time::SystemTime::now());
    let digest = OneTimeDigest::new(3, [byte; 32]);
    let ends = now + Duration::from_secs(3_600);
    let reset = NewPasswordReset::new(uuid::Uuid::now_v7(), email.clone(), digest, now, ends);
    let done = directory.request_password_reset(&reset, &record()).await;
    done.unwrap();
    Asked { reset, now }
}

impl Asked {
    fn used(&self, user: UserId) -> UsedPasswordReset {
        let of = (self.reset.id, self.reset.digest.clone());
        UsedPasswordReset::new(of, user, self.now, hash("after the reset"))
    }
}

/// Of two that use a reset at once, one does; it sets the password and takes the tokens back.
pub async fn a_reset_is_used_once<
    D: AccountStore + PasswordResetStore + TokenRevocationDirectory,
>(
    directory: &D,
) {
    let account = made(directory).await;
    let asked = asked(directory, account.email.as_ref().unwrap(), 1).await;
    let found = directory.find_password_reset(asked.reset.id).await.unwrap();
    let found = found.unwrap();
    assert_eq!(
        (found.user, found.digest),
        (Some(account.user), asked.reset.digest.clone())
    );
    assert_eq!(found.expires_at, asked.reset.expires_at);
    let (used, first) = (asked.used(account.user), record());
    let both = futures_util::future::join(
        directory.use_password_reset(&used, &first),
        directory.use_password_reset(&used, &record()),
    )
    .await;
    let refused = match both {
        (Ok(()), Err(refused)) | (Err(refused), Ok(())) => refused,
        both => panic!("one uses it, and not {both:?}"),
    };
    assert_eq!(refused.kind(), StoreErrorKind::NotFound, "{refused}");
    let changed = find(directory, account.user).await;
    assert_eq!(changed.password, Some(hash("after the reset")));
    assert_eq!(revoked(directory, account.user).await, used.revoked);
    assert_eq!(
        directory.find_password_reset(asked.reset.id).await.unwrap(),
        None
    );
}

/// A reset that was replaced, has expired, has another digest, or is of an address that is another's now or nobody's,
/// changes nothing.
pub async fn a_reset_counts_for_its_address_until_it_is_replaced_or_expires<
    D: AccountStore + PasswordResetStore,
>(
    directory: &D,
) {
    let account = made(directory).await;
    let own = account.email.clone().unwrap();
    let before = asked(directory, &own, 1).await;
    let open = asked(directory, &own, 2).await;
    assert_eq!(
        directory
            .find_password_reset(before.reset.id)
            .await
            .unwrap(),
        None
    );
    let nobodys = asked(directory, &email(), 3).await;
    let found = directory
        .find_password_reset(nobodys.reset.id)
        .await
        .unwrap();
    assert_eq!(found.unwrap().user, None, "it is kept all the same");

    let mut expired = open.used(account.user);
    expired.now = open.reset.expires_at;
    let mut other_digest = open.used(account.user);
    other_digest.digest = OneTimeDigest::new(3, [9; 32]);
    for used in [
        before.used(account.user),
        nobodys.used(account.user),
        open.used(made(directory).await.user),
        expired,
        other_digest,
    ] {
        let refused = directory.use_password_reset(&used, &record()).await;
        assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::NotFound);
    }
    assert_eq!(find(directory, account.user).await, account);
    // Nothing of what was refused has ended it.
    let found = directory.find_password_reset(open.reset.id).await.unwrap();
    assert_eq!(found.and_then(|found| found.user), Some(account.user));

    let at = RevokedBefore::from_timestamp(Timestamp::from_unix_seconds(1_800_000_000));
    let disable = AccountChange::Disable { revoked: at };
    directory
        .change_account(account.user, &disable, &record())
        .await
        .unwrap();
    let used = directory
        .use_password_reset(&open.used(account.user), &record())
        .await;
    assert_eq!(
        used.unwrap_err().kind(),
        StoreErrorKind::NotFound,
        "it is disabled"
    );
    directory
        .change_account(account.user, &AccountChange::Enable, &record())
        .await
        .unwrap();
    let used = directory
        .use_password_reset(&open.used(account.user), &record())
        .await;
    assert_eq!(
        used.unwrap_err().kind(),
        StoreErrorKind::NotFound,
        "what was open ended when the account was disabled"
    );
    // So it does with another password.
    let open = asked(directory, &own, 4).await;
    let password = AccountChange::Password {
        hash: hash("chosen meanwhile"),
        revoked: at,
    };
    directory
        .change_account(account.user, &password, &record())
        .await
        .unwrap();
    let used = directory
        .use_password_reset(&open.used(account.user), &record())
        .await;
    assert_eq!(used.unwrap_err().kind(), StoreErrorKind::NotFound);
}
