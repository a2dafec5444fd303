//! Random changes and requests: whatever an engine remembers, it answers as one would that was made
//! a moment ago and remembers nothing.
#![allow(clippy::indexing_slicing, reason = "a test fails where it is wrong")]

use std::{collections::VecDeque, sync::Arc, time::Duration};

use serde_json::json;
use tenancy_core::{
    Admission, Admitted, Clock as _, Identification, Membership, MemoryAuditSink, Project,
    ProjectMembership, RoleName, RouteNeeds, SystemRole, Tenancy, TokensOf, UserId,
    jwt::{Algorithm, JwtAuthenticator, JwtIssuers, VerificationKey},
    testing::FakeRequest,
};

use crate::support::{ISSUER, World, key, sign_one_of_many};

const SSO: &str = "https://sso.example.com";
const SECOND_SECRET: &[u8] = &[7; 32];

/// xorshift64*, so that a failure can be repeated by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % count
    }

    fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}

fn engine(w: &World, issuers: JwtIssuers, fresh: bool) -> Tenancy {
    let rules = Identification::new()
        .header("x-organization-id")
        .subdomains_of("notes.example")
        .project_header("x-project-id");
    let permissions = w.tenancy.permissions().clone();
    let builder = Tenancy::builder(w.directory.clone())
        .identification(rules)
        .permissions(permissions)
        .shared_audit(Arc::new(MemoryAuditSink::new(8)))
        .clock(w.clock.clone())
        .authenticator(issuers);
    let builder = if fresh {
        builder.directory_cache_bytes(0).admission_cache_bytes(0)
    } else {
        builder
    };
    builder.build().unwrap()
}

/// All that a handler or a client sees of an answer.
async fn answer(engine: &Tenancy, request: &FakeRequest, needs: RouteNeeds) -> String {
    let answer = match engine.admit(request, needs) {
        Admission::Ready(answer) => answer,
        Admission::Pending(pending) => pending.resolve().await,
    };
    match answer {
        Ok(Admitted::Tenant(context)) => format!(
            "{} {:?} {:?} {:?} {:?} {:?} {:?} {}",
            context.tenant().slug,
            context.tenant().status,
            context.role(),
            context.permissions(),
            context.project_id(),
            context.principal(),
            context.client_ip(),
            context.principal().claims.as_json(),
        ),
        Ok(other) => format!("{other:?}"),
        Err(refusal) => format!("{} {}", refusal.kind().status(), refusal.reason()),
    }
}

struct Play {
    w: World,
    random: Random,
    /// The issuers of the engine that remembers, and of those that don't.
    issuers: [JwtIssuers; 2],
    users: [UserId; 3],
    tokens: Vec<String>,
    projects: Vec<Project>,
    /// What was asked a while ago, to be asked again.
    recent: VecDeque<(FakeRequest, RouteNeeds)>,
    engine: Tenancy,
}

impl Play {
    async fn new(seed: u64) -> Self {
        let w = World::new().await;
        let issuers = [JwtIssuers::new(), JwtIssuers::with_cache_bytes(0)];
        for issuers in &issuers {
            let plain = JwtAuthenticator::builder(ISSUER, "notes").key(key());
            issuers.add(plain.build().unwrap()).unwrap();
        }
        let engine = engine(&w, issuers[0].clone(), false);
        let projects = [&w.acme, &w.globex]
            .map(|tenant| Project::new(tenant.id, "roadmap".parse().unwrap(), "Roadmap"))
            .to_vec();
        for project in &projects {
            engine.admin().put_project(project).await.unwrap();
        }
        let users = [w.alice, w.bob, UserId::new()];
        let mut play = Self {
            w,
            random: Random(seed),
            issuers,
            users,
            tokens: Vec::new(),
            projects,
            recent: VecDeque::new(),
            engine,
        };
        for _ in 0..12 {
            let token = play.token();
            play.tokens.push(token);
        }
        play
    }

    fn token(&mut self) -> String {
        let now = self.w.clock.now().as_unix_seconds();
        let life = *self.random.of(&[5, 40, 300, 3_000, 3_000]);
        let user = *self.random.of(&self.users);
        let mut claims = json!({
            "iss": *self.random.of(&[ISSUER, ISSUER, SSO]), "aud": "notes",
            "sub": user.to_string(), "exp": now + life, "jti": self.random.below(1_000_000),
        });
        if self.random.below(8) > 0 {
            claims["iat"] = json!(now - 1);
        }
        if self.random.below(6) == 0 {
            claims["nbf"] = json!(now + 33);
        }
        sign_one_of_many(&claims)
    }

    fn request(&mut self) -> (FakeRequest, RouteNeeds) {
        let slug = *self
            .random
            .of(&["acme", "acme", "acme", "globex", "globex", "nobody"]);
        let mut request = FakeRequest::new("/").header("host", format!("{slug}.notes.example"));
        if self.random.below(8) > 0 {
            let token: &String = self.random.of(&self.tokens);
            request = request.bearer(token);
        }
        if self.random.below(8) == 0 {
            request = request.header("x-organization-id", *self.random.of(&["acme", "globex"]));
        }
        if self.random.below(5) == 0 {
            let project = self.random.of(&self.projects).id;
            request = request.header("x-project-id", project.to_string());
        }
        let needs = [
            RouteNeeds::tenant(),
            RouteNeeds::tenant(),
            RouteNeeds::tenant().or_anonymous(),
            RouteNeeds::optional(),
            RouteNeeds::central(),
        ];
        (request, *self.random.of(&needs))
    }

    async fn change(&mut self) {
        // By this process, or by another whose news is heard of before the next request.
        let elsewhere = (self.random.below(2) == 0).then(|| self.fresh());
        let admin = elsewhere.as_ref().unwrap_or(&self.engine).admin();
        let tenant = self
            .random
            .of(&[self.w.acme.id, self.w.globex.id])
            .to_owned();
        let user = *self.random.of(&self.users);
        let roles: [RoleName; 3] = [
            SystemRole::Viewer.name(),
            SystemRole::Member.name(),
            SystemRole::Owner.name(),
        ];
        let role = self.random.of(&roles).clone();
        match self.random.below(14) {
            0 => drop(admin.suspend(tenant).await),
            1 | 2 => drop(admin.activate(tenant).await),
            3..=7 => {
                let member = Membership::new(tenant, user, role);
                admin.put_membership(&member).await.unwrap();
            }
            8 => drop(admin.remove_membership(tenant, user).await),
            9 => {
                let project = self.random.of(&self.projects).clone();
                let member = ProjectMembership::new(project.tenant, project.id, user, role);
                admin.put_project_membership(&member).await.unwrap();
            }
            10 if self.random.below(3) == 0 => {
                let of = match self.random.below(8) {
                    0 => TokensOf::Tenant(tenant),
                    1 => TokensOf::Issuer(ISSUER.into()),
                    _ => TokensOf::User(user),
                };
                admin.revoke_tokens(&of, "the model").await.unwrap();
            }
            11 => {
                let good = self.random.below(2) == 0;
                for issuers in &self.issuers {
                    issuers.remove(SSO);
                    let other = VerificationKey::hmac(Algorithm::HS256, SECOND_SECRET).unwrap();
                    let key = if good { key() } else { other };
                    let sso = JwtAuthenticator::builder(SSO, "notes").key(key);
                    issuers.add(sso.build().unwrap()).unwrap();
                }
            }
            _ => {}
        }
        if elsewhere.is_some() {
            self.engine.catch_up().await.unwrap();
        }
    }

    /// An engine that knows nothing yet.
    fn fresh(&self) -> Tenancy {
        engine(&self.w, self.issuers[1].clone(), true)
    }

    /// Compares a number of answers; each question is asked several times, so that it is warm.
    async fn play(&mut self, answers: usize) {
        let mut admitted = 0;
        let mut compared = 0;
        while compared < answers {
            if self.random.below(4) == 0 {
                self.change().await;
            }
            if self.random.below(3) == 0 {
                let step = *self
                    .random
                    .of(&[1, 200_000, 3_000_000, 20_000_000, 70_000_000]);
                self.w.clock.advance(Duration::from_micros(step));
            }
            if self.random.below(2) == 0 {
                let (token, at) = (self.token(), self.random.below(self.tokens.len()));
                self.tokens[at] = token;
            }
            let (request, needs) = match self.recent.len() {
                known @ 8.. if self.random.below(2) == 0 => {
                    self.recent[self.random.below(known)].clone()
                }
                _ => self.request(),
            };
            for _ in 0..4 {
                let ours = answer(&self.engine, &request, needs).await;
                let theirs = answer(&self.fresh(), &request, needs).await;
                assert_eq!(ours, theirs, "after {compared} answers: {request:?}");
                admitted += usize::from(ours.contains("Active"));
                compared += 1;
            }
            self.recent.push_back((request, needs));
            if self.recent.len() > 12 {
                self.recent.pop_front();
            }
        }
        // Otherwise nothing of this shows anything.
        assert!(admitted > answers / 20, "{admitted} of {compared} admitted");
    }
}

#[tokio::test]
async fn what_is_remembered_changes_no_answer() {
    let long = std::env::var("TENANCY_LONG").is_ok_and(|value| value == "1");
    let (seeds, answers) = if long { (20, 5_000) } else { (4, 1_000) };
    for seed in 1..=seeds {
        println!("seed {seed}");
        Play::new(seed).await.play(answers).await;
    }
}
