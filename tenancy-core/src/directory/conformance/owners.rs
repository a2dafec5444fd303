//! Owners: a tenant that has one keeps one, and hands ownership on by an offer.

use std::time::Duration;

use futures_util::future::join;

use super::{new_tenant, role};
use crate::{
    Directory, DirectoryStore, Membership, MembershipChange, MembershipRemoval, MembershipStatus,
    OwnershipOffer, OwnershipStore, OwnershipTerms, RoleSeen, StoreError, StoreErrorKind,
    SystemRole, TenantId, TenantStatus, Timestamp, UserId, testing::unattributed,
};

/// A moment that a store's own clock has not reached either.
const NOW: Timestamp = Timestamp::from_unix_seconds(1_900_000_000);

/// How many times two changes are made at once.
const ROUNDS: u32 = 20;

async fn put<D: DirectoryStore>(directory: &D, member: &Membership) -> Result<(), StoreError> {
    let record = unattributed();
    directory
        .put_membership(member, &RoleSeen::Any, &record)
        .await
}

async fn change<D: DirectoryStore>(
    directory: &D,
    (tenant, user): (TenantId, UserId),
    to: MembershipChange,
) -> Result<Membership, StoreError> {
    let record = unattributed();
    directory
        .change_membership(tenant, user, &to, &RoleSeen::Any, &record)
        .await
}

async fn remove<D: DirectoryStore>(
    directory: &D,
    tenant: TenantId,
    user: UserId,
) -> Result<(), StoreError> {
    let removal = MembershipRemoval::new(NOW);
    directory
        .remove_membership(tenant, user, &removal, &unattributed())
        .await
}

fn owner(tenant: TenantId) -> Membership {
    Membership::new(tenant, UserId::new(), SystemRole::Owner.name())
}

async fn owners<D: Directory + DirectoryStore>(directory: &D, members: &[Membership]) -> usize {
    let mut owners = 0;
    for member in members {
        let found = directory.find_membership(member.tenant, member.user).await;
        owners += usize::from(found.unwrap().is_some_and(|found| found.is_active_owner()));
    }
    owners
}

fn refused<T: std::fmt::Debug>(done: Result<T, StoreError>, kind: StoreErrorKind) {
    let error = done.expect_err("the change is to be refused");
    assert_eq!(error.kind(), kind, "{error}");
}

/// The last active owner stays one, whatever is tried; a suspended owner, an invited one and another tenant's do not
/// count. A tenant without an owner may have members, and one that is deleted may lose them.
pub async fn the_last_owner_stays<D: Directory + DirectoryStore>(directory: &D) {
    let (tenant, other) = (
        new_tenant(directory).await.id,
        new_tenant(directory).await.id,
    );
    let member = Membership::new(tenant, UserId::new(), role("member"));
    put(directory, &member)
        .await
        .expect("members come before an owner");
    let last = owner(tenant);
    for one in [&last, &owner(other), &owner(other)] {
        put(directory, one).await.unwrap();
    }
    for status in [MembershipStatus::Suspended, MembershipStatus::Invited] {
        put(directory, &owner(tenant).with_status(status))
            .await
            .unwrap();
    }
    let at = (tenant, last.user);
    let demoted = Membership::new(tenant, last.user, role("admin"));
    let conflict = StoreErrorKind::Conflict;
    refused(put(directory, &demoted).await, conflict);
    for status in [MembershipStatus::Suspended, MembershipStatus::Invited] {
        refused(
            put(directory, &last.clone().with_status(status)).await,
            conflict,
        );
    }
    refused(
        change(directory, at, MembershipChange::Role(role("admin"))).await,
        conflict,
    );
    refused(
        change(directory, at, MembershipChange::Suspend).await,
        conflict,
    );
    let removed = remove(directory, tenant, last.user).await;
    let message = removed.unwrap_err().to_string();
    assert!(
        message.contains("make somebody else an owner first"),
        "{message}"
    );
    let kept = directory.find_membership(tenant, last.user).await.unwrap();
    assert_eq!(kept, Some(last.clone()));

    // What changes nothing about it is no harm.
    put(directory, &last).await.unwrap();
    change(
        directory,
        at,
        MembershipChange::Role(SystemRole::Owner.name()),
    )
    .await
    .unwrap();
    let second = owner(tenant);
    put(directory, &second).await.unwrap();
    remove(directory, tenant, last.user).await.unwrap();
    refused(remove(directory, tenant, second.user).await, conflict);

    for status in [TenantStatus::PendingDeletion, TenantStatus::Deleted] {
        directory
            .set_status(tenant, status, &unattributed())
            .await
            .unwrap();
    }
    remove(directory, tenant, second.user)
        .await
        .expect("a deleted tenant needs no owner");
}

/// Of two owners who go at once, each in another way, exactly one does.
pub async fn of_two_owners_who_go_at_once_one_stays<D: Directory + DirectoryStore>(directory: &D) {
    for round in 0..ROUNDS {
        let tenant = new_tenant(directory).await.id;
        let both = [owner(tenant), owner(tenant)];
        for one in &both {
            put(directory, one).await.unwrap();
        }
        let [first, second] = both.each_ref().map(|one| one.user);
        let goes = async {
            match round % 2 {
                0 => remove(directory, tenant, first).await,
                _ => put(directory, &Membership::new(tenant, first, role("viewer"))).await,
            }
        };
        let goes_too = async {
            match round % 3 {
                0 => remove(directory, tenant, second).await,
                1 => change(directory, (tenant, second), MembershipChange::Suspend)
                    .await
                    .map(drop),
                _ => {
                    let viewer = MembershipChange::Role(role("viewer"));
                    change(directory, (tenant, second), viewer).await.map(drop)
                }
            }
        };
        let (one, other) = join(goes, goes_too).await;
        assert!(
            one.is_ok() != other.is_ok(),
            "round {round}: {one:?} {other:?}"
        );
        refused(one.and(other), StoreErrorKind::Conflict);
        assert_eq!(owners(directory, &both).await, 1, "round {round}");
    }
}

/// A member is changed in what is asked for, if the role is still the one that was seen; nobody else is.
pub async fn members_are_changed_as_they_were_seen<D: Directory + DirectoryStore>(directory: &D) {
    let (tenant, other) = (
        new_tenant(directory).await.id,
        new_tenant(directory).await.id,
    );
    let user = UserId::new();
    let at = (tenant, user);
    let member = Membership::new(tenant, user, role("member"));
    let theirs = Membership::new(other, user, role("member"));
    for one in [&member, &theirs] {
        put(directory, one).await.unwrap();
    }
    let suspended = change(directory, at, MembershipChange::Suspend)
        .await
        .unwrap();
    assert_eq!(
        suspended,
        member.clone().with_status(MembershipStatus::Suspended)
    );
    let viewer = change(directory, at, MembershipChange::Role(role("viewer")))
        .await
        .unwrap();
    assert_eq!(
        (viewer.role, viewer.status),
        (role("viewer"), MembershipStatus::Suspended)
    );
    let resumed = change(directory, at, MembershipChange::Resume)
        .await
        .unwrap();
    assert_eq!(resumed, Membership::new(tenant, user, role("viewer")));
    assert_eq!(
        directory.find_membership(tenant, user).await.unwrap(),
        Some(resumed)
    );
    assert_eq!(
        directory.find_membership(other, user).await.unwrap(),
        Some(theirs)
    );

    let invited = Membership::new(tenant, UserId::new(), role("member"))
        .with_status(MembershipStatus::Invited);
    put(directory, &invited).await.unwrap();
    for to in [MembershipChange::Suspend, MembershipChange::Resume] {
        let done = change(directory, (tenant, invited.user), to).await;
        refused(done, StoreErrorKind::IllegalTransition);
    }
    let nobody = (tenant, UserId::new());
    refused(
        change(directory, nobody, MembershipChange::Suspend).await,
        StoreErrorKind::NotFound,
    );
    let nowhere = (TenantId::new(), user);
    refused(
        change(directory, nowhere, MembershipChange::Suspend).await,
        StoreErrorKind::NotFound,
    );

    let conflict = StoreErrorKind::Conflict;
    for seen in [RoleSeen::None, RoleSeen::Role(role("member"))] {
        let to = MembershipChange::Suspend;
        let record = unattributed();
        let changed = directory.change_membership(tenant, user, &to, &seen, &record);
        refused(changed.await, conflict);
        let put = directory
            .put_membership(&member, &seen, &unattributed())
            .await;
        refused(put, conflict);
        let removal = MembershipRemoval::new(NOW).seen(seen);
        let removed = directory.remove_membership(tenant, user, &removal, &record);
        refused(removed.await, conflict);
    }
    let found = directory.find_membership(tenant, user).await.unwrap();
    assert_eq!(found.map(|found| found.role), Some(role("viewer")));
    let seen = RoleSeen::Role(role("viewer"));
    directory
        .put_membership(&member, &seen, &unattributed())
        .await
        .unwrap();
    let newcomer = Membership::new(tenant, UserId::new(), role("viewer"));
    let seen = RoleSeen::None;
    directory
        .put_membership(&newcomer, &seen, &unattributed())
        .await
        .unwrap();
}

/// Runs all of this about offers of ownership. The directory may hold other tenants; the suite makes its own.
pub async fn ownership<D: Directory + DirectoryStore + OwnershipStore>(directory: &D) {
    ownership_is_handed_on_once(directory).await;
    an_offer_ends_with_what_it_rests_on(directory).await;
    what_happens_to_an_offer_at_once_happens_once(directory).await;
}

/// A tenant with an owner, a member, and an offer from the one to the other, which is not made yet.
async fn scene<D: DirectoryStore>(directory: &D) -> (Membership, Membership, OwnershipOffer) {
    let tenant = new_tenant(directory).await.id;
    let from = owner(tenant);
    let to = Membership::new(tenant, UserId::new(), role("member"));
    for one in [&from, &to] {
        put(directory, one).await.unwrap();
    }
    let offer = OwnershipOffer::new(tenant, from.user, to.user, &OwnershipTerms::new(), NOW);
    (from, to, offer)
}

async fn offered<D: OwnershipStore>(
    directory: &D,
    offer: &OwnershipOffer,
) -> Result<(), StoreError> {
    directory
        .put_ownership_offer(offer, NOW, &unattributed())
        .await
}

async fn accepted<D: OwnershipStore>(
    directory: &D,
    offer: &OwnershipOffer,
    at: Timestamp,
) -> Result<(), StoreError> {
    directory.accept_ownership(offer, at, &unattributed()).await
}

/// An offer is between two members who can, one at a time; it is accepted once and in time, and both roles change.
pub async fn ownership_is_handed_on_once<D: Directory + DirectoryStore + OwnershipStore>(
    directory: &D,
) {
    let (from, to, offer) = scene(directory).await;
    let tenant = offer.tenant;
    let (conflict, not_found) = (StoreErrorKind::Conflict, StoreErrorKind::NotFound);
    let between = |from: UserId, to: UserId| {
        OwnershipOffer::new(tenant, from, to, &OwnershipTerms::new(), NOW)
    };
    let invited = Membership::new(tenant, UserId::new(), role("admin"))
        .with_status(MembershipStatus::Invited);
    let also_owns = owner(tenant);
    for one in [&invited, &also_owns] {
        put(directory, one).await.unwrap();
    }
    for wrong in [
        between(to.user, from.user),
        between(from.user, from.user),
        between(from.user, UserId::new()),
        between(from.user, invited.user),
        between(from.user, also_owns.user),
        between(UserId::new(), to.user),
    ] {
        refused(offered(directory, &wrong).await, conflict);
    }
    let nowhere = OwnershipOffer {
        tenant: TenantId::new(),
        ..offer.clone()
    };
    refused(offered(directory, &nowhere).await, not_found);
    assert_eq!(
        directory.find_ownership_offer(tenant, NOW).await.unwrap(),
        None
    );

    refused(accepted(directory, &offer, NOW).await, not_found);
    offered(directory, &offer).await.unwrap();
    refused(offered(directory, &offer).await, conflict);
    refused(
        offered(directory, &between(also_owns.user, to.user)).await,
        conflict,
    );
    let open = directory.find_ownership_offer(tenant, NOW).await.unwrap();
    assert_eq!(open.as_ref(), Some(&offer));
    let holdings = directory
        .find_holdings(tenant, to.user, NOW)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(holdings.ownership_offer.as_ref(), Some(&offer));

    // Not another one, and not too late.
    let to_another = OwnershipOffer {
        to: also_owns.user,
        ..offer.clone()
    };
    refused(accepted(directory, &to_another, NOW).await, not_found);
    refused(
        accepted(directory, &offer, offer.expires_at).await,
        not_found,
    );
    let found = directory
        .find_ownership_offer(tenant, offer.expires_at)
        .await;
    assert_eq!(found.unwrap(), None);
    assert_eq!(owners(directory, &[from.clone(), to.clone()]).await, 1);

    let last_moment = NOW + (OwnershipTerms::DEFAULT_LASTS - Duration::from_micros(1));
    accepted(directory, &offer, last_moment).await.unwrap();
    let now = directory
        .find_membership(tenant, to.user)
        .await
        .unwrap()
        .unwrap();
    assert!(now.is_active_owner());
    let before = directory.find_membership(tenant, from.user).await.unwrap();
    assert_eq!(
        before,
        Some(Membership::new(tenant, from.user, role("admin")))
    );
    refused(accepted(directory, &offer, last_moment).await, not_found);

    // One that has expired is in nobody's way.
    let back = OwnershipOffer {
        from: to.user,
        to: from.user,
        ..offer.clone()
    };
    offered(directory, &back).await.unwrap();
    let later = back.expires_at;
    let again = OwnershipOffer::new(tenant, to.user, from.user, &OwnershipTerms::new(), later);
    directory
        .put_ownership_offer(&again, later, &unattributed())
        .await
        .unwrap();
    let ended = directory
        .end_ownership_offer(&back, later, &unattributed())
        .await;
    refused(ended, not_found);
    directory
        .end_ownership_offer(&again, later, &unattributed())
        .await
        .unwrap();
    refused(accepted(directory, &again, later).await, not_found);
}

/// An offer ends with the ownership of who made it and with the membership of whom it is for, and stays ended when
/// they come back.
pub async fn an_offer_ends_with_what_it_rests_on<D: Directory + DirectoryStore + OwnershipStore>(
    directory: &D,
) {
    for way in 0..6 {
        let (from, to, offer) = scene(directory).await;
        let tenant = offer.tenant;
        put(directory, &owner(tenant)).await.unwrap();
        offered(directory, &offer).await.unwrap();
        let back = if way < 3 { &from } else { &to };
        let at = (tenant, back.user);
        match way {
            0 => {
                let admin = MembershipChange::Role(role("admin"));
                change(directory, at, admin).await.map(drop)
            }
            1 | 3 => change(directory, at, MembershipChange::Suspend)
                .await
                .map(drop),
            2 | 4 => remove(directory, tenant, back.user).await,
            _ => {
                let invited = back.clone().with_status(MembershipStatus::Invited);
                put(directory, &invited).await
            }
        }
        .unwrap();
        let found = directory.find_ownership_offer(tenant, NOW).await.unwrap();
        assert_eq!(found, None, "way {way}");
        put(directory, back).await.unwrap();
        refused(
            accepted(directory, &offer, NOW).await,
            StoreErrorKind::NotFound,
        );
    }
    // What it does not rest on may change.
    let (_, to, offer) = scene(directory).await;
    offered(directory, &offer).await.unwrap();
    let viewer = MembershipChange::Role(role("viewer"));
    change(directory, (offer.tenant, to.user), viewer)
        .await
        .unwrap();
    accepted(directory, &offer, NOW).await.unwrap();
}

/// Two acceptances, an acceptance and a withdrawal, an acceptance and the removal of either: one of both is done, or
/// one after the other, and there is an owner all the time.
pub async fn what_happens_to_an_offer_at_once_happens_once<
    D: Directory + DirectoryStore + OwnershipStore,
>(
    directory: &D,
) {
    for round in 0..ROUNDS {
        let (from, to, offer) = scene(directory).await;
        let tenant = offer.tenant;
        offered(directory, &offer).await.unwrap();
        let other = async {
            match round % 4 {
                0 => accepted(directory, &offer, NOW).await,
                1 => {
                    directory
                        .end_ownership_offer(&offer, NOW, &unattributed())
                        .await
                }
                2 => remove(directory, tenant, from.user).await,
                _ => remove(directory, tenant, to.user).await,
            }
        };
        let (one, two) = join(accepted(directory, &offer, NOW), other).await;
        let says = format!("round {round}: {one:?} {two:?}");
        match round % 4 {
            0 | 1 => assert!(one.is_ok() != two.is_ok(), "{says}"),
            // The owner goes after the acceptance, or can't.
            2 => assert!(one.is_ok(), "{says}"),
            // The new owner can't go after it, and whoever has gone accepts nothing.
            _ => assert!(one.is_ok() != two.is_ok(), "{says}"),
        }
        for error in [one.err(), two.err()].into_iter().flatten() {
            assert_ne!(error.kind(), StoreErrorKind::Unavailable, "{says}");
        }
        assert_eq!(owners(directory, &[from, to]).await, 1, "{says}");
        let open = directory.find_ownership_offer(tenant, NOW).await.unwrap();
        assert_eq!(open, None, "{says}");
    }
}
