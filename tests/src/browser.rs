//! Chromium without a window, driven through its DevTools protocol.

use std::{path::Path, process::Stdio, time::Duration};

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

/// How long something may take that does happen, on a machine that is busy.
const SOON: Duration = Duration::from_secs(30);

/// A tab of Chromium without a window, and what it did.
///
/// ```no_run
/// use tenancy_tests::Browser;
///
/// # async fn test() -> anyhow::Result<()> {
/// let Some(mut browser) = Browser::start().await? else {
///     return Ok(()); // skipped: there is none here
/// };
/// browser.go("about:blank").await?;
/// assert_eq!(browser.complaints(), [] as [&str; 0]);
/// # browser.close().await
/// # }
/// ```
#[derive(Debug)]
pub struct Browser {
    socket: WebSocketStream<TcpStream>,
    /// The tab.
    session: Option<String>,
    last: u64,
    /// How many pages have been loaded that nobody has waited for.
    loaded: usize,
    requested: Vec<String>,
    complaints: Vec<String>,
    process: Child,
    _profile: tempfile::TempDir,
}

/// The program; `None` where it is missing and may be.
async fn program() -> anyhow::Result<Option<String>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/chromium");
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
    /// Starts one with an empty tab. `None` where Chromium is missing and may be: unless `CI` is set, or `TENANCY_REQUIRE_CHROMIUM` is 1.
    ///
    /// # Errors
    /// If Chromium does not do it, or not in half a minute.
    pub async fn start() -> anyhow::Result<Option<Self>> {
        match program().await? {
            Some(program) => Self::of(&program).await.map(Some),
            None => Ok(None),
        }
    }

    async fn of(program: &str) -> anyhow::Result<Self> {
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
            requested: Vec::new(),
            complaints: Vec::new(),
            process,
            _profile: profile,
        };
        let tab = browser
            .call("Target.createTarget", json!({ "url": "about:blank" }))
            .await?;
        let attach = json!({ "targetId": tab["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach).await?;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Network", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({})).await?;
        }
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
        match message["method"].as_str() {
            Some("Page.loadEventFired") => self.loaded += 1,
            Some("Network.requestWillBeSent") => {
                let url = message["params"]["request"]["url"].as_str();
                self.requested.extend(url.map(str::to_owned));
            }
            Some("Runtime.exceptionThrown" | "Runtime.consoleAPICalled" | "Log.entryAdded") => {
                self.complaints.push(message["params"].to_string());
            }
            _ => {}
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

    /// Opens a page and waits until it is loaded.
    ///
    /// # Errors
    /// If Chromium does not do it, or not in half a minute.
    pub async fn go(&mut self, url: &str) -> anyhow::Result<()> {
        self.loaded = 0;
        self.call("Page.navigate", json!({ "url": url })).await?;
        self.until_loaded().await
    }

    /// What an expression is in the page.
    ///
    /// # Errors
    /// If Chromium does not do it, or not in half a minute.
    pub async fn read(&mut self, expression: &str) -> anyhow::Result<Value> {
        let params = json!({ "expression": expression, "returnByValue": true });
        let read = self.call("Runtime.evaluate", params).await?;
        anyhow::ensure!(
            read.get("exceptionDetails").is_none(),
            "{expression}: {read}"
        );
        Ok(read["result"]["value"].clone())
    }

    /// The text that the page shows.
    ///
    /// # Errors
    /// If Chromium does not do it, or not in half a minute.
    pub async fn text(&mut self) -> anyhow::Result<String> {
        let text = self.read("document.body.innerText").await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Types into a field, as a keyboard does.
    ///
    /// # Errors
    /// If Chromium does not do it, or not in half a minute.
    pub async fn fill(&mut self, field: &str, text: &str) -> anyhow::Result<()> {
        self.read(&format!("document.querySelector('[name={field}]').focus()"))
            .await?;
        self.call("Input.insertText", json!({ "text": text }))
            .await?;
        Ok(())
    }

    /// Clicks what opens another page.
    ///
    /// # Errors
    /// If Chromium does not do it, or not in half a minute.
    pub async fn click(&mut self, selector: &str) -> anyhow::Result<()> {
        self.loaded = 0;
        self.read(&format!("document.querySelector({selector:?}).click()"))
            .await?;
        self.until_loaded().await
    }

    /// Makes the window so large, in CSS pixels.
    ///
    /// # Errors
    /// If Chromium does not do it, or not in half a minute.
    pub async fn size(&mut self, width: u32, height: u32) -> anyhow::Result<()> {
        let params = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", params)
            .await?;
        Ok(())
    }

    /// Checks at two sizes that nothing stands out to the right, and takes pictures.
    ///
    /// # Errors
    /// If something stands out, or Chromium does not do it.
    pub async fn look(&mut self, name: &str) -> anyhow::Result<()> {
        for (size, width, height) in [("wide", 1100, 720), ("narrow", 390, 780)] {
            self.look_at(&format!("{name}-{size}"), width, height)
                .await?;
        }
        self.size(1100, 720).await
    }

    /// Makes the window so large, checks that nothing stands out to the right, and takes a picture where `TENANCY_SCREENSHOTS` names a
    /// folder.
    ///
    /// # Errors
    /// If something stands out, or Chromium does not do it.
    pub async fn look_at(&mut self, name: &str, width: u32, height: u32) -> anyhow::Result<()> {
        self.size(width, height).await?;
        let out = "document.documentElement.scrollWidth - window.innerWidth";
        let out = self.read(out).await?;
        anyhow::ensure!(
            out.as_i64().is_some_and(|out| out <= 0),
            "{name}, {width}: {out}"
        );
        if let Some(folder) = std::env::var_os("TENANCY_SCREENSHOTS") {
            let whole = json!({ "format": "png", "captureBeyondViewport": true });
            let taken = self.call("Page.captureScreenshot", whole).await?;
            let png = BASE64_STANDARD.decode(taken["data"].as_str().unwrap_or_default())?;
            std::fs::write(Path::new(&folder).join(format!("{name}.png")), png)?;
        }
        Ok(())
    }

    /// Shows pages as to a reader who prefers `dark` or `light`.
    ///
    /// # Errors
    /// If Chromium does not do it, or not in half a minute.
    pub async fn prefer(&mut self, scheme: &str) -> anyhow::Result<()> {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.call(
            "Emulation.setEmulatedMedia",
            json!({ "features": [feature] }),
        )
        .await?;
        Ok(())
    }

    /// The address of each request since it was started.
    pub fn requested(&self) -> &[String] {
        &self.requested
    }

    /// What the console has said: errors, warnings and messages.
    pub fn complaints(&self) -> &[String] {
        &self.complaints
    }

    /// Ends it.
    ///
    /// # Errors
    /// If Chromium does not do it, or not in half a minute.
    pub async fn close(mut self) -> anyhow::Result<()> {
        self.process.kill().await?;
        Ok(())
    }
}
