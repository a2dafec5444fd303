//! A question to an engine, and all that a handler, a page or a client sees of the answer.

use std::net::IpAddr;

use super::world::{APPLICATION, BASE_DOMAIN, COOKIE, World};
use crate::{
    Admission, Admitted, CorsAnswer, CorsDecision, Directory, DirectoryStore, Refusal, RouteNeeds,
    Tenancy, TenantRecord, key::KeyStore, testing::FakeRequest,
};

/// A request and the route that it is for.
#[derive(Debug, Clone)]
pub(super) struct Question {
    request: FakeRequest,
    method: &'static str,
    needs: RouteNeeds,
    page: Page,
}

/// Whose page has sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Page {
    Nobodys,
    ATenants(String),
    Another(String),
}

impl Question {
    pub(super) const fn is_of_a_tenants_page(&self) -> bool {
        matches!(self.page, Page::ATenants(_))
    }

    /// Asks whether the request is admitted, and whether its page may make it.
    pub(super) async fn ask(&self, engine: &Tenancy) -> String {
        let admitted = match engine.admit(&self.request, self.needs) {
            Admission::Ready(answer) => answer,
            Admission::Pending(pending) => pending.resolve().await,
        };
        let of_page = match engine.cors(&self.request, self.method) {
            CorsAnswer::Ready(decision) => decision,
            CorsAnswer::Pending(pending) => pending.resolve().await,
        };
        let of_page = match &of_page {
            CorsDecision::NotCors => "no page".to_owned(),
            CorsDecision::Allowed => "allowed".to_owned(),
            CorsDecision::Refused(refusal) => told(refusal),
        };
        let admitted = match admitted {
            Ok(Admitted::Tenant(context)) => format!(
                "{} {:?} {:?} {:?} {:?} {:?} {:?} {}",
                context.record().slug,
                context.record().status,
                context.role(),
                context.permissions(),
                context.project_id(),
                context.principal(),
                context.client_ip(),
                context.principal().claims.as_json(),
            ),
            Ok(other) => format!("{other:?}"),
            Err(refusal) => told(&refusal),
        };
        format!("{admitted}; page: {of_page}")
    }
}

fn told(refusal: &Refusal) -> String {
    format!("{} {}", refusal.kind().status(), refusal.reason())
}

impl<D: Directory + DirectoryStore + KeyStore + Clone> World<D> {
    pub(super) fn question(&mut self) -> Question {
        let [acme, globex] = &self.tenants;
        let about = (*self.random.of(&[acme, acme, globex])).clone();
        let host = self.host(&about);
        let mut request = FakeRequest::new("/").header("host", host);
        request = match self.random.below(12) {
            0 => request,
            1 | 2 => {
                let token = self.random.of(&self.tokens);
                request.header("cookie", format!("{COOKIE}={token}"))
            }
            3 | 4 => {
                let text = self.key_for(about.id).text.clone();
                request.bearer(&text)
            }
            _ => {
                let token = self.random.of(&self.tokens);
                request.bearer(token)
            }
        };
        if self.random.one_in(8) {
            let named = self.random.of(&self.tenants).slug.to_string();
            request = request.header("x-organization-id", named);
        }
        if self.random.one_in(5) {
            let project = self.random.of(&self.projects).id;
            request = request.header("x-project-id", project.to_string());
        }
        if self.random.one_in(2) {
            let peer = *self.random.of(&[[192, 0, 2, 7], [198, 51, 100, 7]]);
            request = request.peer(IpAddr::from(peer));
        }
        let page = self.page(&about);
        if let Page::ATenants(origin) | Page::Another(origin) = &page {
            request = request.header("origin", origin);
        }
        let mut method = *self.random.of(&["GET", "GET", "POST"]);
        if self.random.one_in(10) {
            method = "OPTIONS";
            request = request
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "authorization");
        }
        let needs = [
            RouteNeeds::tenant(),
            RouteNeeds::tenant(),
            RouteNeeds::tenant().or_anonymous(),
            RouteNeeds::tenant()
                .or_anonymous_if_stale()
                .or_anonymous_if_not_member(),
            RouteNeeds::optional(),
            RouteNeeds::central(),
        ];
        Question {
            request: request.method(method),
            method,
            needs: *self.random.of(&needs),
            page,
        }
    }

    /// Where a request goes: most often to the tenant that it is about.
    fn host(&mut self, about: &TenantRecord) -> String {
        match self.random.below(16) {
            0 => BASE_DOMAIN.to_owned(),
            1 => format!("nobody.{BASE_DOMAIN}"),
            _ => self.host_of(about),
        }
    }

    fn host_of(&mut self, tenant: &TenantRecord) -> String {
        if self.random.one_in(5) {
            self.domain_of(tenant.id).to_string()
        } else {
            format!("{}.{BASE_DOMAIN}", tenant.slug)
        }
    }

    fn page(&mut self, about: &TenantRecord) -> Page {
        match self.random.below(16) {
            0..=3 => Page::ATenants(format!("https://{}", self.host_of(about))),
            4 => {
                let tenant = self.random.of(&self.tenants).clone();
                Page::ATenants(format!("https://{}", self.host_of(&tenant)))
            }
            5 => {
                let others = [APPLICATION, "https://evil.test", "null"];
                Page::Another((*self.random.of(&others)).to_owned())
            }
            _ => Page::Nobodys,
        }
    }
}
