//! Rules by which people join by the domain of their address.

use futures_util::future::join_all;

use super::{new_tenant, role, slug};
use crate::{
    Directory, DirectoryStore, DomainName, Membership, MembershipStatus, RoleSeen, StoreErrorKind,
    TenantId, TenantStatus, Timestamp, UserId,
    domain_join::{DomainJoin, DomainJoinStore, DomainJoined, JoinMode},
    invitation::SeatLimit,
    testing::unattributed,
};

/// Runs all that concerns joining by domain.
pub async fn domain_joins<D>(directory: &D)
where
    D: Directory + DirectoryStore + DomainJoinStore,
{
    a_domain_leads_into_one_tenant_by_itself(directory).await;
    each_of_many_rules_is_found(directory).await;
    who_joins_by_domain_finds_the_rule_and_a_seat(directory).await;
}

fn rule(tenant: TenantId, domain: &DomainName, mode: JoinMode) -> DomainJoin {
    DomainJoin::from_stored(tenant, domain.clone(), mode, role("member"))
}

/// One tenant has a domain for automatic joins, and several may suggest themselves.
pub async fn a_domain_leads_into_one_tenant_by_itself<D>(directory: &D)
where
    D: Directory + DirectoryStore + DomainJoinStore,
{
    let (acme, globex) = (new_tenant(directory).await, new_tenant(directory).await);
    let domain: DomainName = format!("{}.example", slug("d")).parse().unwrap();
    let put = async |rule: &DomainJoin| directory.put_domain_join(rule, &unattributed()).await;
    let suggested = rule(acme.id, &domain, JoinMode::Suggested);
    let mut automatic = rule(globex.id, &domain, JoinMode::Automatic);
    put(&suggested).await.unwrap();
    put(&automatic).await.unwrap();
    automatic.role = role("viewer");
    put(&automatic).await.expect("a tenant replaces its own");
    let find = async || directory.find_domain_joins(domain.as_str()).await.unwrap();
    assert_eq!(find().await, [automatic.clone(), suggested.clone()]);

    // Whoever comes later is told of nobody, and stands behind.
    let second = rule(acme.id, &domain, JoinMode::Automatic);
    put(&second).await.expect("nobody is told of the other one");
    assert_eq!(find().await, [automatic.clone(), second.clone()]);
    put(&automatic).await.unwrap();
    assert_eq!(
        find().await,
        [automatic.clone(), second.clone()],
        "it keeps its place"
    );
    let mut waits = automatic.clone();
    waits.mode = JoinMode::Suggested;
    put(&waits).await.unwrap();
    put(&automatic).await.unwrap();
    assert_eq!(
        find().await,
        [second.clone(), automatic.clone()],
        "it has begun anew"
    );
    put(&suggested).await.unwrap();
    assert_eq!(find().await, [automatic.clone(), suggested.clone()]);
    let own = directory.find_domain_join(acme.id, domain.as_str()).await;
    assert_eq!(own.unwrap().as_ref(), Some(&suggested));
    for other in [
        format!("sub.{domain}"),
        domain.as_str()[1..].to_owned(),
        String::new(),
    ] {
        let none = directory.find_domain_joins(&other).await.unwrap();
        assert_eq!(none, [], "{other}");
        let none = directory.find_domain_join(acme.id, &other).await;
        assert_eq!(none.unwrap(), None, "{other}");
    }
    let listed = directory.list_domain_joins(acme.id).await.unwrap();
    assert_eq!(listed, [suggested]);

    let remove = async |tenant| {
        let record = unattributed();
        directory.remove_domain_join(tenant, &domain, &record).await
    };
    remove(globex.id).await.unwrap();
    remove(globex.id).await.expect("removing what is not there");
    let mine = rule(acme.id, &domain, JoinMode::Automatic);
    put(&mine).await.expect("the domain is free");
    let nobody = TenantId::new();
    assert_eq!(
        remove(nobody).await.unwrap_err().kind(),
        StoreErrorKind::NotFound
    );
    let astray = put(&rule(nobody, &domain, JoinMode::Suggested)).await;
    assert_eq!(astray.unwrap_err().kind(), StoreErrorKind::NotFound);
}

/// However many tenants have a domain, some are told, and each one's rule is found.
pub(super) async fn each_of_many_rules_is_found<D>(directory: &D)
where
    D: Directory + DirectoryStore + DomainJoinStore,
{
    let domain: DomainName = format!("{}.example", slug("d")).parse().unwrap();
    let mut rules = Vec::new();
    for _ in 0..101 {
        let rule = rule(new_tenant(directory).await.id, &domain, JoinMode::Suggested);
        let record = unattributed();
        directory.put_domain_join(&rule, &record).await.unwrap();
        rules.push(rule);
    }
    let told = directory.find_domain_joins(domain.as_str()).await.unwrap();
    assert_eq!(told.len(), 100);
    let untold = rules.iter().find(|rule| !told.contains(rule)).unwrap();
    let found = directory
        .find_domain_join(untold.tenant, domain.as_str())
        .await;
    assert_eq!(found.unwrap().as_ref(), Some(untold));
    let record = unattributed();
    let joined = directory
        .join_by_domain(untold, UserId::new(), None, &record)
        .await;
    assert_eq!(joined.unwrap(), DomainJoined::Done);
}

/// The rule, the tenant, the membership and the seat are looked at in the transaction that adds the member.
pub async fn who_joins_by_domain_finds_the_rule_and_a_seat<D>(directory: &D)
where
    D: Directory + DirectoryStore + DomainJoinStore,
{
    let acme = new_tenant(directory).await;
    let domain: DomainName = format!("{}.example", slug("d")).parse().unwrap();
    let rule = rule(acme.id, &domain, JoinMode::Suggested);
    let join = async |rule: &DomainJoin, user, seats| {
        let record = unattributed();
        let joined = directory.join_by_domain(rule, user, seats, &record).await;
        joined.unwrap()
    };
    let ann = UserId::new();
    assert_eq!(join(&rule, ann, None).await, DomainJoined::Gone);
    directory
        .put_domain_join(&rule, &unattributed())
        .await
        .unwrap();
    let mut more = rule.clone();
    more.role = role("owner");
    assert_eq!(join(&more, ann, None).await, DomainJoined::Gone);
    let set = async |status| {
        let record = unattributed();
        directory
            .set_status(acme.id, status, &record)
            .await
            .unwrap();
    };
    set(TenantStatus::Suspended).await;
    assert_eq!(join(&rule, ann, None).await, DomainJoined::NotServed);
    set(TenantStatus::Active).await;
    assert_eq!(directory.find_membership(acme.id, ann).await.unwrap(), None);

    let two = Some(SeatLimit::new(2, Timestamp::EPOCH));
    let users: Vec<_> = (0..5).map(|_| UserId::new()).collect();
    let outcomes = join_all(users.iter().map(|user| join(&rule, *user, two))).await;
    let full = DomainJoined::Full { taken: 2 };
    let joined = outcomes.iter().filter(|one| **one == DomainJoined::Done);
    assert_eq!(joined.count(), 2, "{outcomes:?}");
    assert!(
        outcomes
            .iter()
            .all(|one| [DomainJoined::Done, full].contains(one))
    );

    let suspended =
        Membership::new(acme.id, ann, role("viewer")).with_status(MembershipStatus::Suspended);
    directory
        .put_membership(&suspended, &RoleSeen::Any, &unattributed())
        .await
        .unwrap();
    assert_eq!(join(&rule, ann, None).await, DomainJoined::AlreadyMember);
    let kept = directory.find_membership(acme.id, ann).await.unwrap();
    assert_eq!(kept, Some(suspended), "who is suspended stays out");
}
