//! The program, listening, over a database of its own; and people with browsers' manners.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Context as _;
use reqwest::{Method, Response, header::SET_COOKIE, redirect::Policy};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};
use tempfile::TempDir;
use tenancy_tests::{Server, Template, TestDatabase, Version, notes::PASSWORD};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStderr, Command},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

/// How long something may take that does happen, on a machine that is busy.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// What everybody's password is.
pub(crate) const SECRET: &str = "correct horse battery";

/// What links in mails begin with. The program listens elsewhere: nobody knows the port before it does.
const SITE: &str = "https://notes.example";

const PEPPER: &str = "a pepper of 32 bytes for tests, which nobody else uses.";

const COOKIE_SECRET: &str = "a secret of 64 bytes for tests, which nobody else should ever use.";

const TEMPLATE: Template = Template::new("pages", |options| {
    Box::pin(async move {
        let mut admin: PgConnection = options.connect().await?;
        let installed = pages::setup::install_on(&mut admin, PASSWORD).await;
        installed.map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(admin.close().await?)
    })
})
.fingerprint(concat!(
    include_str!("../migrations/0001_accounts.sql"),
    include_str!("../migrations/0002_notes.sql")
));

pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) address: SocketAddr,
    serving: Child,
    mailing: Child,
    program: String,
    /// Where mails arrive.
    mails: TempDir,
    /// The mails that somebody has opened, and the secrets in their links.
    opened: Mutex<BTreeSet<PathBuf>>,
    secrets: Mutex<Vec<String>>,
    /// Read the logs.
    reading: Vec<JoinHandle<()>>,
    /// The lines of both logs.
    logged: Arc<Mutex<Vec<String>>>,
}

/// Somebody's browser, as far as cookies and forms go. It follows no redirect.
#[derive(Clone)]
pub(crate) struct Visitor {
    address: SocketAddr,
    http: reqwest::Client,
    pub(crate) cookie: Option<String>,
    /// What it says about the page that sends a form.
    pub(crate) site: &'static str,
}

/// A page as it arrived.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) to: Option<String>,
    pub(crate) text: String,
    pub(crate) fields: reqwest::header::HeaderMap,
}

impl World {
    pub(crate) async fn start(program: &str) -> anyhow::Result<Self> {
        let server = Server::start(Version::Default).await?;
        let database = server.database(&TEMPLATE).await?;
        let mails = tempfile::tempdir()?;
        let (mut serving, mut log) = Self::spawn(program, &[], &database, &mails)?;
        let listening = async {
            let mut said = String::new();
            while let Some(line) = log.next_line().await? {
                if let Some((_, address)) = line.split_once("listening address=") {
                    return Ok(address.parse()?);
                }
                said.push_str(&line);
            }
            anyhow::bail!("it does not listen: {said}")
        };
        let address = timeout(SOON, listening).await?;
        if address.is_err() {
            serving.kill().await?;
        }
        let (mailing, mailer_log) = Self::spawn(program, &["mail"], &database, &mails)?;
        let logged = Arc::new(Mutex::new(Vec::new()));
        let reading = [log, mailer_log].map(|log| tokio::spawn(read(log, Arc::clone(&logged))));
        Ok(Self {
            database,
            address: address?,
            serving,
            mailing,
            program: program.to_owned(),
            mails,
            opened: Mutex::default(),
            secrets: Mutex::default(),
            reading: reading.into(),
            logged,
        })
    }

    /// A process of the program. It logs more than anybody would have it log: no secret may be in it.
    fn spawn(
        program: &str,
        arguments: &[&str],
        database: &TestDatabase,
        mails: &TempDir,
    ) -> anyhow::Result<(Child, Lines<BufReader<ChildStderr>>)> {
        let mut process = Self::command(program, database)
            .args(arguments)
            .env("PAGES_ADDRESS", "127.0.0.1:0")
            .env("PAGES_MAILS", mails.path())
            .env("RUST_LOG", "debug")
            .stderr(Stdio::piped())
            .spawn()?;
        let log = BufReader::new(process.stderr.take().context("its log")?).lines();
        Ok((process, log))
    }

    /// The program with its environment.
    fn command(program: &str, database: &TestDatabase) -> Command {
        let url = |login| database.url_as(login, Some(PASSWORD));
        let mut command = Command::new(program);
        command
            .env("ADMIN_DATABASE_URL", database.url())
            .env("PAGES_PASSWORD", PASSWORD)
            .env("DATABASE_URL", url("tenancy_app"))
            .env("REGISTRY_DATABASE_URL", url("tenancy_registry"))
            .env("AUDIT_DATABASE_URL", url("tenancy_audit"))
            .env("ACCOUNTS_DATABASE_URL", url("pages_accounts"))
            .env("SYSTEM_DATABASE_URL", url("tenancy_system"))
            .env("PAGES_PEPPER", PEPPER)
            .env("PAGES_URL", SITE)
            .env("PAGES_COOKIE_SECRET", COOKIE_SECRET)
            .kill_on_drop(true);
        command
    }

    /// Installs into a database that has all of it, as each release does.
    pub(crate) async fn install(&self) -> anyhow::Result<()> {
        let mut command = Self::command(&self.program, &self.database);
        let done = timeout(SOON, command.arg("install").output()).await??;
        let complaint = String::from_utf8_lossy(&done.stderr);
        anyhow::ensure!(done.status.success(), "{complaint}");
        Ok(())
    }

    pub(crate) fn visitor(&self) -> anyhow::Result<Visitor> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(Policy::none());
        Ok(Visitor {
            address: self.address,
            http: http.build()?,
            cookie: None,
            site: "same-origin",
        })
    }

    /// Somebody who has just signed up.
    pub(crate) async fn person(&self, name: &str) -> anyhow::Result<Visitor> {
        let mut visitor = self.visitor()?;
        let email = format!("{name}@example.com");
        let form = [("name", name), ("email", &email), ("password", SECRET)];
        let page = visitor.send("/sign-up", &form).await?;
        page.assert_redirect("/organizations");
        anyhow::ensure!(visitor.cookie.is_some(), "{page:?}");
        Ok(visitor)
    }

    /// The path in the next mail to an address that begins like this.
    pub(crate) async fn mail(&self, to: &str, path: &str) -> anyhow::Result<String> {
        let deadline = Instant::now() + SOON;
        while Instant::now() < deadline {
            if let Some(link) = self.look_for_mail(to, path)? {
                return Ok(link);
            }
            sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!("no mail to {to} has a link to {path}")
    }

    fn look_for_mail(&self, to: &str, path: &str) -> anyhow::Result<Option<String>> {
        for mail in std::fs::read_dir(self.mails.path())? {
            let mail = mail?.path();
            let is_whole = mail.extension().is_some_and(|it| it == "txt");
            if !is_whole || self.opened.lock().unwrap().contains(&mail) {
                continue;
            }
            let text = std::fs::read_to_string(&mail)?;
            let link = text.lines().find_map(|line| line.strip_prefix(SITE));
            let link = link.context("each mail has a link")?.to_owned();
            if text.starts_with(&format!("To: {to}\n")) && link.starts_with(path) {
                let secret = link.rsplit('/').next().unwrap_or_default();
                self.secrets.lock().unwrap().push(secret.to_owned());
                self.opened.lock().unwrap().insert(mail);
                return Ok(Some(link));
            }
        }
        Ok(None)
    }

    /// The mails that have a link.
    pub(crate) fn mails_with(&self, link: &str) -> anyhow::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for mail in std::fs::read_dir(self.mails.path())? {
            let mail = mail?.path();
            if std::fs::read_to_string(&mail)?.contains(link) {
                found.push(mail);
            }
        }
        Ok(found)
    }

    /// Waits until a query counts something.
    pub(crate) async fn until(&self, query: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + SOON;
        while self.count(query).await? == 0 {
            anyhow::ensure!(Instant::now() < deadline, "nothing is counted: {query}");
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Has somebody show that mails to the address arrive.
    pub(crate) async fn confirm(&self, person: &mut Visitor, name: &str) -> anyhow::Result<()> {
        let link = self
            .mail(&format!("{name}@example.com"), "/confirm/")
            .await?;
        person.open(&link).await?.assert_page(200);
        let page = person.send(&link, &[]).await?;
        page.assert_redirect("/organizations");
        Ok(())
    }

    /// Somebody with an organization, which has this note.
    pub(crate) async fn owner(
        &self,
        name: &str,
        slug: &str,
        note: &str,
    ) -> anyhow::Result<Visitor> {
        let mut owner = self.person(name).await?;
        let title = format!("The {slug} people");
        let page = owner
            .send("/organizations", &[("name", &title), ("slug", slug)])
            .await?;
        let notes = format!("/o/{slug}/notes");
        page.assert_redirect(&notes);
        let page = owner
            .send(&notes, &[("title", note), ("body", "A body.")])
            .await?;
        page.assert_redirect(&notes);
        Ok(owner)
    }

    /// What the administrator finds, past row security.
    pub(crate) async fn count(&self, query: &str) -> anyhow::Result<i64> {
        let mut admin = self.database.admin().await?;
        let count = sqlx::query_scalar(AssertSqlSafe(query.to_owned()));
        let count = count.fetch_one(&mut admin).await?;
        admin.close().await?;
        Ok(count)
    }

    /// Takes back all sessions of somebody, as another process would, and waits until the program knows.
    pub(crate) async fn take_back(&self, person: &mut Visitor, name: &str) -> anyhow::Result<()> {
        let mut admin = self.database.admin().await?;
        let take = "INSERT INTO tenancy.token_epochs (kind, subject, valid_after) \
                    SELECT 'user', id::text, now() FROM accounts WHERE name = $1";
        sqlx::query(take).bind(name).execute(&mut admin).await?;
        admin.close().await?;
        let deadline = Instant::now() + SOON;
        while person.open("/organizations").await?.status == 200 {
            anyhow::ensure!(Instant::now() < deadline, "{name} stays signed in");
        }
        Ok(())
    }

    /// The id of the note with this title, whose it may be.
    pub(crate) async fn note(&self, title: &str) -> anyhow::Result<String> {
        let mut admin = self.database.admin().await?;
        let id = sqlx::query_scalar("SELECT id::text FROM notes WHERE title = $1");
        let id = id.bind(title).fetch_one(&mut admin).await?;
        admin.close().await?;
        Ok(id)
    }

    pub(crate) async fn close(mut self) -> anyhow::Result<()> {
        self.serving.kill().await?;
        self.mailing.kill().await?;
        for reading in self.reading {
            reading.await?;
        }
        let mut secrets = std::mem::take(&mut *self.secrets.lock().unwrap());
        secrets.extend([SECRET, PEPPER, "$argon2id$", "__Host-session="].map(str::to_owned));
        let logged = self.logged.lock().unwrap().clone();
        let leaks: Vec<_> = logged
            .into_iter()
            .filter(|line| secrets.iter().any(|secret| line.contains(secret)))
            .collect();
        anyhow::ensure!(leaks.is_empty(), "secrets were logged: {leaks:#?}");
        Ok(self.database.close().await?)
    }
}

/// Keeps what a process logs.
async fn read(mut log: Lines<BufReader<ChildStderr>>, logged: Arc<Mutex<Vec<String>>>) {
    while let Ok(Some(line)) = log.next_line().await {
        if line.contains("ERROR") {
            eprintln!("{line}");
        }
        logged.lock().unwrap().push(line);
    }
}

impl Visitor {
    /// Opens a page.
    pub(crate) async fn open(&mut self, target: &str) -> anyhow::Result<Page> {
        self.ask(Method::GET, target, None, "text/html,*/*;q=0.8")
            .await
    }

    /// Sends a form.
    pub(crate) async fn send(
        &mut self,
        target: &str,
        form: &[(&str, &str)],
    ) -> anyhow::Result<Page> {
        let encoded = reqwest::Url::parse_with_params("http://form/", form)?;
        let body = encoded.query().unwrap_or_default().to_owned();
        self.ask(Method::POST, target, Some(body), "text/html,*/*;q=0.8")
            .await
    }

    /// Asks as a program does.
    pub(crate) async fn fetch(&mut self, target: &str) -> anyhow::Result<Page> {
        self.ask(Method::GET, target, None, "*/*").await
    }

    async fn ask(
        &mut self,
        method: Method,
        target: &str,
        form: Option<String>,
        accept: &str,
    ) -> anyhow::Result<Page> {
        let url = format!("http://{}{target}", self.address);
        let mut request = self.http.request(method, url).header("accept", accept);
        if let Some(form) = form {
            request = request
                .header("content-type", "application/x-www-form-urlencoded")
                .header("sec-fetch-site", self.site)
                .body(form);
        }
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        let response = timeout(SOON, request.send()).await??;
        self.keep(&response)?;
        let fields = response.headers().clone();
        let to = fields
            .get("location")
            .map(|to| to.to_str().map(str::to_owned));
        Ok(Page {
            status: response.status().as_u16(),
            to: to.transpose()?,
            fields,
            text: timeout(SOON, response.text()).await??,
        })
    }

    /// Keeps the one cookie that the service sets.
    fn keep(&mut self, response: &Response) -> anyhow::Result<()> {
        for cookie in response.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str()?;
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let removed = attributes.contains("Max-Age=0");
            if !removed {
                for attribute in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/"] {
                    anyhow::ensure!(attributes.contains(attribute), "{attribute}: {attributes}");
                }
                anyhow::ensure!(
                    pair.starts_with("__Host-session="),
                    "the name of the cookie"
                );
            }
            self.cookie = (!removed).then(|| pair.to_owned());
        }
        Ok(())
    }
}

impl Page {
    #[track_caller]
    pub(crate) fn assert_redirect(&self, to: &str) {
        assert_eq!(
            (self.status, self.to.as_deref()),
            (303, Some(to)),
            "{self:?}"
        );
    }

    /// Checks that it is a page for people, with all that each page has.
    #[track_caller]
    pub(crate) fn assert_page(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.text.starts_with("<!doctype html>"), "{self:?}");
        let one = |name| self.fields.get(name).map(|value| value.to_str().unwrap());
        let html = one("content-type").is_some_and(|it| it.starts_with("text/html"));
        assert!(html, "{self:?}");
        assert_eq!(one("cache-control"), Some("no-store"), "{self:?}");
        assert_eq!(one("x-content-type-options"), Some("nosniff"), "{self:?}");
        let policy = one("content-security-policy").unwrap();
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        let vary = self.fields.get_all("vary").iter();
        let vary: Vec<_> = vary
            .map(|value| value.to_str().unwrap().to_lowercase())
            .collect();
        assert!(vary.join(",").contains("cookie"), "{self:?}");
    }

    #[track_caller]
    pub(crate) fn assert_shows(&self, text: &str) {
        assert!(self.text.contains(text), "{text}: {self:?}");
    }

    #[track_caller]
    pub(crate) fn assert_shows_no(&self, text: &str) {
        assert!(!self.text.contains(text), "{text}: {self:?}");
    }
}
