//! What happens with invitations, and with the addresses that they are for.

use super::{super::Visitor, World, two};

/// Counts the invitations that can be accepted.
pub(super) const OPEN: &str = "SELECT count(*) FROM tenancy.invitations WHERE state = 'pending'";

const MEMBERS: &str = "SELECT count(*) FROM tenancy.memberships";

/// The link that is mailed to somebody who is invited to acme.
pub(super) async fn invite(
    world: &World,
    owner: &mut Visitor,
    email: &str,
    role: &str,
) -> anyhow::Result<String> {
    let form = [("email", email), ("role", role)];
    let page = owner.send("/o/acme/invitations", &form).await?;
    page.assert_redirect("/o/acme/members");
    world.mail(email, "/invitations/").await
}

/// The path below which the one invitation of acme is changed.
async fn invitation(owner: &mut Visitor) -> anyhow::Result<String> {
    let page = owner.open("/o/acme/members").await?;
    let (before, _) = page.text.split_once("/resend\"").unwrap();
    let (_, id) = before.rsplit_once("/o/acme/invitations/").unwrap();
    Ok(format!("/o/acme/invitations/{id}"))
}

pub(crate) async fn an_invitation_lets_one_person_join_once(world: &World) -> anyhow::Result<()> {
    let (mut alice, mut bob) = two(world).await?;
    let mut carol = world.person("carol").await?;
    world.confirm(&mut bob, "bob").await?;
    world.confirm(&mut carol, "carol").await?;
    let link = invite(world, &mut alice, "bob@example.com", "viewer").await?;
    alice
        .open("/o/acme/members")
        .await?
        .assert_shows("bob@example.com");

    let mut nobody = world.visitor()?;
    let page = nobody.open(&link).await?;
    page.assert_page(200);
    page.assert_shows("Join The acme people");
    page.assert_shows(&format!("/login?next={link}"));
    page.assert_shows("b…@example.com");
    page.assert_shows_no("bob@example.com");
    nobody.send(&link, &[]).await?.assert_page(401);

    bob.open("/o/acme/notes").await?.assert_page(404);
    bob.send(&link, &[]).await?.assert_redirect("/o/acme/notes");
    let page = bob.open("/o/acme/notes").await?;
    page.assert_page(200);
    page.assert_shows("Acme&#39;s plan");
    page.assert_shows_no("A new note");
    bob.send("/o/acme/notes", &[("title", "No")])
        .await?
        .assert_page(403);
    let page = alice.open("/o/acme/members").await?;
    page.assert_shows("bob");
    page.assert_shows_no("bob@example.com");

    // The link has worked once.
    for person in [&mut bob, &mut carol, &mut nobody] {
        person.open(&link).await?.assert_page(404);
    }
    for person in [&mut bob, &mut carol] {
        person.send(&link, &[]).await?.assert_page(404);
    }
    carol.open("/o/acme/notes").await?.assert_page(404);
    assert_eq!(world.count(MEMBERS).await?, 3);

    // Whoever is a member already keeps the role, and the invitation stays.
    let again = invite(world, &mut alice, "bob@example.com", "admin").await?;
    let page = bob.send(&again, &[]).await?;
    page.assert_page(422);
    page.assert_shows("You are a member already.");
    assert_eq!(world.count(OPEN).await?, 1);
    let viewer = "SELECT count(*) FROM tenancy.memberships WHERE role = 'viewer'";
    assert_eq!(world.count(viewer).await?, 1);
    Ok(())
}

pub(crate) async fn an_invitation_is_for_whoever_has_shown_its_address(
    world: &World,
) -> anyhow::Result<()> {
    let (mut alice, mut bob) = two(world).await?;
    let mut carol = world.person("carol").await?;
    world.confirm(&mut carol, "carol").await?;
    let link = invite(world, &mut alice, "bob@example.com", "member").await?;

    // Another address, which is confirmed.
    carol.open(&link).await?.assert_page(200);
    carol.send(&link, &[]).await?.assert_page(404);
    // The right address, which somebody has typed and nobody has confirmed.
    let page = bob.send(&link, &[]).await?;
    page.assert_page(422);
    page.assert_shows("Confirm your address first");
    page.assert_shows("Send another link");
    assert_eq!(
        (world.count(OPEN).await?, world.count(MEMBERS).await?),
        (1, 2)
    );
    for stranger in [&mut carol, &mut bob] {
        stranger.open("/o/acme/notes").await?.assert_page(404);
    }

    world.confirm(&mut bob, "bob").await?;
    bob.open(&link).await?.assert_shows_no("Send another link");
    bob.send(&link, &[]).await?.assert_redirect("/o/acme/notes");
    assert_eq!(
        (world.count(OPEN).await?, world.count(MEMBERS).await?),
        (0, 3)
    );
    Ok(())
}

pub(crate) async fn another_link_replaces_the_one_before(world: &World) -> anyhow::Result<()> {
    let (mut alice, mut bob) = two(world).await?;
    world.confirm(&mut bob, "bob").await?;
    let first = invite(world, &mut alice, "bob@example.com", "member").await?;
    bob.open(&first).await?.assert_page(200);

    let again = [("email", "BOB@example.com"), ("role", "member")];
    let page = alice.send("/o/acme/invitations", &again).await?;
    page.assert_page(422);
    page.assert_shows("This address has an invitation already.");
    page.assert_shows(r#"value="BOB@example.com""#);

    let path = invitation(&mut alice).await?;
    let page = alice.send(&format!("{path}/resend"), &[]).await?;
    page.assert_redirect("/o/acme/members");
    let second = world.mail("bob@example.com", "/invitations/").await?;
    assert_ne!(first, second);
    bob.open(&first).await?.assert_page(404);
    bob.send(&first, &[]).await?.assert_page(404);
    assert_eq!(
        (world.count(OPEN).await?, world.count(MEMBERS).await?),
        (1, 2)
    );
    bob.open(&second).await?.assert_page(200);
    bob.send(&second, &[])
        .await?
        .assert_redirect("/o/acme/notes");
    Ok(())
}

pub(crate) async fn an_invitation_that_was_taken_back_admits_nobody(
    world: &World,
) -> anyhow::Result<()> {
    let (mut alice, mut bob) = two(world).await?;
    let mut carol = world.person("carol").await?;
    world.confirm(&mut carol, "carol").await?;
    let link = invite(world, &mut alice, "carol@example.com", "member").await?;
    let path = invitation(&mut alice).await?;

    // Another organization's owner reaches it by neither path.
    for path in [path.clone(), path.replace("acme", "globex")] {
        for change in ["resend", "revoke"] {
            let page = bob.send(&format!("{path}/{change}"), &[]).await?;
            page.assert_page(404);
        }
    }
    let untouched =
        "SELECT count(*) FROM tenancy.invitations WHERE state = 'pending' AND rotation = 0";
    assert_eq!(world.count(untouched).await?, 1);

    let page = alice.send(&format!("{path}/revoke"), &[]).await?;
    page.assert_redirect("/o/acme/members");
    assert_eq!(world.count(OPEN).await?, 0);
    let page = alice.open("/o/acme/members").await?;
    page.assert_shows_no("carol@example.com");
    carol.open(&link).await?.assert_page(404);
    carol.send(&link, &[]).await?.assert_page(404);
    assert_eq!(world.count(MEMBERS).await?, 2);
    for change in ["resend", "revoke"] {
        let page = alice.send(&format!("{path}/{change}"), &[]).await?;
        page.assert_page(409);
    }
    Ok(())
}

pub(crate) async fn nobody_invites_to_more_than_they_may_give(world: &World) -> anyhow::Result<()> {
    let (mut alice, mut bob) = two(world).await?;
    world.confirm(&mut bob, "bob").await?;
    let link = invite(world, &mut alice, "bob@example.com", "admin").await?;
    bob.send(&link, &[]).await?.assert_redirect("/o/acme/notes");
    for (role, status) in [("owner", 403), ("pirate", 403), ("No role", 422)] {
        let form = [("email", "carol@example.com"), ("role", role)];
        let page = bob.send("/o/acme/invitations", &form).await?;
        page.assert_page(status);
    }
    let form = [("email", "carol"), ("role", "member")];
    let page = bob.send("/o/acme/invitations", &form).await?;
    page.assert_page(422);
    page.assert_shows("That is no email address.");
    assert_eq!(world.count(OPEN).await?, 0);
    invite(world, &mut bob, "carol@example.com", "member").await?;
    assert_eq!(world.count(OPEN).await?, 1);
    Ok(())
}

pub(crate) async fn what_was_invited_is_seen_by_those_who_may_invite(
    world: &World,
) -> anyhow::Result<()> {
    let (mut alice, mut bob) = two(world).await?;
    world.confirm(&mut bob, "bob").await?;
    let link = invite(world, &mut alice, "bob@example.com", "member").await?;
    bob.send(&link, &[]).await?.assert_redirect("/o/acme/notes");
    invite(world, &mut alice, "carol@example.com", "member").await?;
    let path = invitation(&mut alice).await?;

    alice
        .open("/o/acme/members")
        .await?
        .assert_shows("carol@example.com");
    let page = bob.open("/o/acme/members").await?;
    page.assert_page(200);
    page.assert_shows("alice");
    page.assert_shows_no("carol@example.com");
    page.assert_shows_no("/o/acme/invitations");
    // Bob's own organization has none of them.
    let page = bob.open("/o/globex/members").await?;
    page.assert_shows("/o/globex/invitations");
    page.assert_shows_no("carol@example.com");
    let form = [("email", "dora@example.com"), ("role", "viewer")];
    for target in [
        "/o/acme/invitations".to_owned(),
        format!("{path}/resend"),
        format!("{path}/revoke"),
    ] {
        bob.send(&target, &form).await?.assert_page(403);
    }
    assert_eq!(world.count(OPEN).await?, 1);
    Ok(())
}

pub(crate) async fn an_address_is_confirmed_by_its_account_alone(
    world: &World,
) -> anyhow::Result<()> {
    const CONFIRMED: &str = "SELECT count(*) FROM accounts WHERE confirmed_at IS NOT NULL";
    let (mut alice, mut bob) = two(world).await?;
    let first = world.mail("bob@example.com", "/confirm/").await?;
    let mut nobody = world.visitor()?;
    nobody
        .open(&first)
        .await?
        .assert_shows(&format!("/login?next={first}"));
    nobody.send(&first, &[]).await?.assert_page(401);
    nobody.send("/confirm", &[]).await?.assert_page(401);
    alice.send(&first, &[]).await?.assert_page(404);

    bob.open("/organizations")
        .await?
        .assert_shows("Send another link");
    let page = bob.send("/confirm", &[]).await?;
    page.assert_redirect("/organizations");
    let second = world.mail("bob@example.com", "/confirm/").await?;
    bob.send(&first, &[]).await?.assert_page(404);
    // A link that was opened, as programs that look for malware do, confirms nothing.
    bob.open(&second).await?.assert_page(200);
    assert_eq!(world.count(CONFIRMED).await?, 0);
    bob.send(&second, &[])
        .await?
        .assert_redirect("/organizations");
    let bobs = format!("{CONFIRMED} AND email = 'bob@example.com'");
    assert_eq!(world.count(&bobs).await?, 1);
    bob.send(&second, &[]).await?.assert_page(404);
    bob.open("/organizations")
        .await?
        .assert_shows_no("Send another link");

    // A link that is too old.
    let third = world.mail("alice@example.com", "/confirm/").await?;
    let mut admin = world.database.admin().await?;
    let age = "UPDATE accounts SET link_made_at = now() - interval '25 hours' WHERE name = 'alice'";
    sqlx::Executor::execute(&mut admin, age).await?;
    sqlx::Connection::close(admin).await?;
    alice.send(&third, &[]).await?.assert_page(404);
    assert_eq!(world.count(CONFIRMED).await?, 1);
    Ok(())
}

pub(crate) async fn an_event_that_comes_twice_is_one_mail(world: &World) -> anyhow::Result<()> {
    let (mut alice, _) = two(world).await?;
    let handled = "SELECT count(*) FROM tenancy.outbox_consumers AS c, tenancy.outbox_head AS h \
                   WHERE h.place > 0 AND c.place = h.place";
    let link = invite(world, &mut alice, "bob@example.com", "member").await?;
    world.until(handled).await?;
    let mails = world.mails_with(&link)?;
    assert_eq!(mails.len(), 1);
    std::fs::remove_file(&mails[0])?;

    // Nobody knows any more what was handled, as after a restore.
    let mut admin = world.database.admin().await?;
    sqlx::Executor::execute(&mut admin, "DELETE FROM tenancy.outbox_consumers").await?;
    sqlx::Connection::close(admin).await?;
    world.until(handled).await?;
    assert_eq!(world.mails_with(&link)?, mails);
    Ok(())
}
