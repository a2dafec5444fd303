//! Invitations in PostgreSQL: by the registry login, across processes, without a token in any row.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use sqlx::Connection as _;
use tenancy_core::{
    Clock as _, EmailAddress, Invitations, InviteOutcome, ManualClock, MembershipDirectory as _,
    PlanBook, Refusal, StoreErrorKind, SystemClock, SystemRole, Tenancy, UserId, VerifiedEmail,
    invitation::{Invitation, InvitationFilter, NewInvitation},
    key::Pepper,
    one_time::OneTimeTokens,
    outbox::{ClaimRequest, Outbox as _, Start},
    quota::{Limit, Meter, Quotas},
    testing::service,
};
use tenancy_sqlx::{PgDirectory, PgOutbox};
use tenancy_tests::{
    logwatch,
    notes::{Notes, builder, on_every_server, sqlstate},
};

use crate::registry::directory;

fn engine(directory: &PgDirectory, seats: Option<u64>) -> anyhow::Result<Tenancy> {
    let tokens = OneTimeTokens::new(Pepper::new(1, [9; 32])?);
    let builder = builder(directory.clone())?.invitations(tokens);
    let Some(seats) = seats else {
        return Ok(builder.build()?);
    };
    let book = PlanBook::new()
        .plan("free", ["*"])
        .limits("free", [Limit::held("members", seats)])
        .for_tenants_without_plan("free");
    let builder = builder
        .quotas(Quotas::new().meter(Meter::held("members")))
        .plans(book)
        .seats("members", directory.clone());
    Ok(builder.build()?)
}

fn invitations(tenancy: &Tenancy) -> Invitations {
    tenancy.invitations(service())
}

fn new(notes: &Notes, address: &str) -> anyhow::Result<NewInvitation> {
    let role = SystemRole::Member.name();
    Ok(NewInvitation::new(notes.acme.id, address.parse()?, role))
}

async fn link(tenancy: &Tenancy, invitation: &Invitation) -> anyhow::Result<String> {
    let mail = invitations(tenancy).mail(invitation.id).await?;
    let mail = mail.ok_or_else(|| anyhow::anyhow!("nothing is to be mailed"))?;
    let token = mail.token().expose().to_owned();
    logwatch::issued(token.rsplit('_').next().unwrap_or_default());
    Ok(token)
}

fn verified(address: &str) -> anyhow::Result<VerifiedEmail> {
    let address: EmailAddress = address.parse()?;
    Ok(VerifiedEmail::vouched_by_application(address))
}

fn told<T: std::fmt::Debug>(refused: Result<T, Refusal>) -> &'static str {
    refused
        .err()
        .map_or("nothing was refused", |refusal| refusal.reason())
}

/// Two processes, each with connections of its own, take one link at once.
#[tokio::test]
async fn one_of_those_who_accept_in_two_processes_joins() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let here = engine(&directory(notes).await?, None)?;
        let there = engine(&directory(notes).await?, None)?;
        let invitation = invitations(&here)
            .invite(&new(notes, "ann@example.org")?)
            .await?;
        let link = link(&there, &invitation).await?;
        let email = verified("Ann@Example.org")?;
        let bob = verified("bob@example.org")?;
        let other = here.accept_invitation(&link, UserId::new(), &bob).await;
        assert_eq!(told(other), "invitation-other-address");

        let engines = [&here, &there];
        let users: Vec<_> = (0..6).map(|_| UserId::new()).collect();
        let each = users.iter().zip(engines.iter().cycle());
        let each = each.map(|(user, engine)| engine.accept_invitation(&link, *user, &email));
        let outcomes = join_all(each).await;
        assert_eq!(
            outcomes.iter().filter(|one| one.is_ok()).count(),
            1,
            "{outcomes:?}"
        );
        for outcome in outcomes {
            if let Err(refusal) = outcome {
                assert_eq!(refusal.reason(), "invitation-over");
            }
        }
        // With both owners.
        assert_eq!(notes.count("tenancy.memberships", &notes.acme).await?, 3);
        let mut admin = notes.database.admin().await?;
        let entries =
            "SELECT count(*) FROM tenancy.audit_entries WHERE action = 'invitation.accept'
            AND outcome = 'allowed' AND actor_kind = 'user' AND tenant_id = $1";
        let entries: i64 = sqlx::query_scalar(entries)
            .bind(notes.acme.id.as_uuid())
            .fetch_one(&mut admin)
            .await?;
        assert_eq!(entries, 1, "one entry, written with the membership");
        Ok(admin.close().await?)
    })
    .await
}

/// n8n#24050: a consumer hears of an invitation once, after its commit, and no row has its token or shows its address.
#[tokio::test]
async fn the_mail_follows_the_commit_and_no_row_has_the_token() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let tenancy = engine(&directory(notes).await?, None)?;
        let outbox = PgOutbox::new(&notes.system);
        let mut request = ClaimRequest::new("mails".parse()?);
        request.start = Start::Now;
        let claim = outbox.claim(&request).await?;
        let claim = claim.ok_or_else(|| anyhow::anyhow!("somebody has the lease"))?;
        let many = [
            new(notes, "ann@example.org")?,
            new(notes, "bob@example.org")?,
        ];
        let outcomes = invitations(&tenancy)
            .invite_all(notes.acme.id, &many)
            .await?;
        let made: Vec<_> = (outcomes.iter())
            .filter_map(|outcome| match outcome {
                InviteOutcome::Invited(one) => Some((**one).clone()),
                _ => None,
            })
            .collect();
        let none = invitations(&tenancy).invite(&many[0]).await.unwrap_err();
        assert_eq!(none.kind(), StoreErrorKind::Conflict);

        let told = outbox.next_page(&claim, 100).await?.new;
        let to_mail: Vec<_> = told.iter().filter_map(Invitation::to_mail).collect();
        let ids: Vec<_> = made.iter().map(|one| one.id).collect();
        assert_eq!(to_mail, ids, "each once, and none of what was refused");

        let link = link(&tenancy, &made[0]).await?;
        let secret = link.rsplit('_').next().unwrap_or_default();
        let mut admin = notes.database.admin().await?;
        for (text, table, there) in [
            (secret, "tenancy.invitations", 0),
            (secret, "tenancy.outbox_events", 0),
            (secret, "tenancy.audit_entries", 0),
            ("ann@example.org", "tenancy.outbox_events", 0),
            ("ann@example.org", "tenancy.audit_entries", 0),
            ("ann@example.org", "tenancy.invitations", 1),
        ] {
            let rows = format!("SELECT count(*) FROM {table} AS t WHERE strpos(t::text, $1) > 0");
            let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(rows))
                .bind(text)
                .fetch_one(&mut admin)
                .await?;
            assert_eq!(rows, there, "{table}");
        }
        Ok(admin.close().await?)
    })
    .await
}

/// The login of the service sees no invitation, and the registry login those of the tenant that it names.
#[tokio::test]
async fn invitations_are_seen_by_those_who_write_them_alone() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let tenancy = engine(&directory(notes).await?, None)?;
        let invitation = invitations(&tenancy)
            .invite(&new(notes, "ann@example.org")?)
            .await?;
        let globex = NewInvitation::new(
            notes.globex.id,
            "ann@example.org".parse()?,
            SystemRole::Viewer.name(),
        );
        invitations(&tenancy).invite(&globex).await?;
        assert_eq!(notes.count("tenancy.invitations", &notes.acme).await?, 1);
        assert_eq!(notes.count("tenancy.invitations", &notes.globex).await?, 1);
        let all = InvitationFilter::new();
        let listed = invitations(&tenancy)
            .list(notes.acme.id, &all, None, 10)
            .await?;
        assert_eq!(listed, std::slice::from_ref(&invitation));

        let mut app = notes.app().await?;
        let find = format!("SELECT * FROM tenancy.find_invitation('{}')", invitation.id);
        for statement in ["SELECT * FROM tenancy.invitations", &find] {
            let refused = sqlx::query(sqlx::AssertSqlSafe(statement.to_owned()))
                .execute(&mut app)
                .await;
            assert_eq!(sqlstate(refused), "42501", "{statement}");
        }
        Ok(app.close().await?)
    })
    .await
}

/// dust#27364: five invitations from two processes at once, and one seat.
#[tokio::test]
async fn processes_share_the_seats() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let mine = directory(notes).await?;
        let here = Arc::new(engine(&mine, Some(3))?);
        let there = Arc::new(engine(&directory(notes).await?, Some(3))?);
        let each = (0..5).map(|number| {
            let engine = if number % 2 == 0 { &here } else { &there };
            async move {
                let new = new(notes, &format!("user{number}@example.org"))?;
                anyhow::Ok(invitations(engine).invite(&new).await)
            }
        });
        let outcomes = join_all(each).await;
        let mut made = Vec::new();
        for outcome in outcomes {
            match outcome? {
                Ok(invitation) => made.push(invitation),
                Err(full) => {
                    assert_eq!(full.kind(), StoreErrorKind::LimitReached);
                    let status = full.refusal().map(|refusal| refusal.kind().status());
                    assert_eq!(status, Some(402));
                }
            }
        }
        assert_eq!(made.len(), 1);
        let usage = there.admin(service()).usage(notes.acme.id).await?;
        assert_eq!(usage.limits[0].standing.used, 3);
        let ann = UserId::new();
        let link = link(&here, &made[0]).await?;
        let email = VerifiedEmail::vouched_by_application(made[0].email.clone());
        there.accept_invitation(&link, ann, &email).await?;
        assert!(mine.find_membership(notes.acme.id, ann).await?.is_some());
        let usage = here.admin(service()).usage(notes.acme.id).await?;
        assert_eq!(usage.limits[0].standing.used, 3, "it had its seat");
        Ok(())
    })
    .await
}

/// A process whose clock is two hours slow, and one whose clock is right: what is over by either is over.
#[tokio::test]
async fn of_clocks_that_differ_the_earliest_end_counts() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        const HOUR: Duration = Duration::from_secs(3_600);
        let now = SystemClock.now();
        let slow = Arc::new(ManualClock::at(now - 2 * HOUR));
        let tokens = OneTimeTokens::new(Pepper::new(1, [9; 32])?);
        let slow = builder(directory(notes).await?)?
            .invitations(tokens)
            .clock(slow)
            .build()?;
        let right = engine(&directory(notes).await?, None)?;
        for (lasts, wanted) in [(HOUR, false), (3 * HOUR, true)] {
            let name = if wanted {
                "bob@example.org"
            } else {
                "ann@example.org"
            };
            let one = new(notes, name)?.lasts(lasts);
            let one = invitations(&slow).invite(&one).await?;
            let link = link(&slow, &one).await?;
            let user = UserId::new();
            let by_slow = slow.accept_invitation(&link, user, &verified(name)?).await;
            let by_right = right.accept_invitation(&link, user, &verified(name)?).await;
            let member = notes.directory.find_membership(notes.acme.id, user).await?;
            assert_eq!(member.is_some(), wanted, "{by_slow:?}");
            if wanted {
                by_slow.map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
            } else {
                assert_eq!(told(by_slow), "invitation-over");
            }
            assert_eq!(told(by_right), "invitation-over");
        }
        Ok(())
    })
    .await
}

/// Ten processes at once, a thousand addresses each: each address is invited once, and is told of once.
#[tokio::test]
async fn ten_thousand_are_invited_by_ten_processes_at_once() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let engine = engine(&directory(notes).await?, None)?;
        let everybody = (0..10_000)
            .map(|number| new(notes, &format!("user{number}@example.org")))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let by = invitations(&engine);
        // Whoever finds all connections taken for too long is told so, has invited nobody, and comes again.
        let invite = async |part: &[NewInvitation]| loop {
            match by.invite_all(notes.acme.id, part).await {
                Err(busy) if busy.kind() == StoreErrorKind::Unavailable => {}
                done => break done,
            }
        };
        let parts = everybody.chunks(1_000).map(&invite);
        let twice = invite(&everybody[..1_000]);
        let (outcomes, twice) = tokio::join!(join_all(parts), twice);
        let invited = |outcomes: &[InviteOutcome]| {
            let invited = outcomes.iter();
            invited
                .filter(|one| matches!(one, InviteOutcome::Invited(_)))
                .count()
        };
        let mut all = invited(&twice?);
        for part in outcomes {
            all += invited(&part?);
        }
        assert_eq!(all, 10_000);
        let mut admin = notes.database.admin().await?;
        let kept: (i64, i64) = sqlx::query_as(
            "SELECT count(*), count(DISTINCT email) FROM tenancy.invitations WHERE tenant_id = $1",
        )
        .bind(notes.acme.id.as_uuid())
        .fetch_one(&mut admin)
        .await?;
        assert_eq!(kept, (10_000, 10_000));
        let told: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM tenancy.outbox_events WHERE kind = 'invitation.created' AND tenant_id = $1",
        )
        .bind(notes.acme.id.as_uuid())
        .fetch_one(&mut admin)
        .await?;
        assert_eq!(told, 10_000);
        Ok(admin.close().await?)
    })
    .await
}
