//! Invitations: who becomes a member by one, and who does not.

use std::{net::IpAddr, time::Duration};

use serde_json::json;
use tenancy_core::{
    Actor, AllowedTenants, Authority, EmailAddress, Invitations, InviteOutcome, Membership,
    MembershipDirectory as _, MembershipStatus, Operator, OperatorRight, OperatorRole, Operators,
    Outcome, PlanBook, Project, ProjectAccess, ProjectDirectory as _, ProjectId, ProjectMembership,
    Refusal, RoleDefinition, ServiceId, StoreErrorKind, SystemRole, TenantId, TenantStatus,
    TokenSubject, UserId, VerifiedEmail,
    invitation::{
        Invitation, InvitationFilter, InvitationState, Inviter, NewInvitation, ProjectRole,
    },
    jwt::JwtAuthenticator,
    key::Pepper,
    one_time::OneTimeTokens,
    outbox::{ClaimRequest, Event, Outbox as _, Start},
    quota::{Limit, Meter, Quotas},
    testing::{FakeRequest, StoreDirectly as _, service},
};

use crate::{
    operators::{context_of, operator, staff_tokens},
    support::{ISSUER, World, answer, key},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const HOST: &str = "acme.notes.example";
const UNKNOWN: (u16, &str) = (404, "invitation-unknown");
const OTHER: (u16, &str) = (404, "invitation-other-address");
const OVER: (u16, &str) = (404, "invitation-over");
const INVITER: (u16, &str) = (403, "invitation-inviter");

fn tokens() -> OneTimeTokens {
    OneTimeTokens::new(Pepper::new(1, [9; 32]).unwrap())
}

async fn world() -> World {
    world_with(None).await
}

/// With so many seats in each tenant.
async fn world_with(seats: Option<u64>) -> World {
    World::over(|directory, builder| {
        let plain = JwtAuthenticator::builder(ISSUER, "notes").key(key());
        let builder = builder
            .authenticator(plain.build().unwrap())
            .invitations(tokens());
        let Some(seats) = seats else { return builder };
        builder
            .quotas(
                Quotas::new()
                    .meter(Meter::held("members"))
                    .upgrade_url("https://notes.example/plans"),
            )
            .plans(
                PlanBook::new()
                    .plan("free", ["*"])
                    .limits("free", [Limit::held("members", seats)])
                    .plan("solo", ["*"])
                    .limits("solo", [Limit::held("members", 1)])
                    .for_tenants_without_plan("free"),
            )
            .seats("members", directory.directory().clone())
    })
    .await
}

fn email(text: &str) -> EmailAddress {
    text.parse().unwrap()
}

fn verified(text: &str) -> VerifiedEmail {
    VerifiedEmail::vouched_by_application(email(text))
}

fn invitations(w: &World) -> Invitations {
    w.tenancy.invitations(service())
}

/// The authority of a member of acme who invites by the permission `notes:write`.
async fn of(w: &World, user: UserId) -> Authority {
    let request = FakeRequest::new("/notes").header("host", HOST);
    let request = request.bearer(&w.token(user, json!({})));
    let context = w.admit(&request).await.unwrap();
    context.authority("notes:write").unwrap()
}

fn new(w: &World, address: &str, role: SystemRole) -> NewInvitation {
    NewInvitation::new(w.acme.id, email(address), role.name())
}

async fn invite(w: &World, address: &str, role: SystemRole) -> Invitation {
    invitations(w).invite(&new(w, address, role)).await.unwrap()
}

/// What the mail says, as it is sent now.
async fn token(w: &World, invitation: &Invitation) -> String {
    let mail = invitations(w).mail(invitation.id).await.unwrap().unwrap();
    assert_eq!(mail.tenant().id, w.acme.id);
    let token = mail.token().expose().to_owned();
    tenancy_logwatch::issued(token.rsplit('_').next().unwrap());
    assert!(!format!("{mail:?}").contains(&token));
    token
}

async fn accept(
    w: &World,
    token: &str,
    user: UserId,
    address: &str,
) -> Result<Membership, Refusal> {
    let email = verified(address);
    w.tenancy.accept_invitation(token, user, &email).await
}

async fn state(w: &World, invitation: &Invitation) -> InvitationState {
    let all = InvitationFilter::new();
    let listed = invitations(w)
        .list(w.acme.id, &all, None, 100)
        .await
        .unwrap();
    let found = listed.iter().find(|one| one.id == invitation.id).unwrap();
    found.state_at(w.clock_now())
}

/// better-auth#2250, logto#5823, pay-selfservice#3598: the address decides, and whoever has the link and another one
/// neither gets in nor spends it.
#[tokio::test]
async fn the_invited_address_joins_once_and_no_other() {
    let w = world().await;
    let invitation = invite(&w, "Ann.Lee@Example.org", SystemRole::Member).await;
    let link = token(&w, &invitation).await;
    let (ann, bob) = (UserId::new(), UserId::new());
    for other in [
        "bob@example.org",
        "ann.lee+x@example.org",
        "annlee@example.org",
        // With a Cyrillic letter in the domain, as such and as it is sent.
        "ann.lee@ex\u{430}mple.org",
        "ann.lee@xn--exmple-4nf.org",
    ] {
        assert_eq!(answer(accept(&w, &link, bob, other).await), OTHER);
    }
    let told = w.last_audit();
    assert_eq!(
        (&*told.action, told.outcome),
        ("invitation.accept", Outcome::Refused)
    );
    assert_eq!(told.tenant, Some(w.acme.id));
    let refused = accept(&w, &link, bob, "bob@example.org").await.unwrap_err();
    let unknown = accept(&w, "invite_guessed", bob, "bob@example.org")
        .await
        .unwrap_err();
    assert_eq!(
        refused.problem().to_json(),
        unknown.problem().to_json(),
        "both look alike to the caller"
    );
    assert_eq!(state(&w, &invitation).await, InvitationState::Pending);

    let preview = w.tenancy.peek_invitation(&link, None).await.unwrap();
    assert_eq!(preview.tenant_name, "acme");
    assert_eq!(preview.masked_email, "a…@example.org");

    let member = accept(&w, &link, ann, "ann.lee@example.org").await.unwrap();
    let expected = Membership::new(w.acme.id, ann, SystemRole::Member.name());
    assert_eq!(member, expected);
    drop(of(&w, ann).await);
    for user in [ann, UserId::new()] {
        let again = accept(&w, &link, user, "ann.lee@example.org").await;
        assert_eq!(answer(again), OVER, "it is spent");
    }
    assert_eq!(answer(w.tenancy.peek_invitation(&link, None).await), OVER);
    let bob = w.directory.find_membership(w.acme.id, bob).await.unwrap();
    assert_eq!(bob, None);
}

/// One address that two tenants invite: each link leads into its own tenant alone, and leaves the other one's as it was.
#[tokio::test]
async fn a_link_leads_into_its_own_tenant_alone() {
    let w = world().await;
    let acmes = invite(&w, "ann@example.org", SystemRole::Viewer).await;
    let acmes_link = token(&w, &acmes).await;
    let to_globex = NewInvitation::new(
        w.globex.id,
        email("ann@example.org"),
        SystemRole::Admin.name(),
    );
    let globexs = invitations(&w).invite(&to_globex).await.unwrap();
    let mail = invitations(&w).mail(globexs.id).await.unwrap().unwrap();
    let link = mail.token().expose().to_owned();
    tenancy_logwatch::issued(link.rsplit('_').next().unwrap());
    let ann = UserId::new();
    let member = accept(&w, &link, ann, "ann@example.org").await.unwrap();
    assert_eq!(
        member,
        Membership::new(w.globex.id, ann, SystemRole::Admin.name())
    );
    let in_acme = w.directory.find_membership(w.acme.id, ann).await.unwrap();
    assert_eq!(in_acme, None);
    assert_eq!(state(&w, &acmes).await, InvitationState::Pending);
    // The row of the one with the secret of the other.
    let (row, _) = acmes_link.rsplit_once('_').unwrap();
    let (_, secret) = link.rsplit_once('_').unwrap();
    let mixed = format!("{row}_{secret}");
    assert_eq!(
        answer(accept(&w, &mixed, ann, "ann@example.org").await),
        UNKNOWN
    );
    let member = accept(&w, &acmes_link, ann, "ann@example.org").await;
    assert_eq!(
        member.unwrap(),
        Membership::new(w.acme.id, ann, SystemRole::Viewer.name())
    );
}

/// The old link after a resend, a link after a revocation, and one whose time is over.
#[tokio::test]
async fn a_link_that_was_replaced_revoked_or_has_expired_leads_nowhere() {
    let w = world().await;
    let ann = UserId::new();
    let first = invite(&w, "ann@example.org", SystemRole::Member).await;
    let old = token(&w, &first).await;
    let resent = invitations(&w).resend(w.acme.id, first.id).await.unwrap();
    assert_eq!((resent.id, resent.rotation), (first.id, 1));
    let link = token(&w, &resent).await;
    assert_ne!(old, link);
    assert_eq!(
        answer(accept(&w, &old, ann, "ann@example.org").await),
        UNKNOWN
    );
    let again = invitations(&w)
        .invite(&new(&w, "ann@example.org", SystemRole::Viewer))
        .await;
    assert_eq!(again.unwrap_err().kind(), StoreErrorKind::Conflict);

    w.clock.advance(7 * DAY);
    assert_eq!(state(&w, &first).await, InvitationState::Expired);
    assert_eq!(
        answer(accept(&w, &link, ann, "ann@example.org").await),
        OVER
    );
    assert!(invitations(&w).mail(first.id).await.unwrap().is_none());
    invitations(&w).resend(w.acme.id, first.id).await.unwrap();
    let link = token(&w, &first).await;
    w.clock.advance(7 * DAY - Duration::from_micros(1));
    assert_eq!(state(&w, &first).await, InvitationState::Pending);
    w.clock.advance(Duration::from_micros(1));
    assert_eq!(state(&w, &first).await, InvitationState::Expired);
    // At its end it makes room for another one.
    let second = invite(&w, "ann@example.org", SystemRole::Viewer).await;
    assert_eq!(
        answer(accept(&w, &link, ann, "ann@example.org").await),
        OVER
    );
    let link = token(&w, &second).await;
    invitations(&w).revoke(w.acme.id, second.id).await.unwrap();
    assert_eq!(
        answer(accept(&w, &link, ann, "ann@example.org").await),
        OVER
    );
    for over in [&first, &second] {
        let again = invitations(&w).resend(w.acme.id, over.id).await;
        assert_eq!(again.unwrap_err().kind(), StoreErrorKind::Conflict);
        let elsewhere = invitations(&w).revoke(w.globex.id, over.id).await;
        assert_eq!(elsewhere.unwrap_err().kind(), StoreErrorKind::NotFound);
    }
    let member = w.directory.find_membership(w.acme.id, ann).await.unwrap();
    assert_eq!(member, None);
}

/// openwork#3272: the role is at most what the inviter may give at acceptance.
#[tokio::test]
async fn an_inviter_who_lost_the_right_lets_nobody_in() {
    let w = world().await;
    let (carl, ann) = (UserId::new(), UserId::new());
    let admin = w.tenancy.admin(service());
    let put = async |role: SystemRole, status| {
        let carl = Membership::new(w.acme.id, carl, role.name()).with_status(status);
        admin.put_membership(&carl).await.unwrap();
    };
    let active = MembershipStatus::Active;
    put(SystemRole::Admin, active).await;
    let by_carl = w.tenancy.invitations(of(&w, carl).await);
    let owner = by_carl
        .invite(&new(&w, "ann@example.org", SystemRole::Owner))
        .await;
    assert_eq!(owner.unwrap_err().kind(), StoreErrorKind::Forbidden);
    let invitation = new(&w, "ann@example.org", SystemRole::Admin);
    let invitation = by_carl.invite(&invitation).await.unwrap();
    assert_eq!(invitation.inviter.user(), Some(carl));
    let link = token(&w, &invitation).await;

    put(SystemRole::Admin, MembershipStatus::Suspended).await;
    assert_eq!(
        answer(accept(&w, &link, ann, "ann@example.org").await),
        INVITER
    );
    // Holds less than the role gives, and then not even the permission.
    let narrow = RoleDefinition::new("narrow".parse().unwrap()).allow("notes:write");
    admin.put_role(w.acme.id, &narrow).await.unwrap();
    let narrowed = Membership::new(w.acme.id, carl, narrow.name);
    admin.put_membership(&narrowed).await.unwrap();
    assert_eq!(
        answer(accept(&w, &link, ann, "ann@example.org").await),
        INVITER
    );
    put(SystemRole::Viewer, active).await;
    assert_eq!(
        answer(accept(&w, &link, ann, "ann@example.org").await),
        INVITER
    );
    assert_eq!(state(&w, &invitation).await, InvitationState::Pending);
    assert_eq!(
        w.directory.find_membership(w.acme.id, ann).await.unwrap(),
        None
    );

    // Whoever sends it anew answers for it.
    let by_alice = w.tenancy.invitations(of(&w, w.alice).await);
    by_alice.resend(w.acme.id, invitation.id).await.unwrap();
    let link = token(&w, &invitation).await;
    let member = accept(&w, &link, ann, "ann@example.org").await.unwrap();
    assert_eq!(member.role, SystemRole::Admin.name());

    // Who leaves takes along what waits.
    put(SystemRole::Admin, active).await;
    let waiting = new(&w, "ben@example.org", SystemRole::Viewer);
    let waiting = by_carl.invite(&waiting).await.unwrap();
    let link = token(&w, &waiting).await;
    admin.remove_membership(w.acme.id, carl).await.unwrap();
    let ben = accept(&w, &link, UserId::new(), "ben@example.org").await;
    assert_eq!(answer(ben), OVER);
    assert_eq!(state(&w, &waiting).await, InvitationState::Revoked);
}

#[tokio::test]
async fn nobody_invites_or_changes_an_invitation_beyond_their_own_role() {
    let w = world().await;
    let carl = UserId::new();
    let member = Membership::new(w.acme.id, carl, SystemRole::Member.name());
    w.tenancy
        .admin(service())
        .put_membership(&member)
        .await
        .unwrap();
    let by_carl = w.tenancy.invitations(of(&w, carl).await);
    let forbidden = |kind: StoreErrorKind| assert_eq!(kind, StoreErrorKind::Forbidden);
    let many = [
        new(&w, "ann@example.org", SystemRole::Viewer),
        new(&w, "eve@example.org", SystemRole::Owner),
    ];
    forbidden(
        by_carl
            .invite_all(w.acme.id, &many)
            .await
            .unwrap_err()
            .kind(),
    );
    let all = InvitationFilter::new();
    let listed = by_carl.list(w.acme.id, &all, None, 10).await.unwrap();
    assert!(
        listed.is_empty(),
        "of a batch that is refused, none is made"
    );
    forbidden(
        by_carl
            .list(w.globex.id, &all, None, 10)
            .await
            .unwrap_err()
            .kind(),
    );
    let elsewhere = NewInvitation::new(w.globex.id, email("ann@example.org"), member.role.clone());
    forbidden(by_carl.invite(&elsewhere).await.unwrap_err().kind());

    let by_alice = w.tenancy.invitations(of(&w, w.alice).await);
    let owner = by_alice
        .invite(&new(&w, "eve@example.org", SystemRole::Owner))
        .await
        .unwrap();
    forbidden(
        by_carl
            .resend(w.acme.id, owner.id)
            .await
            .unwrap_err()
            .kind(),
    );
    let role = SystemRole::Viewer.name();
    let changed = by_carl.set_roles(w.acme.id, owner.id, &role, &[]).await;
    forbidden(changed.unwrap_err().kind());
    let viewer = by_alice
        .set_roles(w.acme.id, owner.id, &role, &[])
        .await
        .unwrap();
    let raised = by_carl
        .set_roles(w.acme.id, owner.id, &SystemRole::Owner.name(), &[])
        .await;
    forbidden(raised.unwrap_err().kind());
    // The token is for mails, and no caller's.
    forbidden(by_alice.mail(viewer.id).await.unwrap_err().kind());
    let link = token(&w, &viewer).await;
    let eve = accept(&w, &link, UserId::new(), "eve@example.org")
        .await
        .unwrap();
    assert_eq!(eve.role, role);
}

#[tokio::test]
async fn a_member_who_is_invited_stays_as_they_are_and_spends_nothing() {
    let w = world().await;
    let invitation = invite(&w, "alice@example.org", SystemRole::Viewer).await;
    let link = token(&w, &invitation).await;
    let twice = accept(&w, &link, w.alice, "alice@example.org").await;
    assert_eq!(answer(twice), (409, "invitation-already-member"));
    let alice = w
        .directory
        .find_membership(w.acme.id, w.alice)
        .await
        .unwrap();
    assert_eq!(alice.map(|it| it.role), Some(SystemRole::Owner.name()));
    assert_eq!(state(&w, &invitation).await, InvitationState::Pending);

    let status = async |to| {
        w.tenancy
            .admin(service())
            .set_status(w.acme.id, to)
            .await
            .unwrap()
    };
    status(TenantStatus::Suspended).await;
    let ann = UserId::new();
    let suspended = accept(&w, &link, ann, "alice@example.org").await;
    assert_eq!(answer(suspended), (403, "invitation-tenant"));
    assert_eq!(
        answer(w.tenancy.peek_invitation(&link, None).await),
        UNKNOWN
    );
    assert!(invitations(&w).mail(invitation.id).await.unwrap().is_none());
    status(TenantStatus::Active).await;
    accept(&w, &link, ann, "alice@example.org").await.unwrap();
}

#[tokio::test]
async fn roles_in_projects_are_given_with_the_membership() {
    let w = world().await;
    let project = Project::new(w.acme.id, "roadmap".parse().unwrap(), "Roadmap");
    let gone = Project::new(w.acme.id, "gone".parse().unwrap(), "Gone");
    let admin = w.tenancy.admin(service());
    for project in [&project, &gone] {
        admin.put_project(project).await.unwrap();
    }
    let invitation = new(&w, "ann@example.org", SystemRole::Viewer)
        .in_project(project.id, SystemRole::Admin.name())
        .in_project(gone.id, SystemRole::Admin.name());
    let made = invitations(&w).invite(&invitation).await.unwrap();
    let link = token(&w, &made).await;
    admin.remove_project(w.acme.id, gone.id).await.unwrap();
    let ann = UserId::new();
    accept(&w, &link, ann, "ann@example.org").await.unwrap();
    for (project, role) in [(&project, Some(SystemRole::Admin.name())), (&gone, None)] {
        let found = w
            .directory
            .find_project_role(w.acme.id, project.id, ann)
            .await;
        assert_eq!(found.unwrap(), role);
    }
    let theirs = Project::new(w.globex.id, "theirs".parse().unwrap(), "Theirs");
    admin.put_project(&theirs).await.unwrap();
    let astray = new(&w, "bob@example.org", SystemRole::Viewer)
        .in_project(theirs.id, SystemRole::Viewer.name());
    let unknown = invitations(&w).invite(&astray).await.unwrap_err();
    assert_eq!(unknown.kind(), StoreErrorKind::NotFound);
}

#[tokio::test]
async fn forged_tokens_get_one_answer_and_are_limited() {
    let w = world().await;
    let invitation = invite(&w, "ann@example.org", SystemRole::Member).await;
    let link = token(&w, &invitation).await;
    let foreign = OneTimeTokens::new(Pepper::new(1, [8; 32]).unwrap());
    let foreign = foreign
        .text(
            tenancy_core::one_time::OneTimeId::new(
                tenancy_core::one_time::OneTimeKind::Invitation,
                invitation.id.as_uuid(),
            ),
            1,
        )
        .unwrap();
    let eve = UserId::new();
    let cut = &link[..link.len() - 1];
    let huge = "x".repeat(1 << 20);
    for forged in ["", "invite_", cut, foreign.expose(), &huge] {
        let no = accept(&w, forged, eve, "ann@example.org").await;
        assert_eq!(answer(no), UNKNOWN);
    }
    for _ in 5..20 {
        assert_eq!(
            answer(accept(&w, "x", eve, "ann@example.org").await),
            UNKNOWN
        );
    }
    let spent = accept(&w, &link, eve, "ann@example.org").await.unwrap_err();
    assert_eq!(spent.kind().status(), 429);
    assert_eq!(spent.retry_after(), Some(Duration::from_secs(3)));
    // Others are not held up, and she is not for ever.
    let ip: IpAddr = "192.0.2.7".parse().unwrap();
    assert!(w.tenancy.peek_invitation(&link, Some(ip)).await.is_ok());
    w.clock.advance(Duration::from_secs(3));
    for _ in 0..30 {
        let peeked = w.tenancy.peek_invitation(&link, Some(ip)).await;
        assert!(peeked.is_ok(), "what is right costs no attempt");
    }
    accept(&w, &link, eve, "ann@example.org").await.unwrap();
}

async fn events(w: &World, from: &tenancy_core::outbox::Claim) -> Vec<Event> {
    let outbox = w.directory.directory().outbox();
    outbox.next_page(from, 10_000).await.unwrap().new
}

/// The outbox tells each invitation once, without address and token, and the process that mails makes the link.
#[tokio::test]
async fn a_consumer_is_told_without_secrets_and_makes_the_link() {
    let w = world().await;
    let mut request = ClaimRequest::new("mails".parse().unwrap());
    request.start = Start::Now;
    let outbox = w.directory.directory().outbox();
    let claim = outbox.claim(&request).await.unwrap().unwrap();
    let by_alice = w.tenancy.invitations(of(&w, w.alice).await);
    let many: Vec<_> = ["ann", "bob", "ann"]
        .iter()
        .map(|name| new(&w, &format!("{name}@example.org"), SystemRole::Viewer))
        .collect();
    let outcomes = by_alice.invite_all(w.acme.id, &many).await.unwrap();
    let made: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            InviteOutcome::Invited(one) => Some(one.id),
            _ => None,
        })
        .collect();
    assert_eq!(made.len(), 2);
    assert!(matches!(outcomes[2], InviteOutcome::AlreadyInvited));
    let told = events(&w, &claim).await;
    let to_mail: Vec<_> = told.iter().filter_map(Invitation::to_mail).collect();
    assert_eq!(to_mail, made);
    for event in &told {
        let keys: Vec<_> = event.payload.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["invitation", "role"]);
        assert_eq!(event.tenant, Some(w.acme.id));
    }
    let entry = outbox.trail().pop().unwrap();
    assert_eq!(&*entry.action, "invitation.create");
    assert_eq!(entry.targets.len(), 2, "{:?}", entry.targets);
    assert!(!format!("{entry:?}").contains("ann@"));
    let mail = invitations(&w).mail(made[0]).await.unwrap().unwrap();
    assert_eq!(mail.invitation().email, email("ann@example.org"));
    // The consumer that comes late mails nothing for what was revoked.
    by_alice.revoke(w.acme.id, made[0]).await.unwrap();
    assert!(invitations(&w).mail(made[0]).await.unwrap().is_none());
}

#[tokio::test]
async fn ten_thousand_at_once_are_told_to_come_in_parts() {
    let w = world().await;
    let address = |number: usize| new(&w, &format!("user{number}@example.org"), SystemRole::Viewer);
    let all: Vec<_> = (0..10_000).map(address).collect();
    let many = invitations(&w)
        .invite_all(w.acme.id, &all)
        .await
        .unwrap_err();
    assert_eq!(many.kind(), StoreErrorKind::Invalid);
    let part = &all[..Invitations::MAX_AT_ONCE];
    let outcomes = invitations(&w).invite_all(w.acme.id, part).await.unwrap();
    let made = outcomes
        .iter()
        .filter(|it| matches!(it, InviteOutcome::Invited(_)));
    assert_eq!(made.count(), 1_000);
    for wrong in [31 * DAY, Duration::ZERO] {
        let wrong = new(&w, "ann@example.org", SystemRole::Viewer).lasts(wrong);
        let refused = invitations(&w).invite(&wrong).await.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Invalid);
    }
}

/// dust#27364, growthbook#6509, rallly#1905.
#[tokio::test]
async fn members_and_invitations_share_the_seats_of_the_plan() {
    // Alice, who shares acme with another owner.
    let w = world_with(Some(4)).await;
    let admin = w.tenancy.admin(service());
    let member = |user| Membership::new(w.acme.id, user, SystemRole::Viewer.name());
    let carl = UserId::new();
    admin.put_membership(&member(carl)).await.unwrap();
    let five: Vec<_> = (0..5)
        .map(|number| new(&w, &format!("user{number}@example.org"), SystemRole::Viewer))
        .collect();
    let outcomes = invitations(&w).invite_all(w.acme.id, &five).await.unwrap();
    let InviteOutcome::Invited(first) = &outcomes[0] else {
        panic!("{outcomes:?}")
    };
    for outcome in &outcomes[1..] {
        let InviteOutcome::NoSeat(full) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(full.kind(), StoreErrorKind::LimitReached);
        let problem = full.refusal().unwrap().problem();
        assert_eq!(problem.status(), 402);
        let told: serde_json::Value = serde_json::from_str(&problem.to_json()).unwrap();
        for (name, value) in [
            ("meter", json!("members")),
            ("limit", json!(4)),
            ("used", json!(4)),
            ("plan", json!("free")),
            ("upgrade_url", json!("https://notes.example/plans")),
        ] {
            assert_eq!(told[name], value, "{told}");
        }
    }
    let full = admin
        .put_membership(&member(UserId::new()))
        .await
        .unwrap_err();
    assert_eq!(
        full.kind(),
        StoreErrorKind::LimitReached,
        "also for the service itself"
    );
    let used = async || {
        let usage = admin.usage(w.acme.id).await.unwrap();
        usage
            .limits
            .iter()
            .find(|it| it.meter == "members")
            .unwrap()
            .standing
            .used
    };
    assert_eq!(used().await, 4);
    let alice = w.admit(&w.alice_at(HOST)).await.unwrap();
    assert_eq!(alice.quota("members").left().await.unwrap(), Some(0));
    let reserved = alice.quota("members").reserve(1).await;
    assert_eq!(
        reserved.unwrap_err().kind().status(),
        500,
        "nothing else takes a seat"
    );

    // Whoever has a seat keeps it: other roles, an acceptance, a smaller plan.
    let role = SystemRole::Member.name();
    let all = invitations(&w);
    all.set_roles(w.acme.id, first.id, &role, &[])
        .await
        .unwrap();
    admin
        .put_membership(&Membership::new(w.acme.id, carl, role))
        .await
        .unwrap();
    admin.set_plan(w.acme.id, Some("solo")).await.unwrap();
    let link = token(&w, first).await;
    accept(&w, &link, UserId::new(), "user0@example.org")
        .await
        .unwrap();
    assert_eq!(used().await, 4);
    let more = all
        .invite(&new(&w, "more@example.org", SystemRole::Viewer))
        .await;
    assert_eq!(more.unwrap_err().kind(), StoreErrorKind::LimitReached);

    // What expires frees its seat by itself.
    admin.set_plan(w.acme.id, Some("free")).await.unwrap();
    admin.remove_membership(w.acme.id, carl).await.unwrap();
    let last = invite(&w, "last@example.org", SystemRole::Viewer).await;
    assert_eq!(used().await, 4);
    w.clock.advance(8 * DAY);
    assert_eq!(used().await, 3);
    admin.put_membership(&member(UserId::new())).await.unwrap();
    let late = all.resend(w.acme.id, last.id).await.unwrap_err();
    assert_eq!(late.kind(), StoreErrorKind::LimitReached);
    // Another tenant's seats are its own.
    let globex = NewInvitation::new(
        w.globex.id,
        email("a@example.org"),
        SystemRole::Viewer.name(),
    );
    all.invite(&globex).await.unwrap();
}

/// Who has no role in a project that takes one can't bring somebody into it, and is told of no such project.
#[tokio::test]
async fn an_invitation_leads_into_no_project_that_does_not_admit_the_inviter() {
    let w = world().await;
    let carol = UserId::new();
    let admin = Membership::new(w.acme.id, carol, SystemRole::Admin.name());
    w.directory.put_membership(&admin).await.unwrap();
    let payroll = Project::new(w.acme.id, "payroll".parse().unwrap(), "Payroll")
        .with_access(ProjectAccess::RoleOnly);
    w.directory.put_project(&payroll).await.unwrap();
    let viewer = || SystemRole::Viewer.name();
    let into =
        |project| new(&w, "ann@example.org", SystemRole::Viewer).in_project(project, viewer());
    let by_carol = w.tenancy.invitations(of(&w, carol).await);
    for project in [payroll.id, ProjectId::new()] {
        let refused = by_carol.invite(&into(project)).await.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::NotFound);
    }
    let plain = invite(&w, "ben@example.org", SystemRole::Viewer).await;
    let role = ProjectRole {
        project: payroll.id,
        role: viewer(),
    };
    let widened = by_carol
        .set_roles(w.acme.id, plain.id, &viewer(), &[role])
        .await;
    assert_eq!(widened.unwrap_err().kind(), StoreErrorKind::NotFound);

    // With a role there she may, for as long as she has it.
    let member = ProjectMembership::new(w.acme.id, payroll.id, carol, viewer());
    w.directory.put_project_membership(&member).await.unwrap();
    let made = by_carol.invite(&into(payroll.id)).await.unwrap();
    let link = token(&w, &made).await;
    let gone = w
        .directory
        .remove_project_membership(w.acme.id, payroll.id, carol);
    gone.await.unwrap();
    w.tenancy.catch_up().await.unwrap();
    let refused = accept(&w, &link, UserId::new(), "ann@example.org").await;
    assert_eq!(refused.unwrap_err().kind().status(), 403);
}

/// A world with keys, and with tokens of service accounts.
async fn world_of_programs() -> World {
    World::over(|directory, builder| {
        let plain = JwtAuthenticator::builder(ISSUER, "notes").key(key());
        let plain = plain.map_principal(|claims, mut principal| {
            let account = claims.get("account").and_then(|account| account.as_str());
            if let Some(account) = account {
                principal.actor = Actor::Service(account.parse().unwrap());
                let tenant = claims.get("org").and_then(|org| org.as_str()).unwrap();
                let tenant: TenantId = tenant.parse().unwrap();
                principal.allowed_tenants = AllowedTenants::Bound(tenant.into());
            }
            Ok(principal)
        });
        builder
            .authenticator(plain.build().unwrap())
            .keys(crate::keys::api_keys(directory))
            .invitations(tokens())
    })
    .await
}

/// Who has a key may invite by it. Once the key is revoked, what it has offered leads nowhere, also where its creator could
/// have offered the same.
#[tokio::test]
async fn what_a_key_has_offered_ends_with_the_key() {
    let w = world_of_programs().await;
    let keys = w.tenancy.keys().unwrap().by(service());
    let issue = async |scopes: &[&str]| {
        let scopes = scopes.iter().map(|scope| scope.parse().unwrap());
        let new = tenancy_core::key::NewKey::new(w.acme.id, w.alice, "ci", scopes);
        crate::keys::issue(&w, new).await
    };
    let offered = async |key: &tenancy_core::key::IssuedKey, address: &str| {
        let context = w.admit(&crate::keys::with(key)).await.unwrap();
        let by_key = context.authority("notes:write").unwrap();
        let new = new(&w, address, SystemRole::Member);
        let made = w.tenancy.invitations(by_key).invite(&new).await.unwrap();
        assert_eq!(made.inviter.user(), Some(w.alice));
        (token(&w, &made).await, made)
    };
    let joins = async |link: &str, address: &str| accept(&w, link, UserId::new(), address).await;

    let first = issue(&["*"]).await;
    let (link, _) = offered(&first, "ann@example.org").await;
    joins(&link, "ann@example.org")
        .await
        .expect("while the key can be used");

    let (link, made) = offered(&first, "ben@example.org").await;
    keys.disable(w.acme.id, first.record().id).await.unwrap();
    assert_eq!(answer(joins(&link, "ben@example.org").await), INVITER);
    keys.enable(w.acme.id, first.record().id).await.unwrap();
    // What has taken its place stands for it, with the scopes that it has.
    let second = keys
        .rotate(w.acme.id, first.record().id, Duration::ZERO)
        .await
        .unwrap();
    let read = ["notes:read".parse().unwrap()];
    keys.set_scopes(w.acme.id, second.record().id, read)
        .await
        .unwrap();
    assert_eq!(answer(joins(&link, "ben@example.org").await), INVITER);
    let all = ["*".parse().unwrap()];
    keys.set_scopes(w.acme.id, second.record().id, all)
        .await
        .unwrap();
    joins(&link, "ben@example.org")
        .await
        .expect("the successor may");
    assert_eq!(state(&w, &made).await, InvitationState::Accepted);

    let third = issue(&["*"]).await;
    let (link, made) = offered(&third, "carl@example.org").await;
    keys.revoke(w.acme.id, third.record().id).await.unwrap();
    assert_eq!(answer(joins(&link, "carl@example.org").await), INVITER);
    // Somebody else may answer for it.
    let by_alice = w.tenancy.invitations(of(&w, w.alice).await);
    by_alice.resend(w.acme.id, made.id).await.unwrap();
    let link = token(&w, &made).await;
    joins(&link, "carl@example.org").await.unwrap();
}

/// An account that is gone leaves nothing behind that leads into the tenant.
#[tokio::test]
async fn what_a_service_account_has_offered_ends_with_its_tokens() {
    let w = world_of_programs().await;
    let (gone, other) = (ServiceId::new(), ServiceId::new());
    let mut links = Vec::new();
    for (account, address) in [(gone, "ann@example.org"), (other, "ben@example.org")] {
        let claims = json!({ "account": account.to_string(), "org": w.acme.id.to_string() });
        let request = FakeRequest::new("/notes").header("host", HOST);
        let request = request.bearer(&w.token(UserId::new(), claims));
        let context = w.admit(&request).await.unwrap();
        let by_account = context.authority("notes:write").unwrap();
        let new = new(&w, address, SystemRole::Member);
        let made = w
            .tenancy
            .invitations(by_account)
            .invite(&new)
            .await
            .unwrap();
        assert_eq!(made.inviter, Inviter::Account(account));
        links.push((token(&w, &made).await, address));
    }
    w.clock.advance(Duration::from_secs(1));
    let admin = w.tenancy.admin(service());
    admin
        .revoke_tokens(&TokenSubject::Service(gone))
        .await
        .unwrap();
    let [(anns, ann), (bens, ben)] = links.as_slice() else {
        panic!("two were invited");
    };
    assert_eq!(answer(accept(&w, anns, UserId::new(), ann).await), OVER);
    accept(&w, bens, UserId::new(), ben).await.unwrap();
}

/// An operator invites somebody, and is disabled before that one accepts. What another operator has sent anew goes on.
#[tokio::test]
async fn what_an_operator_has_offered_ends_with_the_operator() {
    let w = World::over(|directory, builder| {
        let plain = JwtAuthenticator::builder(ISSUER, "notes").key(key());
        let staff = Operators::new(directory.directory().clone()).authenticator(staff_tokens());
        builder
            .authenticator(plain.build().unwrap())
            .invitations(tokens())
            .operators(staff)
    })
    .await;
    let by = async |operator: &Operator| {
        let context = context_of(&w, operator).await;
        let right = OperatorRight::ChangeAccess;
        let authority = context.authority(w.acme.id, right, "a test").unwrap();
        w.tenancy.invitations(authority)
    };
    let mut mia = operator(&w, &[OperatorRole::Admin]).await;
    let sam = operator(&w, &[OperatorRole::Admin]).await;
    let by_mia = by(&mia).await;
    let [gone, stays] =
        ["ann@example.org", "ben@example.org"].map(|address| new(&w, address, SystemRole::Member));
    let gone = by_mia.invite(&gone).await.unwrap();
    assert_eq!(gone.inviter, Inviter::Operator(mia.id));
    let stays = by_mia.invite(&stays).await.unwrap();
    let stays = by(&sam).await.resend(w.acme.id, stays.id).await.unwrap();
    assert_eq!(stays.inviter, Inviter::Operator(sam.id));
    let [late, link] = [token(&w, &gone).await, token(&w, &stays).await];

    mia.disabled = true;
    w.tenancy.admin(service()).put_operator(&mia).await.unwrap();
    let user = UserId::new();
    let refused = accept(&w, &late, user, "ann@example.org").await;
    assert_eq!(answer(refused), OVER);
    let found = w.directory.find_membership(w.acme.id, user).await;
    assert_eq!(found.unwrap(), None);
    let joined = accept(&w, &link, user, "ben@example.org").await.unwrap();
    assert_eq!(joined.role, SystemRole::Member.name());
}
