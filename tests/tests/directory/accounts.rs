//! Accounts that the library keeps: signing in, and resetting a password by a mail from the outbox.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use futures_util::future::join_all;
use tenancy_core::{
    Account, Accounts, Clock as _, EmailAddress, ManualClock, PasswordError, PasswordResets,
    PasswordVerdict, Passwords, SystemClock, Tenancy, TenantKey, Timestamp,
    key::{LowEntropySecret, Pepper, SecretHasher},
    one_time::OneTimeTokens,
    outbox::{ClaimRequest, Outbox as _, Start},
    testing::{FakeRequest, StoreDirectly as _, service},
};
use tenancy_core::{Membership, SystemRole};
use tenancy_sqlx::PgOutbox;
use tenancy_tests::{
    logwatch,
    notes::{ISSUER, Notes, PEPPER, builder, on_every_server},
};

use super::{
    admit_request,
    registry::{directory, engine},
    token_of,
};

const RIGHT: &str = "correct horse battery staple";
const NEW: &str = "another battery for a horse";

struct World {
    tenancy: Tenancy,
    accounts: Accounts,
    passwords: Passwords,
    resets: PasswordResets,
    alice: Account,
}

fn secret(text: &str) -> anyhow::Result<LowEntropySecret> {
    Ok(LowEntropySecret::new(text)?)
}

fn address() -> anyhow::Result<EmailAddress> {
    Ok("alice@example.com".parse()?)
}

async fn world(notes: &Notes) -> anyhow::Result<World> {
    for text in [RIGHT, NEW] {
        logwatch::issued(text);
    }
    let tenancy = engine(&directory(notes).await?)?;
    let passwords = Passwords::builder().build()?;
    let accounts = tenancy.accounts(service());
    let hash = passwords.hash(secret(RIGHT)?).await?;
    let alice = Account::with_password(address()?, hash);
    accounts.create(&alice).await?;
    let tokens = OneTimeTokens::new(Pepper::new(1, PEPPER)?);
    Ok(World {
        resets: accounts.resets(passwords.clone(), tokens),
        tenancy,
        accounts,
        passwords,
        alice,
    })
}

impl World {
    async fn signs_in(&self, password: &str) -> anyhow::Result<bool> {
        let address = address()?;
        let done = self
            .accounts
            .sign_in(&self.passwords, &address, secret(password)?, None);
        let done = done.await.map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
        Ok(done.is_some_and(|account| account.user == self.alice.user))
    }
}

#[tokio::test]
async fn a_reset_is_mailed_from_the_outbox_and_ends_what_the_old_password_began()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        let w = world(notes).await?;
        let owner = Membership::new(notes.acme.id, w.alice.user, SystemRole::Owner.name());
        notes.directory.put_membership(&owner).await?;
        let before = SystemClock.now() - std::time::Duration::from_secs(60);
        let token_from = |moment: Timestamp| token_of(ISSUER, w.alice.user, moment);
        let host = format!("{}.notes.example", notes.acme.slug);
        let asks = async |token: &str| {
            let request = FakeRequest::new("/notes")
                .header("host", &host)
                .bearer(token);
            admit_request(&w.tenancy, &request, tenancy_core::RouteNeeds::tenant()).await
        };
        let old = token_from(before)?;
        assert!(asks(&old).await.is_ok());
        assert!(w.signs_in(RIGHT).await? && !w.signs_in(NEW).await?);

        let outbox = PgOutbox::new(&notes.system);
        let mut request = ClaimRequest::new("mail".parse()?);
        request.start = Start::Now;
        let claim = outbox.claim(&request).await?;
        let claim = claim.ok_or_else(|| anyhow::anyhow!("somebody has the lease"))?;
        for asked in [address()?, "nobody@example.com".parse()?] {
            let done = w.resets.request(&asked, None).await;
            done.map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
        }
        let page = outbox.next_page(&claim, 10).await?.new;
        assert_eq!(page.len(), 2, "each is told of");
        let mut mails = Vec::new();
        for event in &page {
            let shown = format!("{:?}", event.payload);
            assert!(
                !shown.contains("example.com") && !shown.contains("reset_"),
                "{shown}"
            );
            mails.extend(w.resets.mail(event).await?);
        }
        assert_eq!(mails.len(), 1, "and one is mailed");
        let token = mails[0].token.expose();
        logwatch::issued(token.rsplit_once('_').map_or(token, |(_, secret)| secret));
        let uses =
            (0..8).map(|_| async { Ok(w.resets.reset(token, secret(NEW)?, None).await.is_ok()) });
        let uses: Vec<bool> = join_all(uses)
            .await
            .into_iter()
            .collect::<anyhow::Result<_>>()?;
        assert_eq!(uses.iter().filter(|used| **used).count(), 1, "{uses:?}");
        assert!(w.signs_in(NEW).await? && !w.signs_in(RIGHT).await?);
        assert!(
            asks(&old).await.is_err(),
            "the token was issued for the old password"
        );
        // Another process hears of it from the database.
        let other = engine(&directory(notes).await?)?;
        let request = FakeRequest::new("/notes")
            .header("host", &host)
            .bearer(&old);
        let there = admit_request(&other, &request, tenancy_core::RouteNeeds::tenant()).await;
        assert!(there.is_err());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_account_is_no_tenants_and_a_disabled_one_signs_in_no_more() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let w = world(notes).await?;
        assert!(w.signs_in(RIGHT).await?);
        w.accounts.disable(w.alice.user).await?;
        assert!(!w.signs_in(RIGHT).await?);
        w.accounts.enable(w.alice.user).await?;
        assert!(w.signs_in(RIGHT).await?);
        let trail: Vec<(String, Option<uuid::Uuid>)> = sqlx::query_as(
            "SELECT action, tenant_id FROM tenancy.audit_entries WHERE action LIKE 'account.%' ORDER BY id",
        )
        .fetch_all(&mut notes.database.admin().await?)
        .await?;
        let actions: Vec<_> = trail.iter().map(|(action, _)| action.as_str()).collect();
        assert_eq!(actions, ["account.create", "account.disable", "account.enable"]);
        assert!(trail.iter().all(|(_, tenant)| tenant.is_none()));
        // A caller's authority is good for the caller's tenant.
        let slug = TenantKey::Slug(notes.acme.slug.clone());
        assert!(tenancy_core::TenantDirectory::find_tenant(&notes.directory, &slug).await?.is_some());
        let own = notes.context(&notes.acme).authority("notes:read");
        let own = own.map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
        let refused = notes.tenancy.accounts(own).find(w.alice.user).await;
        let refused = refused.err().map(|error| error.kind());
        assert_eq!(refused, Some(tenancy_core::StoreErrorKind::Forbidden));
        Ok(())
    })
    .await
}

/// On threads that really run side by side.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_sign_ins_at_once_each_is_right_or_told_to_come_again() -> anyhow::Result<()> {
    let two = NonZeroUsize::new(2).unwrap_or(NonZeroUsize::MIN);
    let hasher = SecretHasher::with_parallelism(two).cost(7 * 1024, 5)?;
    let passwords = Passwords::builder()
        .hasher(hasher)
        .attempts_per_account(1_000)
        .attempts_per_address(1_000)
        .build()?;
    let stored = Arc::new(passwords.hash(secret(RIGHT)?).await?);
    let all = (0..64).map(|number| {
        let (passwords, stored) = (passwords.clone(), Arc::clone(&stored));
        tokio::spawn(async move {
            let account = format!("account {number}");
            let attempt = LowEntropySecret::new(RIGHT).map_err(|_| PasswordError::Failed)?;
            passwords
                .verify(&account, None, Some(&stored), attempt)
                .await
        })
    });
    let (mut right, mut busy) = (0, 0);
    for one in join_all(all).await {
        match one? {
            Ok(PasswordVerdict::Right { .. }) => right += 1,
            Err(PasswordError::Busy) => busy += 1,
            other => anyhow::bail!("neither right nor sent away: {other:?}"),
        }
    }
    assert_eq!(right + busy, 64);
    // Two run and eight wait at a time; the others came while these ten had their places.
    assert!(right >= 10, "{right}");
    Ok(())
}

/// A process whose clock is two hours slow mails a reset that is good for an hour, and one whose clock is right another: by
/// the database's clock the first is over, also in the process that has made it.
#[tokio::test]
async fn of_clocks_that_differ_the_earliest_end_of_a_reset_counts() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        const HOUR: Duration = Duration::from_secs(3_600);
        let right = world(notes).await?;
        let clock = Arc::new(ManualClock::at(SystemClock.now() - 2 * HOUR));
        let slow = builder(directory(notes).await?)?.clock(clock).build()?;
        let tokens = OneTimeTokens::new(Pepper::new(1, PEPPER)?);
        let slow = slow
            .accounts(service())
            .resets(right.passwords.clone(), tokens);
        let outbox = PgOutbox::new(&notes.system);
        let mut request = ClaimRequest::new("mail".parse()?);
        request.start = Start::Now;
        let claim = outbox.claim(&request).await?;
        let claim = claim.ok_or_else(|| anyhow::anyhow!("somebody has the lease"))?;
        for (asked_of, wanted) in [(&slow, false), (&right.resets, true)] {
            let asked = asked_of.request(&address()?, None).await;
            asked.map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
            let page = outbox.next_page(&claim, 10).await?;
            let event = page.new.last().ok_or_else(|| anyhow::anyhow!("no event"))?;
            let mail = asked_of.mail(event).await?;
            let mail = mail.ok_or_else(|| anyhow::anyhow!("no mail"))?;
            let token = mail.token.expose();
            logwatch::issued(token.rsplit_once('_').map_or(token, |(_, secret)| secret));
            let done = slow.reset(token, secret(NEW)?, None).await;
            match done {
                Ok(_) => assert!(wanted),
                Err(refused) => {
                    assert!(!wanted, "{refused}");
                    assert_eq!(refused.reason(), "password-reset-unknown");
                }
            }
            assert_eq!(right.signs_in(NEW).await?, wanted);
        }
        Ok(())
    })
    .await
}
