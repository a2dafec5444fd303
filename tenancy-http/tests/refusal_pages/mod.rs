//! How refusals look in a browser: one specification for every adapter. An adapter's tests include this file, build
//! the service that [`Browser`] describes, and run each case by the macro `specify_refusal_pages!`.

use tenancy_core::{
    Clock as _, EstablishedPrincipal, Identification, Membership, MemoryDirectory,
    PermissionRegistry, Refusal, SystemClock, SystemRole, Tenancy, TenantRecord, TenantStatus,
    UserId, testing::StoreDirectly as _,
};

/// What a browser sends where somebody opens a page.
pub(crate) const ACCEPT: &str =
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";

/// A service whose routes need a member of the tenant that the path names:
///
/// | route | answer |
/// |---|---|
/// | GET, POST `/o/{tenant}/notes` | `notes`, to callers with `notes:read` |
/// | GET `/o/{tenant}/missing` | a handler's refusal, status 404, with the reason `no-such-note` |
/// | GET `/o/{tenant}/own` | status 401 and the text `own`, and no refusal |
/// | GET `/login` | needs a caller and no tenant, so that it refuses strangers, which no such page should |
///
/// Around them is `RefusalPages`, with `/login` and [`page`] if `whole` says so, else with neither. Whom the field
/// `x-signed-in` names is signed in.
pub(crate) trait Browser {
    async fn new(world: &World, whole: bool) -> Self;
    async fn send(&self, ask: Ask) -> Got;
}

pub(crate) struct World {
    pub(crate) tenancy: Tenancy,
    /// An owner of acme.
    alice: UserId,
    /// Has no role that anybody defined.
    mute: UserId,
    /// A member of nothing.
    stranger: UserId,
}

#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) target: &'static str,
    pub(crate) fields: Vec<(&'static str, String)>,
}

#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
    /// Whether the refusal is still there for layers outside.
    pub(crate) refused: bool,
}

/// The application's page.
pub(crate) fn page(refusal: &Refusal) -> String {
    format!("<h1>Sorry: {}</h1>", refusal.kind().as_str())
}

/// Whom the application's session says.
pub(crate) fn established(field: Option<&[u8]>) -> Option<EstablishedPrincipal> {
    let user = std::str::from_utf8(field?).ok()?.parse().ok()?;
    Some(EstablishedPrincipal::user(
        user,
        SystemClock.now(),
        "sessions",
    ))
}

impl World {
    async fn new() -> Self {
        let directory = MemoryDirectory::new();
        let acme =
            TenantRecord::new("acme".parse().unwrap(), "Acme").with_status(TenantStatus::Active);
        directory.create_tenant(&acme).await.unwrap();
        let [alice, mute, stranger] = [(); 3].map(|()| UserId::new());
        for (user, role) in [(alice, "owner"), (mute, "undefined")] {
            let membership = Membership::new(acme.id, user, role.parse().unwrap());
            directory.put_membership(&membership).await.unwrap();
        }
        let permissions = PermissionRegistry::builder()
            .permission("notes:read", SystemRole::Viewer)
            .build()
            .unwrap();
        let tenancy = Tenancy::builder(directory)
            .identification(Identification::new().path_prefix("/o"))
            .permissions(permissions)
            .established_principals()
            .build()
            .unwrap();
        Self {
            tenancy,
            alice,
            mute,
            stranger,
        }
    }
}

fn ask(method: &'static str, target: &'static str) -> Ask {
    Ask {
        method,
        target,
        fields: vec![("host", "notes.example".into())],
    }
}

fn open(target: &'static str) -> Ask {
    ask("GET", target).with("accept", ACCEPT)
}

impl Ask {
    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.fields.push((name, value.to_owned()));
        self
    }

    fn by(self, user: UserId) -> Self {
        self.with("x-signed-in", &user.to_string())
    }
}

impl Got {
    fn one(&self, name: &str) -> Option<&str> {
        let mut all = self.fields.iter().filter(|(one, _)| one == name);
        let one = all.next().map(|(_, value)| &**value);
        assert!(all.next().is_none(), "{name} is repeated: {self:?}");
        one
    }

    /// Checks that the answer depends on what decides whether it is a page.
    fn assert_varies(&self) {
        let vary: Vec<&str> = self
            .fields
            .iter()
            .filter(|(name, _)| name == "vary")
            .flat_map(|(_, value)| value.split(','))
            .map(str::trim)
            .collect();
        for name in ["cookie", "accept", "sec-fetch-mode"] {
            assert!(vary.contains(&name), "{name}: {self:?}");
        }
    }

    fn assert_redirect(&self, to: &str) {
        assert_eq!(
            (self.status, self.one("location")),
            (303, Some(to)),
            "{self:?}"
        );
        assert_eq!(self.body, "", "{self:?}");
        assert_eq!(self.one("content-type"), None, "{self:?}");
        assert_eq!(self.one("www-authenticate"), None, "{self:?}");
        assert_eq!(self.one("cache-control"), Some("no-store"), "{self:?}");
        assert!(self.refused, "{self:?}");
        self.assert_varies();
    }

    fn assert_page(&self, status: u16, kind: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.body, format!("<h1>Sorry: {kind}</h1>"));
        assert_eq!(self.one("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(self.one("cache-control"), Some("no-store"), "{self:?}");
        assert_eq!(self.one("location"), None, "{self:?}");
        assert!(self.refused, "{self:?}");
        self.assert_varies();
    }

    fn assert_problem(&self, status: u16, kind: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.one("content-type"), Some("application/problem+json"));
        assert!(
            self.body.contains(&format!("urn:tenancy:problem:{kind}")),
            "{self:?}"
        );
        assert!(self.refused, "{self:?}");
        self.assert_varies();
    }
}

pub(crate) async fn who_has_yet_to_sign_in_is_sent_there_and_back<C: Browser>() {
    let world = World::new().await;
    let browser = C::new(&world, true).await;
    let got = browser.send(open("/o/acme/notes?page=2&q=a%20b")).await;
    got.assert_redirect("/login?next=/o/acme/notes%3Fpage%3D2%26q%3Da%2520b");
    let got = browser
        .send(ask("HEAD", "/o/acme/notes").with("accept", ACCEPT))
        .await;
    got.assert_redirect("/login?next=/o/acme/notes");
    let navigation = open("/o/acme/notes").with("sec-fetch-mode", "navigate");
    let got = browser.send(navigation).await;
    got.assert_redirect("/login?next=/o/acme/notes");
    // Who is signed in sees the page itself.
    let got = browser.send(open("/o/acme/notes").by(world.alice)).await;
    assert_eq!((got.status, &*got.body), (200, "notes"), "{got:?}");
    assert_eq!(got.one("location"), None);
}

pub(crate) async fn other_refusals_are_pages_of_the_application<C: Browser>() {
    let world = World::new().await;
    let browser = C::new(&world, true).await;
    for asking in [open("/o/acme/notes"), open("/o/nobody/notes")] {
        let got = browser.send(asking.by(world.stranger)).await;
        got.assert_page(404, "tenant-not-found");
    }
    let got = browser.send(open("/o/acme/notes").by(world.mute)).await;
    got.assert_page(403, "permission-denied");
    let got = browser.send(open("/o/acme/missing").by(world.alice)).await;
    got.assert_page(404, "not-found");
    assert!(!got.body.contains("no-such-note"));
}

pub(crate) async fn the_answer_to_head_has_the_length_of_the_page<C: Browser>() {
    let world = World::new().await;
    let browser = C::new(&world, true).await;
    let asking = ask("HEAD", "/o/nobody/notes").with("accept", ACCEPT);
    let got = browser.send(asking.by(world.alice)).await;
    assert_eq!((got.status, &*got.body), (404, ""), "{got:?}");
    assert_eq!(got.one("content-type"), Some("text/html; charset=utf-8"));
    let length = "<h1>Sorry: tenant-not-found</h1>".len().to_string();
    assert_eq!(got.one("content-length"), Some(&*length));
}

pub(crate) async fn a_form_that_is_refused_is_answered_with_a_page_and_not_repeated<C: Browser>() {
    let world = World::new().await;
    let browser = C::new(&world, true).await;
    let form = ask("POST", "/o/acme/notes").with("accept", ACCEPT);
    browser
        .send(form.clone())
        .await
        .assert_page(401, "unauthenticated");
    let form = form.by(world.alice);
    let cross_site = form.clone().with("sec-fetch-site", "cross-site");
    browser
        .send(cross_site)
        .await
        .assert_page(403, "origin-not-allowed");
    let own = form.with("sec-fetch-site", "same-origin");
    assert_eq!(browser.send(own).await.body, "notes");
}

pub(crate) async fn programs_and_scripts_are_told_the_problem<C: Browser>() {
    let world = World::new().await;
    let browser = C::new(&world, true).await;
    for accept in [
        None,
        Some("*/*"),
        Some("application/json"),
        Some("text/html;q=0, */*"),
    ] {
        let asking = ask("GET", "/o/acme/notes");
        let asking = accept.map_or(asking.clone(), |accept| asking.with("accept", accept));
        browser
            .send(asking)
            .await
            .assert_problem(401, "unauthenticated");
    }
    // A script that takes HTML gets a page, and no redirect to a form that it would take for its data.
    let script = open("/o/acme/notes").with("sec-fetch-mode", "cors");
    browser
        .send(script)
        .await
        .assert_page(401, "unauthenticated");
}

pub(crate) async fn the_page_where_one_signs_in_never_redirects_to_itself<C: Browser>() {
    let world = World::new().await;
    let browser = C::new(&world, true).await;
    for target in ["/login", "/login?next=/o/acme/notes"] {
        browser
            .send(open(target))
            .await
            .assert_page(401, "unauthenticated");
    }
}

pub(crate) async fn what_leads_to_another_host_is_never_next<C: Browser>() {
    let world = World::new().await;
    let browser = C::new(&world, true).await;
    for target in ["//evil.example/o/acme", "//evil.example", "///evil.example"] {
        let got = browser.send(open(target)).await;
        let to = got.one("location");
        assert!(matches!(to, None | Some("/login")), "{target}: {got:?}");
    }
}

pub(crate) async fn without_options_and_refusals_nothing_changes<C: Browser>() {
    let world = World::new().await;
    let plain = C::new(&world, false).await;
    plain
        .send(open("/o/acme/notes"))
        .await
        .assert_problem(401, "unauthenticated");
    let whole = C::new(&world, true).await;
    let got = whole.send(open("/o/acme/own").by(world.alice)).await;
    assert_eq!((got.status, &*got.body), (401, "own"), "{got:?}");
    assert_eq!(got.one("location"), None);
}

/// Makes a test of each case: `specify_refusal_pages!(tokio::test, Browser)`.
macro_rules! specify_refusal_pages {
    ($test:meta, $browser:ty) => {
        $crate::refusal_pages_cases::specify_refusal_pages! { @ $test, $browser:
            who_has_yet_to_sign_in_is_sent_there_and_back
            other_refusals_are_pages_of_the_application
            the_answer_to_head_has_the_length_of_the_page
            a_form_that_is_refused_is_answered_with_a_page_and_not_repeated
            programs_and_scripts_are_told_the_problem
            the_page_where_one_signs_in_never_redirects_to_itself
            what_leads_to_another_host_is_never_next
            without_options_and_refusals_nothing_changes
        }
    };
    (@ $test:meta, $browser:ty: $($case:ident)*) => {
        $(#[$test] async fn $case() { $crate::refusal_pages_cases::$case::<$browser>().await; })*
    };
}
pub(crate) use specify_refusal_pages;
