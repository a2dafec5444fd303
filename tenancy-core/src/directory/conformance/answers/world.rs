//! What the model plays with: tenants, users, credentials, and engines.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::super::slug;
use crate::{
    Clock as _, CorsPolicy, CredentialSource, Directory, DirectoryStore, DomainName,
    Identification, KeyId, ManualClock, Membership, MemoryAuditSink, PermissionRegistry, Project,
    RoleSeen, SystemRole, Tenancy, TenantId, TenantRecord, TenantStatus, Timestamp, UserId,
    jwt::{Algorithm, JwtAuthenticator, JwtIssuers, VerificationKey},
    key::{ApiKeys, Environment, HmacKeyHasher, KeyFormat, KeyStore, Pepper},
    testing::{random::Random, unattributed},
};

pub(super) const COOKIE: &str = "session";
pub(super) const APPLICATION: &str = "https://app.example";
pub(super) const BASE_DOMAIN: &str = "notes.example";

const SECRET: [u8; 32] = [5; 32];
const OTHER_SECRET: [u8; 32] = [7; 32];

/// A key that was issued.
pub(super) struct Issued {
    pub(super) tenant: TenantId,
    pub(super) id: KeyId,
    pub(super) text: String,
}

pub(super) struct World<D> {
    directory: D,
    pub(super) random: Random,
    clock: Arc<ManualClock>,
    /// The issuers of the engine that remembers, and of those that don't.
    issuers: [JwtIssuers; 2],
    /// The issuer that is always there, and the one that is replaced.
    pub(super) plain: String,
    sso: String,
    pub(super) tenants: [TenantRecord; 2],
    pub(super) users: [UserId; 3],
    pub(super) tokens: Vec<String>,
    pub(super) keys: Vec<Issued>,
    pub(super) projects: Vec<Project>,
    /// Domains that are bound to these tenants, or may be one day; the newest last.
    pub(super) domains: VecDeque<(TenantId, DomainName)>,
    /// The engine that remembers.
    pub(super) engine: Tenancy,
}

impl<D: Directory + DirectoryStore + KeyStore + Clone> World<D> {
    pub(super) async fn new(directory: D, seed: u64) -> Self {
        let tenants = ["acme", "globex"]
            .map(|name| TenantRecord::new(slug(name), name).with_status(TenantStatus::Active));
        let [acme, globex] = &tenants;
        let of_this_run = acme.id.as_uuid().simple();
        let plain = format!("https://login.{of_this_run}.example");
        let issuers = [JwtIssuers::new(), JwtIssuers::with_cache_bytes(0)];
        for issuers in &issuers {
            issuers.add(tokens_of(&plain, SECRET)).unwrap();
        }
        let clock = Arc::new(ManualClock::now_frozen());
        let engine = engine(&directory, &clock, issuers[0].clone(), false);
        let users = [UserId::new(), UserId::new(), UserId::new()];
        for (tenant, owner) in [acme, globex].into_iter().zip(users) {
            directory
                .create_tenant(tenant, &unattributed())
                .await
                .unwrap();
            let owner = Membership::new(tenant.id, owner, SystemRole::Owner.name());
            directory
                .put_membership(&owner, &RoleSeen::Any, &unattributed())
                .await
                .unwrap();
        }
        let projects = [acme, globex]
            .map(|tenant| Project::new(tenant.id, "roadmap".parse().unwrap(), "Roadmap"))
            .to_vec();
        for project in &projects {
            directory
                .put_project(project, &unattributed())
                .await
                .unwrap();
        }
        let mut world = Self {
            directory,
            random: Random::new(seed),
            clock,
            issuers,
            plain,
            sso: format!("https://sso.{of_this_run}.example"),
            tenants,
            users,
            tokens: Vec::new(),
            keys: Vec::new(),
            projects,
            domains: VecDeque::new(),
            engine,
        };
        for _ in 0..8 {
            world.think_of_a_domain();
        }
        for _ in 0..4 {
            world.bind_a_domain(None).await;
        }
        for _ in 0..12 {
            let token = world.token();
            world.tokens.push(token);
        }
        // Who is drawn may be no member.
        while world.keys.len() < 4 {
            world.issue(None).await;
        }
        world
    }

    /// An engine that knows nothing yet.
    pub(super) fn fresh(&self) -> Tenancy {
        engine(&self.directory, &self.clock, self.issuers[1].clone(), true)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn let_time_pass(&mut self) {
        let steps = [1, 200_000, 3_000_000, 20_000_000, 70_000_000];
        let step = *self.random.of(&steps);
        self.clock.advance(Duration::from_micros(step));
    }

    pub(super) fn replace_a_token(&mut self) {
        let (token, at) = (self.token(), self.random.below(self.tokens.len()));
        *self.tokens.get_mut(at).unwrap() = token;
    }

    /// A domain of this tenant, or one that may be one day.
    pub(super) fn domain_of(&mut self, tenant: TenantId) -> DomainName {
        let of_tenant = self.domains.iter().filter(|(of, _)| *of == tenant);
        let domains: Vec<_> = of_tenant.map(|(_, domain)| domain.clone()).collect();
        self.random.of(&domains).clone()
    }

    /// Adds a domain that names nobody yet: the tenants take turns.
    fn think_of_a_domain(&mut self) {
        let [acme, globex] = &self.tenants;
        let newest = self.domains.back().map(|(of, _)| *of);
        let tenant = if newest == Some(acme.id) {
            globex
        } else {
            acme
        };
        let name = TenantId::new().as_uuid().simple();
        let domain = format!("d{name}.example").parse().unwrap();
        self.domains.push_back((tenant.id, domain));
    }

    /// Binds a domain. The oldest is no longer asked for, and another may be bound one day.
    pub(super) async fn bind_a_domain(&mut self, elsewhere: Option<&Tenancy>) {
        let at = self.random.below(self.domains.len());
        let (tenant, domain) = self.domains.get(at).unwrap().clone();
        let admin = elsewhere
            .unwrap_or(&self.engine)
            .admin(crate::testing::service());
        if admin.bind_domain(tenant, &domain).await.is_ok() {
            self.domains.pop_front();
            self.think_of_a_domain();
        }
    }

    /// A key that most often is one of this tenant.
    pub(super) fn key_for(&mut self, tenant: TenantId) -> &Issued {
        let mut at = self.random.below(self.keys.len());
        for _ in 0..3 {
            if self.keys.get(at).unwrap().tenant == tenant {
                break;
            }
            at = self.random.below(self.keys.len());
        }
        self.keys.get(at).unwrap()
    }

    /// Puts an issuer with the right key, or with another, in the place of the one that was there.
    pub(super) fn replace_an_issuer(&mut self) {
        let secret = *self.random.of(&[SECRET, OTHER_SECRET]);
        for issuers in &self.issuers {
            issuers.remove(&self.sso);
            issuers.add(tokens_of(&self.sso, secret)).unwrap();
        }
    }

    fn token(&mut self) -> String {
        let now = self.now().as_unix_seconds();
        let life = *self.random.of(&[5, 40, 300, 3_000, 3_000]);
        let user = *self.random.of(&self.users);
        let issuer = *self.random.of(&[&self.plain, &self.plain, &self.sso]);
        let mut claims = json!({
            "iss": issuer, "aud": "notes", "sub": user.to_string(), "exp": now + life,
            "jti": self.random.below(1_000_000),
        });
        let claims_of = claims.as_object_mut().unwrap();
        if !self.random.one_in(8) {
            claims_of.insert("iat".to_owned(), json!(now - 1));
        }
        if self.random.one_in(6) {
            claims_of.insert("nbf".to_owned(), json!(now + 33));
        }
        signed(&claims)
    }
}

fn engine<D: Directory + DirectoryStore + KeyStore + Clone>(
    directory: &D,
    clock: &Arc<ManualClock>,
    issuers: JwtIssuers,
    fresh: bool,
) -> Tenancy {
    let rules = Identification::new()
        .header("x-organization-id")
        .subdomains_of(BASE_DOMAIN)
        .custom_domains()
        .project_header("x-project-id");
    let permissions = PermissionRegistry::builder()
        .permission("notes:read", SystemRole::Viewer)
        .permission("notes:write", SystemRole::Member);
    let format = KeyFormat::new("model", Environment::Live).unwrap();
    let hasher = HmacKeyHasher::new(Pepper::new(1, SECRET).unwrap());
    let policy = CorsPolicy::new().origin(APPLICATION).credentials(true);
    let sources = [CredentialSource::bearer(), CredentialSource::cookie(COOKIE)];
    let builder = Tenancy::builder(directory.clone())
        .identification(rules)
        .permissions(permissions.build().unwrap())
        .shared_audit(Arc::new(MemoryAuditSink::new(8)))
        .clock(clock.clone())
        .cors(policy)
        .keys(ApiKeys::new(format, hasher, directory.clone()))
        .authenticator_from(sources, issuers);
    let builder = if fresh {
        builder.directory_cache_bytes(0).admission_cache_bytes(0)
    } else {
        builder
    };
    builder.build().unwrap()
}

fn tokens_of(issuer: &str, secret: [u8; 32]) -> JwtAuthenticator {
    let key = VerificationKey::hmac(Algorithm::HS256, secret).unwrap();
    JwtAuthenticator::builder(issuer, "notes")
        .key(key)
        .build()
        .unwrap()
}

/// A token (RFC 7515 §7.1).
fn signed(claims: &Value) -> String {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let header = json!({ "alg": "HS256", "typ": "JWT" });
    let text = format!("{}.{}", part(&header), part(claims));
    let mut keyed = Hmac::<Sha256>::new_from_slice(&SECRET).unwrap();
    keyed.update(text.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(keyed.finalize().into_bytes());
    format!("{text}.{signature}")
}
