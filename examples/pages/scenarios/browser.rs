//! A person's way through the service in a browser.

use tenancy_tests::Browser;

use super::{World, world::SECRET};

pub(crate) async fn a_person_finds_the_way_in_a_browser(world: &World) -> anyhow::Result<()> {
    let Some(mut browser) = Browser::start().await? else {
        return Ok(());
    };
    let mut alice = world.owner("alice", "acme", "Acme's plan").await?;
    let second = [("name", "Second Ltd"), ("slug", "second")];
    alice
        .send("/organizations", &second)
        .await?
        .assert_redirect("/o/second/notes");
    world.owner("bob", "globex", "Globex's plan").await?;

    let at = format!("http://localhost:{}", world.address.port());
    browser.go(&format!("{at}/o/acme/notes")).await?;
    assert_eq!(browser.read("location.pathname").await?, "/login");
    browser.look("login").await?;
    browser.fill("email", "alice@example.com").await?;
    browser.fill("password", SECRET).await?;
    browser.click("main form button").await?;
    assert_eq!(browser.read("location.pathname").await?, "/o/acme/notes");
    assert_eq!(
        browser.read("document.cookie").await?,
        "",
        "a script could read the session"
    );

    let title =
        "<script>document.title = 'no'</script> A title that is rather long for a page this narrow";
    browser.fill("title", title).await?;
    browser.fill("body", "One line.\nAnd another.").await?;
    browser.click("section form button").await?;
    let text = browser.text().await?;
    assert!(
        text.contains(title) && text.contains("Acme's plan"),
        "{text}"
    );
    assert!(!text.contains("Globex"), "{text}");
    assert_ne!(browser.read("document.title").await?, "no");
    browser.look("organization").await?;

    browser
        .read("document.querySelector('summary').click()")
        .await?;
    let text = browser.text().await?;
    assert!(
        text.contains("Second Ltd") && !text.contains("globex"),
        "{text}"
    );
    browser.look("switcher").await?;
    browser.click(".switcher a[href='/o/second/notes']").await?;
    assert!(!browser.text().await?.contains("Acme's plan"));
    browser.go(&format!("{at}/organizations")).await?;
    browser.look("organizations").await?;

    browser.go(&format!("{at}/o/acme/members")).await?;
    browser.fill("email", "carol@example.com").await?;
    browser.click("#invite button").await?;
    assert_eq!(browser.read("location.pathname").await?, "/o/acme/members");
    assert!(browser.text().await?.contains("carol@example.com"));
    browser.look("members").await?;
    let link = world.mail("carol@example.com", "/invitations/").await?;
    browser.go(&format!("{at}{link}")).await?;
    let text = browser.text().await?;
    assert!(
        text.contains("Join The acme people") && text.contains("c…@example.com"),
        "{text}"
    );
    browser.look("invitation").await?;
    browser.go(&format!("{at}/o/globex/notes")).await?;
    assert!(browser.text().await?.contains("Not found"));
    browser.look("refusal").await?;

    // Another site's page sends forms: one as the visitor, and one that would sign the visitor in as somebody else.
    let forged = |path: &str, fields: &str| {
        format!("data:text/html,<form method=post action='{at}{path}'>{fields}<button>")
    };
    browser
        .go(&forged("/o/acme/notes", "<input name=title value=Forged>"))
        .await?;
    browser.click("button").await?;
    assert!(browser.text().await?.contains("Status 40"));
    let credential =
        format!("<input name=email value=bob@example.com><input name=password value='{SECRET}'>");
    browser.go(&forged("/login", &credential)).await?;
    browser.click("button").await?;
    assert!(browser.text().await?.contains("Status 403"));
    assert_eq!(
        world
            .count("SELECT count(*) FROM notes WHERE title = 'Forged'")
            .await?,
        0
    );

    browser.go(&format!("{at}/o/acme/notes")).await?;
    let text = browser.text().await?;
    assert!(
        text.contains("Acme's plan") && text.contains("alice"),
        "{text}"
    );
    browser.click("header form button").await?;
    assert_eq!(browser.read("location.pathname").await?, "/");
    browser.look("welcome").await?;
    browser.go(&format!("{at}/o/acme/notes")).await?;
    assert_eq!(browser.read("location.pathname").await?, "/login");
    browser.go(&format!("{at}/o/acme")).await?;
    browser.look("public").await?;
    browser.close().await
}
