//! Random changes of members by random actors, beside a model that is as plain as the rules.

use std::collections::BTreeMap;

use proptest::{prelude::*, test_runner::TestCaseError};
use tenancy_core::{
    KeysGo, MemberFilter, Membership, MembershipStatus, OwnershipTerms, StoreError, SystemRole,
    UserId,
    testing::{StoreDirectly as _, service},
};

use super::{alone, context, world};
use crate::support::World;

const USERS: usize = 4;

const ROLES: [SystemRole; 4] = [
    SystemRole::Viewer,
    SystemRole::Member,
    SystemRole::Admin,
    SystemRole::Owner,
];

const OWNER: usize = 3;

/// From which role on a member manages members.
const ADMIN: usize = 2;

#[derive(Debug, Clone, Copy)]
enum Step {
    Put(usize, usize, MembershipStatus),
    ChangeRole(usize, usize),
    Suspend(usize),
    Resume(usize),
    Remove(usize),
    Leave,
    Offer(usize, usize),
    Accept,
    Decline,
    Withdraw,
    Wait,
}

fn steps() -> impl Strategy<Value = Vec<(Option<usize>, Step)>> {
    let status = prop_oneof![
        4 => Just(MembershipStatus::Active),
        1 => Just(MembershipStatus::Suspended),
        1 => Just(MembershipStatus::Invited),
    ];
    let (user, role) = (0..USERS, 0..ROLES.len());
    let step = prop_oneof![
        4 => (user.clone(), role.clone(), status).prop_map(|(u, r, s)| Step::Put(u, r, s)),
        3 => (user.clone(), role.clone()).prop_map(|(u, r)| Step::ChangeRole(u, r)),
        2 => user.clone().prop_map(Step::Suspend),
        2 => user.clone().prop_map(Step::Resume),
        2 => user.clone().prop_map(Step::Remove),
        2 => Just(Step::Leave),
        4 => (user.clone(), role).prop_map(|(u, r)| Step::Offer(u, r)),
        4 => Just(Step::Accept),
        1 => Just(Step::Decline),
        1 => Just(Step::Withdraw),
        1 => Just(Step::Wait),
    ];
    let actor = prop_oneof![1 => Just(None), 6 => user.prop_map(Some)];
    proptest::collection::vec((actor, step), 1..40)
}

/// What the rules say: roles by their rank, of which each holds all that the lower ones hold, and one thing more.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    members: BTreeMap<usize, (usize, MembershipStatus)>,
    /// From whom, to whom, what becomes of the one, and since how many half weeks.
    offer: Option<(usize, usize, usize, u32)>,
}

impl Model {
    fn active(&self, user: usize) -> Option<usize> {
        let (rank, status) = self.members.get(&user)?;
        (*status == MembershipStatus::Active).then_some(*rank)
    }

    fn owns(&self, user: usize) -> bool {
        self.active(user) == Some(OWNER)
    }

    fn owners(&self) -> usize {
        self.members.keys().filter(|user| self.owns(**user)).count()
    }

    /// The next state, or `None` if the step is to be refused.
    fn after(&self, actor: Option<usize>, step: Step) -> Option<Self> {
        let mut next = self.clone();
        let me = || actor.filter(|actor| self.active(*actor).is_some());
        // The service may do everything.
        let rank = actor.map_or(Some(OWNER), |actor| self.active(actor));
        let manages = rank.filter(|rank| *rank >= ADMIN);
        let has = |user| self.members.get(&user).copied();
        // Neither what a member has nor what a member gets is more than the actor's.
        let may = |user, gets: usize| {
            let most = has(user).map_or(gets, |(rank, _)| rank.max(gets));
            manages.filter(|rank| *rank >= most)
        };
        match step {
            Step::Put(user, role, status) => {
                may(user, role)?;
                next.members.insert(user, (role, status));
            }
            Step::ChangeRole(user, role) => {
                may(user, role)?;
                next.members.insert(user, (role, has(user)?.1));
            }
            Step::Suspend(user) | Step::Resume(user) => {
                may(user, 0)?;
                let (role, status) = has(user)?;
                if status == MembershipStatus::Invited {
                    return None;
                }
                let to = match step {
                    Step::Suspend(_) => MembershipStatus::Suspended,
                    _ => MembershipStatus::Active,
                };
                next.members.insert(user, (role, to));
            }
            Step::Remove(user) => {
                may(user, 0)?;
                next.members.remove(&user);
            }
            Step::Leave => {
                next.members.remove(&me()?);
            }
            Step::Offer(to, becomes) => {
                let from = me()?;
                let can = self.owns(from) && self.active(to).is_some() && !self.owns(to);
                if self.offer.is_some() || !can {
                    return None;
                }
                next.offer = Some((from, to, becomes, 0));
            }
            Step::Accept => {
                let (from, to, becomes, _) = self.offer.filter(|offer| Some(offer.1) == me())?;
                next.members.insert(to, (OWNER, MembershipStatus::Active));
                next.members
                    .insert(from, (becomes, MembershipStatus::Active));
                next.offer = None;
            }
            Step::Decline => {
                self.offer.filter(|offer| Some(offer.1) == me())?;
                next.offer = None;
            }
            Step::Withdraw => {
                let (from, ..) = self.offer?;
                if actor.is_some() && Some(from) != me() {
                    return None;
                }
                next.offer = None;
            }
            Step::Wait => {
                next.offer = self
                    .offer
                    .map(|(from, to, becomes, age)| (from, to, becomes, age + 1));
                next.offer = next.offer.filter(|offer| offer.3 < 2);
            }
        }
        if self.owners() > 0 && next.owners() == 0 {
            return None;
        }
        next.offer = next
            .offer
            .filter(|(from, to, ..)| next.owns(*from) && next.active(*to).is_some());
        Some(next)
    }
}

async fn make(
    w: &World,
    users: &[UserId],
    actor: Option<usize>,
    step: Step,
) -> Result<(), StoreError> {
    let acme = w.acme.id;
    if matches!(step, Step::Wait) {
        w.clock.advance(OwnershipTerms::DEFAULT_LASTS / 2);
        return Ok(());
    }
    let forbidden = |error: tenancy_core::Refusal| {
        StoreError::new(tenancy_core::StoreErrorKind::Forbidden, error.reason())
    };
    let context = match actor {
        Some(actor) => Some(context(w, users[actor]).await.map_err(forbidden)?),
        None => None,
    };
    let managing = || match &context {
        Some(context) => context.authority("members:manage").map_err(forbidden),
        None => Ok(service()),
    };
    let own = || match &context {
        Some(context) => context.own_authority().map_err(forbidden),
        None => Ok(service()),
    };
    let admin = |authority| w.tenancy.admin(authority);
    match step {
        Step::Put(user, role, status) => {
            let member = Membership::new(acme, users[user], ROLES[role].name());
            admin(managing()?)
                .put_membership(&member.with_status(status))
                .await
        }
        Step::ChangeRole(user, role) => {
            let role = ROLES[role].name();
            admin(managing()?)
                .change_role(acme, users[user], role)
                .await
                .map(drop)
        }
        Step::Suspend(user) => admin(managing()?)
            .suspend_member(acme, users[user])
            .await
            .map(drop),
        Step::Resume(user) => admin(managing()?)
            .resume_member(acme, users[user])
            .await
            .map(drop),
        Step::Remove(user) => {
            let keys = KeysGo::Revoked;
            admin(managing()?)
                .remove_membership_with(acme, users[user], keys)
                .await
        }
        Step::Leave => admin(own()?).leave().await,
        Step::Offer(to, becomes) => {
            let terms = OwnershipTerms::new().becomes(ROLES[becomes].name());
            admin(own()?)
                .offer_ownership(users[to], &terms)
                .await
                .map(drop)
        }
        Step::Accept => admin(own()?).accept_ownership().await,
        Step::Decline => admin(own()?).decline_ownership().await,
        Step::Withdraw => admin(own()?).withdraw_ownership_offer(acme).await,
        Step::Wait => Ok(()),
    }
}

/// What the store has.
async fn found(w: &World, users: &[UserId]) -> BTreeMap<usize, (usize, MembershipStatus)> {
    let all = MemberFilter::new();
    let members = w
        .directory
        .list_members(w.acme.id, &all, None, 100)
        .await
        .unwrap();
    let place = |member: &Membership| {
        let user = users.iter().position(|user| *user == member.user).unwrap();
        let role = ROLES
            .iter()
            .position(|role| role.name() == member.role)
            .unwrap();
        (user, (role, member.status))
    };
    members.iter().map(place).collect()
}

async fn plays(steps: Vec<(Option<usize>, Step)>) -> Result<(), TestCaseError> {
    let w = world().await;
    alone(&w).await;
    let users: [UserId; USERS] =
        std::array::from_fn(|user| if user == 0 { w.alice } else { UserId::new() });
    let mut model = Model::default();
    model.members.insert(0, (OWNER, MembershipStatus::Active));
    for (number, (actor, step)) in steps.into_iter().enumerate() {
        let expected = model.after(actor, step);
        let done = make(&w, &users, actor, step).await;
        let says = format!("step {number}, {step:?} by {actor:?} in {model:?}: {done:?}");
        prop_assert_eq!(done.is_ok(), expected.is_some(), "{}", &says);
        let now = found(&w, &users).await;

        // What holds whatever the model says.
        let owned = |state: &BTreeMap<usize, (usize, MembershipStatus)>| {
            state
                .values()
                .any(|of| *of == (OWNER, MembershipStatus::Active))
        };
        prop_assert!(owned(&now), "no owner is left: {}", &says);
        let most = match (step, model.offer) {
            (Step::Accept, Some((from, ..))) => model.active(from),
            _ => actor.map_or(Some(OWNER), |actor| model.active(actor)),
        };
        for (user, (rank, _)) in &now {
            let had = model.members.get(user).map(|(rank, _)| *rank);
            let rose = had.is_none_or(|had| *rank > had);
            prop_assert!(
                !rose || most >= Some(*rank),
                "nobody had that to give: {}",
                &says
            );
        }

        let next = expected.unwrap_or(model);
        prop_assert_eq!(&now, &next.members, "{}", &says);
        model = next;
    }
    Ok(())
}

#[test]
fn random_changes_of_members_go_as_the_rules_say() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    proptest!(|(steps in steps())| {
        runtime.block_on(plays(steps))?;
    });
}
