//! The pages: one struct for each template, with all that it shows.

use askama::Template;
use tenancy::{InvitationPreview, Refusal, TenantContext, http::Error};

use crate::{
    accounts::{Account, Accounts, Organization},
    invitations::{self, Pending},
    members::Member,
    notes::Note,
};

/// The bar on top: who is signed in, and the switcher.
#[derive(Debug)]
pub struct Bar {
    account: String,
    /// Whether the address of the account is confirmed.
    confirmed: bool,
    organizations: Vec<Organization>,
    /// The name of the organization that the page is about, if the visitor is a member of it.
    current: Option<Organization>,
}

impl Bar {
    /// For a page of this tenant, or of none.
    pub async fn of(
        accounts: &Accounts,
        account: &Account,
        tenant: Option<&TenantContext>,
    ) -> Result<Self, Error> {
        let organizations = accounts.organizations(account.user()).await?;
        let slug = tenant.map(|tenant| tenant.record().slug.as_str());
        let current = organizations.iter().find(|one| Some(&*one.slug) == slug);
        Ok(Self {
            account: account.name.clone(),
            confirmed: account.confirmed,
            current: current.cloned(),
            organizations,
        })
    }
}

/// The tenant that a page is about.
#[derive(Debug)]
pub struct Site {
    name: String,
    slug: String,
    may_write: bool,
    may_invite: bool,
    is_member: bool,
}

impl From<&TenantContext> for Site {
    fn from(context: &TenantContext) -> Self {
        let allows = |permission| {
            let id = context.tenancy().permissions().id(permission);
            id.is_some_and(|id| context.allows(id))
        };
        Self {
            name: context.record().name.clone(),
            slug: context.record().slug.to_string(),
            may_write: allows("notes:write"),
            may_invite: invitations::may_invite(context),
            is_member: context.user_id().is_some(),
        }
    }
}

#[derive(Debug, Template)]
#[template(path = "welcome.html")]
pub struct Welcome {
    pub bar: Option<Bar>,
}

#[derive(Debug, Default, Template)]
#[template(path = "log-in.html")]
pub struct LogIn {
    pub bar: Option<Bar>,
    pub next: String,
    pub email: String,
    pub fault: Option<&'static str>,
}

#[derive(Debug, Default, Template)]
#[template(path = "sign-up.html")]
pub struct SignUp {
    pub bar: Option<Bar>,
    pub next: String,
    pub email: String,
    pub name: String,
    pub fault: Option<&'static str>,
}

#[derive(Debug, Template)]
#[template(path = "organizations.html")]
pub struct Organizations {
    pub bar: Option<Bar>,
    pub name: String,
    pub slug: String,
    pub fault: Option<&'static str>,
}

#[derive(Debug, Template)]
#[template(path = "public.html")]
pub struct Public {
    pub bar: Option<Bar>,
    pub site: Site,
    pub notes: Vec<Note>,
}

#[derive(Debug, Template)]
#[template(path = "notes.html")]
pub struct Notes {
    pub bar: Option<Bar>,
    pub site: Site,
    pub notes: Vec<Note>,
}

#[derive(Debug, Template)]
#[template(path = "members.html")]
pub struct Members {
    pub bar: Option<Bar>,
    pub site: Site,
    pub members: Vec<Member>,
    pub invitations: Vec<Pending>,
    /// What was typed, and what is wrong with it.
    pub email: String,
    pub fault: Option<&'static str>,
}

#[derive(Debug, Template)]
#[template(path = "invitation.html")]
pub struct Invitation {
    pub bar: Option<Bar>,
    pub preview: InvitationPreview,
    /// The path of this page.
    pub path: String,
    pub fault: Option<&'static str>,
}

#[derive(Debug, Template)]
#[template(path = "confirm.html")]
pub struct Confirm {
    pub bar: Option<Bar>,
    /// The path of this page.
    pub path: String,
}

/// A refusal, as far as the caller may know.
#[derive(Debug, Template)]
#[template(path = "refusal.html")]
struct Refused<'a> {
    status: u16,
    title: &'a str,
    text: &'a str,
}

/// The page of a refusal. It depends on nothing else, so that it can't fail where a database is down.
pub fn refusal(refusal: &Refusal) -> String {
    let (title, text) = match refusal.kind().status() {
        401 => (
            "Please sign in",
            "This page is for those who have signed in.",
        ),
        403 => (
            "Not for you",
            "Your role in this organization does not allow this.",
        ),
        404 => (
            "Not found",
            "There is no such page, or it is not open to you.",
        ),
        409 => (
            "That did not work",
            "It contradicts what is stored already.",
        ),
        400 => (
            "That did not work",
            "The form has something in it that can't be stored.",
        ),
        503 | 429 => ("One moment please", "Try again in a few seconds."),
        _ => ("Sorry", "Something went wrong here. It has been noted."),
    };
    let page = Refused {
        status: refusal.kind().status(),
        title,
        text,
    };
    page.render().unwrap_or_else(|_| title.to_owned())
}
