//! Invitations: one for an address, accepted once, with the seats that they share with members.

use std::time::Duration;

use futures_util::future::{join, join_all};

use super::{new_tenant, role, slug};
use crate::{
    Clock as _, Directory, DirectoryStore, EmailAddress, InvitationId, KeyId, Membership,
    MembershipRemoval, MembershipStatus, Operator, OperatorRole, OperatorStore, Project,
    ProjectMembership, RevokedBefore, RoleSeen, ServiceId, StoreErrorKind, SystemClock, TenantId,
    TenantRecord, TenantStatus, Timestamp, TokenSubject, UserId,
    invitation::{
        Acceptance, Accepted, Invitation, InvitationBatch, InvitationChange, InvitationFilter,
        InvitationState, InvitationStore, Invited, Inviter, ProjectRole, SeatDirectory, SeatLimit,
        Seated,
    },
    key::{ApiKey, Environment, KeyChange, KeyDigest, KeyStore},
    one_time::OneTimeDigest,
    testing::unattributed,
};

/// A moment that a store keeps exactly.
const NOW: Timestamp = Timestamp::from_unix_micros(1_900_000_000_123_456);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs all that concerns invitations.
pub async fn invitations<D>(directory: &D)
where
    D: Directory + DirectoryStore + InvitationStore + SeatDirectory,
{
    an_invitation_is_kept_and_changed(directory).await;
    an_address_has_one_open_invitation(directory).await;
    an_invitation_is_accepted_once(directory).await;
    an_acceptance_looks_at_everything_again(directory).await;
    invitations_end_with_the_member_who_made_them(directory).await;
    who_accepts_has_no_role_from_before(directory).await;
    a_resend_and_a_revocation_meet_an_acceptance(directory).await;
    seats_are_counted_where_one_is_taken(directory).await;
    five_at_once_share_three_seats(directory).await;
    invitations_are_listed_in_pages(directory).await;
    what_a_service_account_has_offered_ends_with_its_tokens(directory).await;
    what_has_been_over_for_long_is_removed(directory).await;
}

/// Runs what concerns invitations that were made by API keys.
pub async fn invitations_by_keys<D>(directory: &D)
where
    D: Directory + DirectoryStore + InvitationStore + KeyStore,
{
    let (acme, globex) = (new_tenant(directory).await, new_tenant(directory).await);
    let carol = UserId::new();
    let of = async |tenant: TenantId, creator| {
        let member = Membership::new(tenant, creator, role("admin"));
        let record = unattributed();
        let put = directory.put_membership(&member, &RoleSeen::Any, &record);
        put.await.unwrap();
        let verifier = KeyDigest::new(1, [7; 32]);
        let key = ApiKey::new(
            KeyId::new(),
            tenant,
            creator,
            Environment::Live,
            verifier,
            NOW,
        );
        directory.insert_key(&key, &unattributed()).await.unwrap();
        key
    };
    let key = of(acme.id, carol).await;
    let others = [
        KeyId::new(),
        of(acme.id, UserId::new()).await.id,
        of(globex.id, carol).await.id,
    ];
    let mut one = invited(acme.id, "ann");
    one.inviter = Inviter::Key {
        key: key.id,
        user: carol,
        permission: "members:invite".into(),
    };
    add(directory, &one).await;
    let stored = directory.find_invitation(one.id).await.unwrap();
    assert_eq!(stored.as_ref(), Some(&one));
    let accepted = async |key, at| {
        let member = directory.find_membership(acme.id, carol).await.unwrap();
        let acceptance = Acceptance::new(one.clone(), UserId::new(), member, at).by_key(key);
        let record = unattributed();
        let done = directory.accept_invitation(&acceptance, &record);
        done.await.unwrap()
    };
    for other in others {
        assert_eq!(accepted(other, NOW).await, Accepted::InviterChanged);
    }
    let change = async |change: KeyChange| {
        let record = unattributed();
        let done = directory.change_key(acme.id, key.id, &change, &record);
        done.await.unwrap()
    };
    change(KeyChange::Disabled(true)).await;
    assert_eq!(accepted(key.id, NOW).await, Accepted::InviterChanged);
    change(KeyChange::Disabled(false)).await;
    assert_eq!(accepted(key.id, NOW).await, Accepted::Done);

    let mut two = invited(acme.id, "ben");
    two.inviter = one.inviter.clone();
    add(directory, &two).await;
    change(KeyChange::Revoked(NOW)).await;
    let member = directory.find_membership(acme.id, carol).await.unwrap();
    let late = Acceptance::new(two.clone(), UserId::new(), member, NOW).by_key(key.id);
    let record = unattributed();
    let late = directory.accept_invitation(&late, &record).await.unwrap();
    assert_eq!(late, Accepted::InviterChanged);
    let kept = directory.find_invitation(two.id).await.unwrap().unwrap();
    assert_eq!(kept.state, InvitationState::Pending);
}

fn email(name: &str) -> EmailAddress {
    format!("{name}@example.org").parse().unwrap()
}

fn invited(tenant: TenantId, name: &str) -> Invitation {
    Invitation::new(
        InvitationId::new(),
        tenant,
        email(name),
        role("member"),
        Inviter::Service,
        OneTimeDigest::new(7, [1; 32]),
        NOW,
        NOW + DAY,
    )
}

fn batch(tenant: TenantId, invitations: Vec<Invitation>, at: Timestamp) -> InvitationBatch {
    let mut record = unattributed();
    for one in &invitations {
        record.entry = record.entry.about("invitation", one.id);
    }
    InvitationBatch::new(tenant, invitations, record, at)
}

async fn add<D: InvitationStore>(directory: &D, invitation: &Invitation) {
    let batch = batch(invitation.tenant, vec![invitation.clone()], NOW);
    let outcomes = directory.add_invitations(&batch, None).await.unwrap();
    assert_eq!(outcomes, [Invited::Added]);
}

async fn change<D: InvitationStore>(
    directory: &D,
    as_read: &Invitation,
    change: &InvitationChange,
) -> Option<Seated> {
    let record = unattributed();
    let done = directory.change_invitation(as_read, change, None, &record);
    done.await.unwrap()
}

async fn accept<D: InvitationStore>(
    directory: &D,
    invitation: &Invitation,
    user: UserId,
) -> Accepted {
    let acceptance = Acceptance::new(invitation.clone(), user, None, NOW);
    let record = unattributed();
    let done = directory.accept_invitation(&acceptance, &record);
    done.await.unwrap()
}

fn resent(of: &Invitation, at: Timestamp) -> InvitationChange {
    let next = u8::try_from(of.rotation + 2).unwrap();
    InvitationChange::Resend {
        digest: OneTimeDigest::new(8, [next; 32]),
        inviter: Inviter::Service,
        at,
        expires_at: at + DAY,
    }
}

/// An invitation is found as it was stored, by its id alone, and changed while it is open and as it was read.
pub async fn an_invitation_is_kept_and_changed<D>(directory: &D)
where
    D: Directory + DirectoryStore + InvitationStore,
{
    let acme = new_tenant(directory).await;
    let mut new = invited(acme.id, "ann");
    new.email = "ann.o'lee@example.org".parse().unwrap();
    new.projects = vec![ProjectRole {
        project: crate::ProjectId::new(),
        role: role("viewer"),
    }];
    new.inviter = Inviter::Member {
        user: UserId::new(),
        permission: "members:invite".into(),
    };
    add(directory, &new).await;
    let find = async || directory.find_invitation(new.id).await.unwrap();
    assert_eq!(find().await.as_ref(), Some(&new));
    let nobody = directory.find_invitation(InvitationId::new()).await;
    assert_eq!(nobody.unwrap(), None);

    let anew = resent(&new, NOW + DAY / 2);
    assert_eq!(change(directory, &new, &anew).await, Some(Seated::Done));
    let sent = anew.of(new.clone());
    assert_eq!(find().await.as_ref(), Some(&sent));
    assert_eq!((sent.id, sent.rotation), (new.id, 1), "the row stays");
    // Who has read it before has read another one.
    assert_eq!(
        change(directory, &new, &InvitationChange::Revoke).await,
        None
    );
    assert_eq!(find().await.as_ref(), Some(&sent));

    let roles = InvitationChange::SetRoles {
        role: role("viewer"),
        projects: Vec::new(),
        inviter: Inviter::Service,
    };
    assert_eq!(change(directory, &sent, &roles).await, Some(Seated::Done));
    let viewer = roles.of(sent);
    assert_eq!(find().await.as_ref(), Some(&viewer));
    let revoke = InvitationChange::Revoke;
    assert_eq!(
        change(directory, &viewer, &revoke).await,
        Some(Seated::Done)
    );
    let revoked = revoke.of(viewer);
    assert_eq!(find().await.as_ref(), Some(&revoked));
    assert_eq!(change(directory, &revoked, &anew).await, None, "it is over");
}

/// An address has one open invitation to a tenant; what has ended makes room, and other tenants don't matter.
pub async fn an_address_has_one_open_invitation<D>(directory: &D)
where
    D: Directory + DirectoryStore + InvitationStore,
{
    let (acme, globex) = (new_tenant(directory).await, new_tenant(directory).await);
    let first = invited(acme.id, "ann");
    add(directory, &first).await;
    add(directory, &invited(globex.id, "ann")).await;
    let again = vec![
        invited(acme.id, "ann"),
        invited(acme.id, "bob"),
        invited(acme.id, "bob"),
    ];
    let bob = again[1].clone();
    let outcomes = directory
        .add_invitations(&batch(acme.id, again, NOW), None)
        .await
        .unwrap();
    let expected = [
        Invited::AlreadyInvited,
        Invited::Added,
        Invited::AlreadyInvited,
    ];
    assert_eq!(outcomes, expected);
    let all = InvitationFilter::new();
    let list = async || {
        directory
            .list_invitations(acme.id, &all, None, 10)
            .await
            .unwrap()
    };
    assert_eq!(list().await, [first.clone(), bob]);

    // At its end it makes room, and its row says what became of it.
    let mut later = invited(acme.id, "ann");
    (later.created_at, later.sent_at) = (NOW + DAY, NOW + DAY);
    later.expires_at = NOW + DAY + DAY;
    let outcomes = directory
        .add_invitations(&batch(acme.id, vec![later.clone()], NOW + DAY), None)
        .await
        .unwrap();
    assert_eq!(outcomes, [Invited::Added]);
    let expired = directory.find_invitation(first.id).await.unwrap().unwrap();
    assert_eq!(expired.state, InvitationState::Expired);
    assert_eq!(
        accept(directory, &first, UserId::new()).await,
        Accepted::Gone
    );

    let nobody = TenantId::new();
    let astray = batch(nobody, vec![invited(nobody, "ann")], NOW);
    let unknown = directory.add_invitations(&astray, None).await.unwrap_err();
    assert_eq!(unknown.kind(), super::StoreErrorKind::NotFound);
}

/// Of those who accept at once, one becomes a member, with the roles in projects that are still there.
pub async fn an_invitation_is_accepted_once<D>(directory: &D)
where
    D: Directory + DirectoryStore + InvitationStore,
{
    let acme = new_tenant(directory).await;
    let project = Project::new(acme.id, slug("p"), "A project");
    directory
        .put_project(&project, &unattributed())
        .await
        .unwrap();
    let mut new = invited(acme.id, "ann");
    let in_project = |project| ProjectRole {
        project,
        role: role("admin"),
    };
    new.projects = vec![in_project(project.id), in_project(crate::ProjectId::new())];
    add(directory, &new).await;
    let before = directory
        .find_tenant(&acme.id.into())
        .await
        .unwrap()
        .unwrap();

    let users: Vec<_> = (0..4).map(|_| UserId::new()).collect();
    let outcomes = join_all(users.iter().map(|user| accept(directory, &new, *user))).await;
    let done: Vec<_> = (users.iter().zip(&outcomes))
        .filter(|(_, outcome)| **outcome == Accepted::Done)
        .map(|(user, _)| *user)
        .collect();
    assert_eq!(done.len(), 1, "{outcomes:?}");
    assert!(
        outcomes
            .iter()
            .all(|one| matches!(one, Accepted::Done | Accepted::Gone))
    );
    for user in users {
        let is_in = done.contains(&user);
        let member = directory.find_membership(acme.id, user).await.unwrap();
        let expected = Membership::new(acme.id, user, role("member"));
        assert_eq!(member, is_in.then_some(expected));
        let there = directory.find_project_role(acme.id, project.id, user);
        assert_eq!(there.await.unwrap(), is_in.then(|| role("admin")));
    }
    let spent = directory.find_invitation(new.id).await.unwrap().unwrap();
    assert_eq!(spent.state, InvitationState::Accepted);
    assert_eq!(spent.accepted_by, done.first().copied());
    let after = directory
        .find_tenant(&acme.id.into())
        .await
        .unwrap()
        .unwrap();
    assert!(after.generation > before.generation, "rights have changed");
}

/// What an acceptance rests on is looked at in its transaction, and where it fails nothing has changed.
pub async fn an_acceptance_looks_at_everything_again<D>(directory: &D)
where
    D: Directory + DirectoryStore + InvitationStore,
{
    let acme = new_tenant(directory).await;
    let new = invited(acme.id, "ann");
    add(directory, &new).await;
    let is_open = async || directory.find_invitation(new.id).await.unwrap() == Some(new.clone());
    let ann = UserId::new();

    let viewer = Membership::new(acme.id, ann, role("viewer"));
    let suspended = viewer.clone().with_status(MembershipStatus::Suspended);
    for before in [viewer, suspended] {
        directory
            .put_membership(&before, &RoleSeen::Any, &unattributed())
            .await
            .unwrap();
        assert_eq!(accept(directory, &new, ann).await, Accepted::AlreadyMember);
        let after = directory.find_membership(acme.id, ann).await.unwrap();
        assert_eq!(
            after,
            Some(before),
            "no second membership, and no other role"
        );
        assert!(is_open().await);
    }
    directory
        .remove_membership(acme.id, ann, &MembershipRemoval::new(NOW), &unattributed())
        .await
        .unwrap();

    let inviter = Membership::new(acme.id, UserId::new(), role("admin"));
    let vouched = Acceptance::new(new.clone(), ann, Some(inviter.clone()), NOW);
    let demoted = Membership::new(acme.id, inviter.user, role("viewer"));
    let away = inviter.clone().with_status(MembershipStatus::Suspended);
    for now in [None, Some(demoted), Some(away)] {
        if let Some(now) = now {
            directory
                .put_membership(&now, &RoleSeen::Any, &unattributed())
                .await
                .unwrap();
        }
        let no = directory.accept_invitation(&vouched, &unattributed()).await;
        assert_eq!(no.unwrap(), Accepted::InviterChanged);
    }

    let late = Acceptance::new(new.clone(), ann, None, new.expires_at);
    let no = directory.accept_invitation(&late, &unattributed()).await;
    assert_eq!(no.unwrap(), Accepted::Gone, "its end is past");
    let mut forged = new.clone();
    forged.digest = OneTimeDigest::new(7, [9; 32]);
    assert_eq!(accept(directory, &forged, ann).await, Accepted::Gone);
    let mut more = new.clone();
    more.role = role("owner");
    assert_eq!(accept(directory, &more, ann).await, Accepted::Gone);

    let set = async |status| {
        let record = unattributed();
        let done = directory.set_status(acme.id, status, &record);
        done.await.unwrap();
    };
    set(TenantStatus::Suspended).await;
    assert_eq!(accept(directory, &new, ann).await, Accepted::NotServed);
    set(TenantStatus::Active).await;
    assert!(is_open().await);
    assert_eq!(directory.find_membership(acme.id, ann).await.unwrap(), None);

    directory
        .put_membership(&inviter, &RoleSeen::Any, &unattributed())
        .await
        .unwrap();
    let done = directory.accept_invitation(&vouched, &unattributed()).await;
    assert_eq!(done.unwrap(), Accepted::Done);
}

/// What a member has offered goes with the member, and does not come back with them. What others have offered stays.
pub(super) async fn invitations_end_with_the_member_who_made_them<D>(directory: &D)
where
    D: Directory + DirectoryStore + InvitationStore,
{
    let acme = new_tenant(directory).await;
    let (carol, dave) = (UserId::new(), UserId::new());
    for user in [carol, dave] {
        let member = Membership::new(acme.id, user, role("admin"));
        directory
            .put_membership(&member, &RoleSeen::Any, &unattributed())
            .await
            .unwrap();
    }
    let by = |user, name| {
        let permission = "members:manage".to_owned();
        let mut one = invited(acme.id, name);
        one.inviter = Inviter::Member { user, permission };
        one
    };
    let (ann, ben) = (by(carol, "ann"), by(dave, "ben"));
    for one in [&ann, &ben] {
        add(directory, one).await;
    }
    let holdings = directory.find_holdings(acme.id, carol, NOW).await.unwrap();
    assert_eq!(holdings.unwrap().invitations, std::slice::from_ref(&ann));
    let late = directory.find_holdings(acme.id, carol, ann.expires_at);
    assert!(late.await.unwrap().unwrap().invitations.is_empty());

    let removal = MembershipRemoval::new(NOW);
    directory
        .remove_membership(acme.id, carol, &removal, &unattributed())
        .await
        .unwrap();
    let back = Membership::new(acme.id, carol, role("admin"));
    directory
        .put_membership(&back, &RoleSeen::Any, &unattributed())
        .await
        .unwrap();
    let state = async |id| directory.find_invitation(id).await.unwrap().unwrap().state;
    assert_eq!(state(ann.id).await, InvitationState::Revoked);
    assert_eq!(state(ben.id).await, InvitationState::Pending);
    assert_eq!(accept(directory, &ann, UserId::new()).await, Accepted::Gone);
}

/// Who joins starts afresh: no role in a project has waited for them, and another user's stays.
pub(super) async fn who_accepts_has_no_role_from_before<D>(directory: &D)
where
    D: Directory + DirectoryStore + InvitationStore,
{
    let acme = new_tenant(directory).await;
    let payroll = Project::new(acme.id, "payroll".parse().unwrap(), "Payroll");
    directory
        .put_project(&payroll, &unattributed())
        .await
        .unwrap();
    let (ann, ben) = (UserId::new(), UserId::new());
    for user in [ann, ben] {
        let viewer = Membership::new(acme.id, user, role("viewer"));
        directory
            .put_membership(&viewer, &RoleSeen::Any, &unattributed())
            .await
            .unwrap();
        let admin = ProjectMembership::new(acme.id, payroll.id, user, role("admin"));
        directory
            .put_project_membership(&admin, &RoleSeen::Any, &unattributed())
            .await
            .unwrap();
    }
    let role_of = async |user| {
        let found = directory.find_project_role(acme.id, payroll.id, user);
        found.await.unwrap()
    };
    assert_eq!(role_of(ann).await, Some(role("admin")));
    let removal = MembershipRemoval::new(NOW);
    directory
        .remove_membership(acme.id, ann, &removal, &unattributed())
        .await
        .unwrap();
    let new = invited(acme.id, "ann");
    add(directory, &new).await;
    assert_eq!(accept(directory, &new, ann).await, Accepted::Done);
    assert_eq!(role_of(ann).await, None);
    assert_eq!(role_of(ben).await, Some(role("admin")));
}

/// An acceptance that meets another change at once: one of the two is made.
pub async fn a_resend_and_a_revocation_meet_an_acceptance<D>(directory: &D)
where
    D: Directory + DirectoryStore + InvitationStore,
{
    let acme = new_tenant(directory).await;
    for round in 0..6 {
        let new = invited(acme.id, &format!("ann{round}"));
        add(directory, &new).await;
        let ann = UserId::new();
        let other = match round % 2 {
            0 => InvitationChange::Revoke,
            _ => resent(&new, NOW),
        };
        let (accepted, changed) = join(
            accept(directory, &new, ann),
            change(directory, &new, &other),
        )
        .await;
        let is_member = directory
            .find_membership(acme.id, ann)
            .await
            .unwrap()
            .is_some();
        assert_eq!(is_member, accepted == Accepted::Done);
        assert_ne!(
            is_member,
            changed == Some(Seated::Done),
            "{accepted:?} {changed:?}"
        );
    }
}

/// Members and open invitations share the seats, and whoever has one keeps it.
pub async fn seats_are_counted_where_one_is_taken<D>(directory: &D)
where
    D: Directory + DirectoryStore + InvitationStore + SeatDirectory,
{
    let (acme, globex) = (new_tenant(directory).await, new_tenant(directory).await);
    let three = SeatLimit::new(3, NOW);
    let put = async |tenant: &TenantRecord, user, seats, name| {
        let member = Membership::new(tenant.id, user, role(name));
        let record = unattributed();
        let done = directory.put_membership_within(&member, &RoleSeen::Any, seats, &record);
        done.await.unwrap()
    };
    let (owner, ann) = (UserId::new(), UserId::new());
    assert_eq!(put(&acme, owner, three, "owner").await, Seated::Done);
    assert_eq!(put(&acme, ann, three, "member").await, Seated::Done);
    for _ in 0..5 {
        assert_eq!(
            put(&globex, UserId::new(), SeatLimit::new(9, NOW), "member").await,
            Seated::Done
        );
    }
    let taken = async |at| directory.count_seats(acme.id, at).await.unwrap();
    assert_eq!(taken(NOW).await, 2, "another tenant's are not among them");

    let names = ["bob", "eve", "joe"];
    let new: Vec<_> = names.iter().map(|name| invited(acme.id, name)).collect();
    let bob = new[0].clone();
    let outcomes = directory
        .add_invitations(&batch(acme.id, new, NOW), Some(three))
        .await
        .unwrap();
    let full = Invited::NoSeat { taken: 3 };
    assert_eq!(
        outcomes,
        [Invited::Added, full, full],
        "the first ones first"
    );
    let full = Seated::Full { taken: 3 };
    assert_eq!(put(&acme, UserId::new(), three, "member").await, full);
    assert_eq!(
        put(&acme, ann, three, "admin").await,
        Seated::Done,
        "has a seat"
    );
    assert_eq!(taken(NOW).await, 3);
    assert_eq!(taken(bob.expires_at).await, 2, "what has expired has none");
    let later = SeatLimit::new(3, bob.expires_at);
    let carl = UserId::new();
    assert_eq!(put(&acme, carl, later, "member").await, Seated::Done);
    let anew = resent(&bob, bob.expires_at);
    let record = unattributed();
    let no = directory.change_invitation(&bob, &anew, Some(later), &record);
    assert_eq!(no.await.unwrap(), Some(full), "its seat is another's now");
    directory
        .remove_membership(acme.id, carl, &MembershipRemoval::new(NOW), &unattributed())
        .await
        .unwrap();

    // At the limit, and on a plan with less.
    assert_eq!(accept(directory, &bob, UserId::new()).await, Accepted::Done);
    assert_eq!(taken(NOW).await, 3);
    let one = SeatLimit::new(1, NOW);
    assert_eq!(put(&acme, ann, one, "member").await, Seated::Done);
    assert_eq!(put(&acme, UserId::new(), one, "member").await, full);
    assert_eq!(taken(NOW).await, 3, "nobody is removed");
}

/// dust#27364, rallly#1905: of five who come at once, as many get in as there are seats.
pub async fn five_at_once_share_three_seats<D>(directory: &D)
where
    D: Directory + DirectoryStore + InvitationStore + SeatDirectory,
{
    let acme = new_tenant(directory).await;
    let three = SeatLimit::new(3, NOW);
    for _ in 0..2 {
        let member = Membership::new(acme.id, UserId::new(), role("member"));
        let record = unattributed();
        let done = directory.put_membership_within(&member, &RoleSeen::Any, three, &record);
        assert_eq!(done.await.unwrap(), Seated::Done);
    }
    let invite = async |number: usize| {
        let new = invited(acme.id, &format!("user{number}"));
        let batch = batch(acme.id, vec![new], NOW);
        let outcomes = directory
            .add_invitations(&batch, Some(three))
            .await
            .unwrap();
        outcomes == [Invited::Added]
    };
    let enter = async || {
        let member = Membership::new(acme.id, UserId::new(), role("member"));
        let record = unattributed();
        let done = directory.put_membership_within(&member, &RoleSeen::Any, three, &record);
        done.await.unwrap() == Seated::Done
    };
    let (invitations, members) = join(
        join_all((0..5).map(invite)),
        join_all((0..2).map(|_| enter())),
    )
    .await;
    let made = invitations.into_iter().chain(members).filter(|made| *made);
    assert_eq!(made.count(), 1);
    assert_eq!(directory.count_seats(acme.id, NOW).await.unwrap(), 3);
}

/// A tenant's invitations, in pages, by state and inviter.
pub async fn invitations_are_listed_in_pages<D>(directory: &D)
where
    D: Directory + DirectoryStore + InvitationStore,
{
    let (acme, globex) = (new_tenant(directory).await, new_tenant(directory).await);
    let ann = UserId::new();
    let mut own = Vec::new();
    for number in 0..7 {
        for tenant in [&acme, &globex] {
            let mut new = invited(tenant.id, &format!("user{number}"));
            if number % 2 == 0 {
                new.inviter = Inviter::Member {
                    user: ann,
                    permission: "members:invite".into(),
                };
            }
            if number == 6 {
                new.expires_at = NOW + DAY / 2;
            }
            add(directory, &new).await;
            if tenant.id == acme.id {
                own.push(new);
            }
        }
    }
    let revoke = InvitationChange::Revoke;
    assert_eq!(
        change(directory, &own[0], &revoke).await,
        Some(Seated::Done)
    );
    own[0] = revoke.of(own[0].clone());
    let at = NOW + DAY / 2;
    let filters = [
        InvitationFilter::new(),
        InvitationFilter::new().state(InvitationState::Pending, at),
        InvitationFilter::new().state(InvitationState::Expired, at),
        InvitationFilter::new().state(InvitationState::Revoked, at),
        InvitationFilter::new().of_inviter(ann),
        InvitationFilter::new()
            .state(InvitationState::Pending, at)
            .of_inviter(ann),
    ];
    let lengths = [7, 5, 1, 1, 4, 2];
    for (filter, length) in filters.iter().zip(lengths) {
        let mut found: Vec<Invitation> = Vec::new();
        loop {
            let after = found.last().map(|last| last.id);
            let page = directory.list_invitations(acme.id, filter, after, 3);
            let page = page.await.unwrap();
            assert!(page.len() <= 3);
            if page.is_empty() {
                break;
            }
            found.extend(page);
        }
        let expected: Vec<_> = own
            .iter()
            .filter(|one| filter.matches(one))
            .cloned()
            .collect();
        assert_eq!((&found, found.len()), (&expected, length), "{filter:?}");
    }
}

/// What a service account has offered is taken back with its tokens, in every tenant, for good. What others have offered
/// stays, and so does what was accepted.
pub(super) async fn what_a_service_account_has_offered_ends_with_its_tokens<D>(directory: &D)
where
    D: Directory + DirectoryStore + InvitationStore,
{
    let (acme, globex) = (new_tenant(directory).await, new_tenant(directory).await);
    let (gone, other) = (ServiceId::new(), ServiceId::new());
    let by = |tenant: TenantId, name, account| {
        let mut one = invited(tenant, name);
        one.inviter = Inviter::Account(account);
        one
    };
    let spent = by(acme.id, "eve", gone);
    let here = by(acme.id, "ann", gone);
    let there = by(globex.id, "ann", gone);
    let others = by(acme.id, "ben", other);
    let nobodys = invited(acme.id, "carl");
    for one in [&spent, &here, &there, &others, &nobodys] {
        add(directory, one).await;
        let stored = directory.find_invitation(one.id).await.unwrap();
        assert_eq!(stored.as_ref(), Some(one));
    }
    assert_eq!(
        accept(directory, &spent, UserId::new()).await,
        Accepted::Done
    );
    let of = TokenSubject::Service(gone);
    let (to, record) = (RevokedBefore::revoking_at(NOW), unattributed());
    let revoked = directory.revoke_before(&of, to, &record);
    revoked.await.unwrap();
    let state = async |one: &Invitation| {
        let found = directory.find_invitation(one.id).await.unwrap();
        found.unwrap().state
    };
    assert_eq!(state(&spent).await, InvitationState::Accepted);
    for one in [&here, &there] {
        assert_eq!(state(one).await, InvitationState::Revoked);
        assert_eq!(accept(directory, one, UserId::new()).await, Accepted::Gone);
    }
    for one in [&others, &nobodys] {
        assert_eq!(accept(directory, one, UserId::new()).await, Accepted::Done);
    }
}

/// Invitations are removed some time after their end, where another one is made in their tenant.
pub(super) async fn what_has_been_over_for_long_is_removed<D>(directory: &D)
where
    D: Directory + DirectoryStore + InvitationStore,
{
    let (acme, globex) = (new_tenant(directory).await, new_tenant(directory).await);
    // By the clock of a store, and by that of a program.
    let now = SystemClock.now();
    let before = |ago: Duration| {
        Timestamp::from_unix_micros(now.as_unix_micros() - i64::try_from(ago.as_micros()).unwrap())
    };
    let ended = |tenant: TenantId, name, ago| {
        let mut one = invited(tenant, name);
        one.expires_at = before(ago);
        (one.created_at, one.sent_at) = (one.expires_at, one.expires_at);
        one
    };
    let old = ended(acme.id, "ann", Invitation::KEPT_FOR + DAY);
    let newer = ended(acme.id, "ben", Invitation::KEPT_FOR - DAY);
    let elsewhere = ended(globex.id, "ann", Invitation::KEPT_FOR + DAY);
    for one in [&old, &newer, &elsewhere] {
        let batch = batch(
            one.tenant,
            vec![one.clone()],
            before(Invitation::KEPT_FOR + DAY * 2),
        );
        directory.add_invitations(&batch, None).await.unwrap();
    }
    let open = invited(acme.id, "carl");
    let batch = batch(acme.id, vec![open.clone()], now);
    directory.add_invitations(&batch, None).await.unwrap();
    let is_there = async |one: &Invitation| {
        let found = directory.find_invitation(one.id).await.unwrap();
        found.is_some()
    };
    assert!(!is_there(&old).await);
    for kept in [&newer, &elsewhere, &open] {
        assert!(is_there(kept).await, "{}", kept.email);
    }
}

/// Invitations that operators have made: for stores that keep both.
///
/// What an operator has offered is taken back, in every tenant, when the operator is disabled or loses the right, and does
/// not come back with it. What was accepted stays, and so does what another one has offered.
pub async fn invitations_by_operators<D>(directory: &D)
where
    D: Directory + DirectoryStore + InvitationStore + OperatorStore,
{
    let (acme, globex) = (new_tenant(directory).await, new_tenant(directory).await);
    let put = async |one: &Operator| {
        let done = directory.put_operator(one, &unattributed()).await;
        done.unwrap();
    };
    let new = |name: &str| {
        let issuer = "https://staff.example";
        Operator::new(issuer, UserId::new(), name, [OperatorRole::Admin])
    };
    let by = |tenant: TenantId, name: &str, operator: &Operator| {
        let mut one = invited(tenant, name);
        one.inviter = Inviter::Operator(operator.id);
        one
    };
    let state = async |one: &Invitation| {
        let found = directory.find_invitation(one.id).await.unwrap();
        found.unwrap().state
    };
    let other = new("Sam");
    put(&other).await;
    for (round, disables) in [true, false].into_iter().enumerate() {
        let whole = new("Mia");
        put(&whole).await;
        let named = |name: &str| format!("{name}{round}");
        let spent = by(acme.id, &named("eve"), &whole);
        let here = by(acme.id, &named("ann"), &whole);
        let there = by(globex.id, &named("ann"), &whole);
        let others = by(acme.id, &named("ben"), &other);
        for one in [&spent, &here, &there, &others] {
            add(directory, one).await;
            let stored = directory.find_invitation(one.id).await.unwrap();
            assert_eq!(stored.as_ref(), Some(one));
        }
        let accepted = accept(directory, &spent, UserId::new()).await;
        assert_eq!(accepted, Accepted::Done);

        let mut less = whole.clone();
        if disables {
            less.disabled = true;
        } else {
            less.roles = [OperatorRole::Support].into();
        }
        put(&less).await;
        let late = by(acme.id, &named("late"), &whole);
        let refused = directory
            .add_invitations(&batch(acme.id, vec![late.clone()], NOW), None)
            .await;
        assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::Forbidden);
        assert_eq!(directory.find_invitation(late.id).await.unwrap(), None);
        put(&whole).await;
        assert_eq!(state(&spent).await, InvitationState::Accepted);
        for one in [&here, &there] {
            assert_eq!(state(one).await, InvitationState::Revoked);
            let accepted = accept(directory, one, UserId::new()).await;
            assert_eq!(accepted, Accepted::Gone);
        }
        assert_eq!(state(&others).await, InvitationState::Pending);
    }
}
