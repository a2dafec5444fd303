//! The cases.

mod invitations;

pub(crate) use invitations::*;

use super::{World, world::SECRET};

/// Signed in as the owner of one organization each; the notes of both are there.
async fn two(world: &World) -> anyhow::Result<(super::Visitor, super::Visitor)> {
    let alice = world.owner("alice", "acme", "Acme's plan").await?;
    let bob = world.owner("bob", "globex", "Globex's plan").await?;
    assert_eq!(world.count("SELECT count(*) FROM notes").await?, 2);
    Ok((alice, bob))
}

pub(crate) async fn who_has_not_signed_in_is_sent_to_the_form_and_comes_back(
    world: &World,
) -> anyhow::Result<()> {
    world.owner("alice", "acme", "Acme&amp;s plan").await?;
    let mut alice = world.visitor()?;
    let page = alice.open("/o/acme/notes?page=2").await?;
    page.assert_redirect("/login?next=/o/acme/notes%3Fpage%3D2");
    assert_eq!(page.fields.get("www-authenticate"), None);
    let page = alice.open("/login?next=/o/acme/notes%3Fpage%3D2").await?;
    page.assert_page(200);
    page.assert_shows(r#"name="next" value="/o/acme/notes?page=2""#);

    let form = |next| {
        [
            ("email", "Alice@example.com"),
            ("password", SECRET),
            ("next", next),
        ]
    };
    let page = alice.send("/login", &form("/o/acme/notes?page=2")).await?;
    page.assert_redirect("/o/acme/notes?page=2");
    let page = alice.open("/o/acme/notes?page=2").await?;
    page.assert_page(200);
    // Text is text, whatever somebody writes.
    page.assert_shows("Acme&#38;amp;s plan");

    for elsewhere in [
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "",
    ] {
        let page = world.visitor()?.send("/login", &form(elsewhere)).await?;
        page.assert_redirect("/organizations");
    }
    // A program is told the problem, and to send no token that nobody reads.
    let page = world.visitor()?.fetch("/o/acme/notes").await?;
    assert_eq!(page.status, 401);
    page.assert_shows("urn:tenancy:problem:unauthenticated");
    let challenge = page.fields.get("www-authenticate");
    assert!(challenge.is_none_or(|it| it != "Bearer"), "{page:?}");
    Ok(())
}

pub(crate) async fn an_organization_has_its_own_notes_and_no_others(
    world: &World,
) -> anyhow::Result<()> {
    let (mut alice, mut bob) = two(world).await?;
    let page = alice.open("/o/acme/notes").await?;
    page.assert_page(200);
    page.assert_shows("Acme&#39;s plan");
    page.assert_shows_no("Globex");
    bob.open("/o/globex/notes")
        .await?
        .assert_shows("Globex&#39;s plan");

    // By the other's path she is nobody; by her own, the other's note is not there.
    let theirs = world.note("Globex's plan").await?;
    alice.open("/o/globex/notes").await?.assert_page(404);
    for (path, wanted) in [
        (format!("/o/globex/notes/{theirs}/delete"), 404),
        (format!("/o/acme/notes/{theirs}/delete"), 404),
        (format!("/o/acme/notes/{theirs}/publish"), 404),
    ] {
        alice.send(&path, &[]).await?.assert_page(wanted);
    }
    let kept = "SELECT count(*) FROM notes WHERE title = 'Globex''s plan' AND NOT published";
    assert_eq!(world.count(kept).await?, 1);
    let page = bob
        .send(&format!("/o/globex/notes/{theirs}/delete"), &[])
        .await?;
    page.assert_redirect("/o/globex/notes");
    assert_eq!(world.count(kept).await?, 0);
    Ok(())
}

pub(crate) async fn the_switcher_has_the_organizations_of_the_account_and_no_others(
    world: &World,
) -> anyhow::Result<()> {
    let (mut alice, mut bob) = two(world).await?;
    let second = [("name", "Second"), ("slug", "second")];
    alice
        .send("/organizations", &second)
        .await?
        .assert_redirect("/o/second/notes");
    for page in ["/organizations", "/o/acme/notes", "/o/second/members"] {
        let page = alice.open(page).await?;
        page.assert_page(200);
        page.assert_shows(r#"href="/o/acme/notes""#);
        page.assert_shows(r#"href="/o/second/notes""#);
        page.assert_shows_no("globex");
    }
    let page = bob.open("/organizations").await?;
    page.assert_shows(r#"href="/o/globex/notes""#);
    page.assert_shows_no("acme");
    alice
        .open("/o/second/notes")
        .await?
        .assert_shows_no("Acme&#39;s plan");
    Ok(())
}

pub(crate) async fn a_stranger_is_a_visitor_of_the_public_page(
    world: &World,
) -> anyhow::Result<()> {
    let (mut alice, bob) = two(world).await?;
    alice
        .send("/o/acme/notes", &[("title", "News")])
        .await?
        .assert_redirect("/o/acme/notes");
    let news = world.note("News").await?;
    let page = alice
        .send(&format!("/o/acme/notes/{news}/publish"), &[])
        .await?;
    page.assert_redirect("/o/acme/notes");
    let mut ended = world.visitor()?;
    ended.cookie = Some("__Host-session=AAAAAAAAAAAAAAAAAAAAAA".into());
    for mut visitor in [bob.clone(), world.visitor()?, ended] {
        let page = visitor.open("/o/acme").await?;
        page.assert_page(200);
        page.assert_shows("News");
        page.assert_shows_no("Acme&#39;s plan");
        page.assert_shows_no("/o/acme/members");
        visitor.open("/o/nobody").await?.assert_page(404);
    }
    // What is for members stays closed.
    let mut bob = bob;
    for page in ["/o/acme/notes", "/o/acme/members"] {
        bob.open(page).await?.assert_page(404);
    }
    alice.open("/o/acme").await?.assert_shows("/o/acme/members");
    Ok(())
}

pub(crate) async fn forms_of_other_sites_change_nothing(world: &World) -> anyhow::Result<()> {
    let (mut alice, mut bob) = two(world).await?;
    world.confirm(&mut bob, "bob").await?;
    let link = invite(world, &mut alice, "bob@example.com", "member").await?;
    let note = [("title", "Forged")];
    let organization = [("name", "Forged"), ("slug", "forged")];
    let mut forged = alice.clone();
    let mut stranger = world.visitor()?;
    for site in ["cross-site", "same-site"] {
        (forged.site, bob.site, stranger.site) = (site, site, site);
        forged.send("/o/acme/notes", &note).await?.assert_page(403);
        forged
            .send("/organizations", &organization)
            .await?
            .assert_page(403);
        forged.send("/logout", &[]).await?.assert_page(403);
        let invitation = [("email", "eve@example.com"), ("role", "admin")];
        forged
            .send("/o/acme/invitations", &invitation)
            .await?
            .assert_page(403);
        bob.send(&link, &[]).await?.assert_page(403);
        let form = [("email", "alice@example.com"), ("password", SECRET)];
        stranger.send("/login", &form).await?.assert_page(403);
        assert_eq!(stranger.cookie, None);
    }
    assert_eq!(world.count("SELECT count(*) FROM notes").await?, 2);
    assert_eq!(
        world
            .count("SELECT count(*) FROM tenancy.memberships")
            .await?,
        2
    );
    let invitations = "SELECT count(*) FROM tenancy.invitations";
    assert_eq!(world.count(invitations).await?, 1);
    alice.open("/o/acme/notes").await?.assert_page(200);
    alice
        .send("/o/acme/notes", &note)
        .await?
        .assert_redirect("/o/acme/notes");
    Ok(())
}

pub(crate) async fn what_is_wrong_with_a_form_is_said_on_its_page(
    world: &World,
) -> anyhow::Result<()> {
    let mut alice = world.owner("alice", "acme", "A plan").await?;
    for (email, password) in [
        ("alice@example.com", "wrong horse"),
        ("nobody@example.com", SECRET),
    ] {
        let mut visitor = world.visitor()?;
        let page = visitor
            .send("/login", &[("email", email), ("password", password)])
            .await?;
        page.assert_page(422);
        page.assert_shows("Email or password is wrong.");
        assert_eq!(visitor.cookie, None);
    }
    for (email, password, fault) in [
        (
            "alice@example.com",
            SECRET,
            "This email has an account already.",
        ),
        ("dora@example.com", "short", "at least 10 characters"),
        ("dora", SECRET, "That is no email address."),
    ] {
        let form = [("name", "Dora"), ("email", email), ("password", password)];
        let page = world.visitor()?.send("/sign-up", &form).await?;
        page.assert_page(422);
        page.assert_shows(fault);
    }
    for (slug, fault) in [
        ("acme", "This address is taken."),
        ("Not so", "lowercase letters"),
    ] {
        let page = alice
            .send("/organizations", &[("name", "Again"), ("slug", slug)])
            .await?;
        page.assert_page(422);
        page.assert_shows(fault);
    }
    assert_eq!(world.count("SELECT count(*) FROM accounts").await?, 1);
    Ok(())
}

pub(crate) async fn passwords_tokens_and_sessions_are_not_stored(
    world: &World,
) -> anyhow::Result<()> {
    let mut alice = world.owner("alice", "acme", "A plan").await?;
    let invited = invite(world, &mut alice, "bob@example.com", "member").await?;
    let token = invited.trim_start_matches("/invitations/");
    let confirming = world.mail("alice@example.com", "/confirm/").await?;
    let confirming = confirming.trim_start_matches("/confirm/");
    let cookie = alice.cookie.clone().unwrap_or_default();
    let cookie = cookie.trim_start_matches("__Host-session=");
    assert!(token.len() > 60 && confirming.len() > 60 && !cookie.is_empty());
    for (text, table) in [
        (SECRET, "accounts"),
        (confirming, "accounts"),
        (token, "tenancy.invitations"),
        (token, "tenancy.outbox_events"),
        (token, "tenancy.audit_entries"),
        (cookie, "sessions"),
    ] {
        let hidden = format!("SELECT count(*) FROM {table} t WHERE t::text LIKE '%{text}%'");
        assert_eq!(world.count(&hidden).await?, 0, "{table}");
    }
    assert_eq!(world.count("SELECT count(*) FROM accounts").await?, 1);
    for table in [
        "tenancy.invitations",
        "tenancy.outbox_events",
        "tenancy.audit_entries",
    ] {
        let rows = world
            .count(&format!("SELECT count(*) FROM {table}"))
            .await?;
        assert_ne!(rows, 0, "{table}");
    }
    let hashed = "SELECT count(*) FROM accounts WHERE password_hash LIKE '$argon2id$%'";
    assert_eq!(world.count(hashed).await?, 1);
    Ok(())
}

pub(crate) async fn who_signs_out_is_a_visitor_again(world: &World) -> anyhow::Result<()> {
    let mut alice = world.owner("alice", "acme", "A plan").await?;
    alice.open("/o/acme/notes").await?.assert_page(200);
    alice.send("/logout", &[]).await?.assert_redirect("/");
    assert_eq!(alice.cookie, None);
    let page = alice.open("/o/acme/notes").await?;
    page.assert_redirect("/login?next=/o/acme/notes");
    alice.open("/o/acme").await?.assert_page(200);
    Ok(())
}

pub(crate) async fn installing_again_changes_nothing(world: &World) -> anyhow::Result<()> {
    let mut alice = world.owner("alice", "acme", "A plan").await?;
    world.install().await?;
    let page = alice.open("/o/acme/notes").await?;
    page.assert_page(200);
    page.assert_shows("A plan");
    // The service's login has nothing of the accounts, and theirs nothing of the tenants.
    for (login, table) in [
        ("tenancy_app", "accounts"),
        ("tenancy_app", "sessions"),
        ("pages_accounts", "notes"),
        ("pages_accounts", "tenancy.invitations"),
        ("tenancy_app", "tenancy.invitations"),
        ("pages_accounts", "tenancy.tenants"),
        ("pages_accounts", "tenancy.memberships"),
    ] {
        let query = format!("SELECT count(*) FROM pg_roles WHERE rolname = '{login}'");
        assert_eq!(world.count(&query).await?, 1, "{login}");
        let query =
            format!("SELECT has_any_column_privilege('{login}', '{table}', 'SELECT')::int::bigint");
        assert_eq!(world.count(&query).await?, 0, "{login} on {table}");
    }
    Ok(())
}

pub(crate) async fn a_session_that_was_taken_back_joins_nothing(
    world: &World,
) -> anyhow::Result<()> {
    let (mut alice, mut bob) = two(world).await?;
    world.confirm(&mut bob, "bob").await?;
    let link = invite(world, &mut alice, "bob@example.com", "member").await?;
    bob.open(&link).await?.assert_shows("Join The acme people");
    world.take_back(&mut bob, "bob").await?;
    bob.send(&link, &[]).await?.assert_page(401);
    assert_eq!(world.count(OPEN).await?, 1);
    assert_eq!(
        world
            .count("SELECT count(*) FROM tenancy.memberships")
            .await?,
        2
    );
    // The page where one signs in, and public pages, take such a cookie for none.
    bob.open("/login").await?.assert_page(200);
    bob.open("/o/acme").await?.assert_page(200);
    Ok(())
}

pub(crate) async fn a_session_that_was_taken_back_shows_nobody(
    world: &World,
) -> anyhow::Result<()> {
    let (_, mut bob) = two(world).await?;
    for page in ["/", "/o/acme"] {
        bob.open(page).await?.assert_shows("globex");
    }
    let mut copies = [bob.clone(), bob.clone()];
    world.take_back(&mut bob, "bob").await?;
    for (page, copy) in ["/", "/o/acme"].into_iter().zip(&mut copies) {
        let page = copy.open(page).await?;
        page.assert_page(200);
        page.assert_shows_no("globex");
        page.assert_shows_no("bob");
    }
    Ok(())
}
