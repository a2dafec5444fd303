//! Chromium without a window, driven through its DevTools protocol, and a person's way through the service in it.

use std::{path::Path, process::Stdio};

use anyhow::Context as _;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time::timeout,
};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

use super::{
    World,
    world::{SECRET, SOON},
};

struct Browser {
    socket: WebSocketStream<TcpStream>,
    /// The tab.
    session: Option<String>,
    last: u64,
    /// How many pages have been loaded that nobody has waited for.
    loaded: usize,
    process: Child,
    _profile: tempfile::TempDir,
}

/// The program; `None` where it is missing and may be.
async fn program() -> anyhow::Result<Option<String>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/chromium");
    let found = Command::new(script).arg("--check").output().await?;
    if found.status.success() {
        return Ok(Some(String::from_utf8(found.stdout)?.trim().to_owned()));
    }
    let required = std::env::var("TENANCY_REQUIRE_CHROMIUM");
    let required = required.map_or(std::env::var_os("CI").is_some(), |it| it == "1");
    anyhow::ensure!(!required, "Chromium is missing; run `scripts/chromium`");
    eprintln!("SKIPPED: Chromium is missing; run `scripts/chromium`");
    Ok(None)
}

impl Browser {
    async fn start(program: &str) -> anyhow::Result<Self> {
        let profile = tempfile::tempdir()?;
        let mut process = Command::new(program)
            .args([
                "--headless=new",
                "--remote-debugging-port=0",
                "--no-first-run",
                "--disable-gpu",
            ])
            .args([
                "--disable-dev-shm-usage",
                "--no-proxy-server",
                "--hide-scrollbars",
            ])
            .args(["--disable-breakpad", "--disable-crash-reporter"])
            // What is kept outside of the profile goes with it.
            .env("HOME", profile.path())
            .env("XDG_CONFIG_HOME", profile.path())
            .env("XDG_CACHE_HOME", profile.path())
            // Chromium's sandbox does not work for root, and these pages are our own.
            .arg("--no-sandbox")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut log = BufReader::new(process.stderr.take().context("its log")?).lines();
        let listening = async {
            while let Some(line) = log.next_line().await? {
                if let Some(url) = line.strip_prefix("DevTools listening on ") {
                    return Ok(url.to_owned());
                }
            }
            anyhow::bail!("Chromium does not listen")
        };
        let url = timeout(SOON, listening).await??;
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        let authority = url
            .strip_prefix("ws://")
            .and_then(|rest| rest.split('/').next());
        let stream = TcpStream::connect(authority.context("an address")?).await?;
        let (socket, _) = tokio_tungstenite::client_async(&url, stream).await?;
        let mut browser = Self {
            socket,
            session: None,
            last: 0,
            loaded: 0,
            process,
            _profile: profile,
        };
        let tab = browser
            .call("Target.createTarget", json!({ "url": "about:blank" }))
            .await?;
        let attach = json!({ "targetId": tab["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach).await?;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        browser.call("Page.enable", json!({})).await?;
        browser.size(1100, 720).await?;
        Ok(browser)
    }

    async fn call(&mut self, method: &str, params: Value) -> anyhow::Result<Value> {
        self.last += 1;
        let id = self.last;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(message.to_string())).await?;
        loop {
            let message = self.next().await?;
            if message["id"] == id {
                let error = message.get("error");
                anyhow::ensure!(error.is_none(), "{method}: {error:?}");
                return Ok(message["result"].clone());
            }
        }
    }

    async fn next(&mut self) -> anyhow::Result<Value> {
        let next = timeout(SOON, self.socket.next()).await?;
        let message: Value = serde_json::from_str(next.context("Chromium has ended")??.to_text()?)?;
        if message["method"] == "Page.loadEventFired" {
            self.loaded += 1;
        }
        Ok(message)
    }

    async fn until_loaded(&mut self) -> anyhow::Result<()> {
        while self.loaded == 0 {
            self.next().await?;
        }
        self.loaded = 0;
        Ok(())
    }

    async fn go(&mut self, url: &str) -> anyhow::Result<()> {
        self.loaded = 0;
        self.call("Page.navigate", json!({ "url": url })).await?;
        self.until_loaded().await
    }

    /// What an expression is in the page.
    async fn read(&mut self, expression: &str) -> anyhow::Result<Value> {
        let params = json!({ "expression": expression, "returnByValue": true });
        let read = self.call("Runtime.evaluate", params).await?;
        anyhow::ensure!(
            read.get("exceptionDetails").is_none(),
            "{expression}: {read}"
        );
        Ok(read["result"]["value"].clone())
    }

    async fn text(&mut self) -> anyhow::Result<String> {
        let text = self.read("document.body.innerText").await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Types into a field, as a keyboard does.
    async fn fill(&mut self, field: &str, text: &str) -> anyhow::Result<()> {
        self.read(&format!("document.querySelector('[name={field}]').focus()"))
            .await?;
        self.call("Input.insertText", json!({ "text": text }))
            .await?;
        Ok(())
    }

    /// Clicks what opens another page.
    async fn click(&mut self, selector: &str) -> anyhow::Result<()> {
        self.loaded = 0;
        self.read(&format!("document.querySelector({selector:?}).click()"))
            .await?;
        self.until_loaded().await
    }

    async fn size(&mut self, width: u32, height: u32) -> anyhow::Result<()> {
        let params = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", params)
            .await?;
        Ok(())
    }

    /// Checks that nothing stands out to the right, and takes a picture where `TENANCY_SCREENSHOTS` names a folder.
    async fn look(&mut self, name: &str) -> anyhow::Result<()> {
        for (size, width, height) in [("wide", 1100, 720), ("narrow", 390, 780)] {
            self.size(width, height).await?;
            let out = self
                .read("document.documentElement.scrollWidth - window.innerWidth")
                .await?;
            assert!(
                out.as_i64().is_some_and(|out| out <= 0),
                "{name}, {size}: {out}"
            );
            if let Some(folder) = std::env::var_os("TENANCY_SCREENSHOTS") {
                let taken = self
                    .call("Page.captureScreenshot", json!({ "format": "png" }))
                    .await?;
                let png = BASE64_STANDARD.decode(taken["data"].as_str().unwrap_or_default())?;
                std::fs::write(Path::new(&folder).join(format!("{name}-{size}.png")), png)?;
            }
        }
        self.size(1100, 720).await
    }

    async fn close(mut self) -> anyhow::Result<()> {
        self.process.kill().await?;
        Ok(())
    }
}

pub(crate) async fn a_person_finds_the_way_in_a_browser(world: &World) -> anyhow::Result<()> {
    let Some(program) = program().await? else {
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
    let mut browser = Browser::start(&program).await?;
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
