//! Joining by the domain of a verified address.

use tenancy_core::{
    DomainName, EmailAddress, Membership, MembershipDirectory as _, RoleDefinition, StoreErrorKind,
    SystemRole, UserId, VerifiedEmail,
    domain_join::{DomainJoin, JoinMode, VerifiedDomain},
    testing::service,
};

use crate::support::{World, answer};

fn verified(text: &str) -> VerifiedEmail {
    let address: EmailAddress = text.parse().unwrap();
    VerifiedEmail::vouched_by_application(address)
}

fn domain(text: &str) -> VerifiedDomain {
    let name: DomainName = text.parse().unwrap();
    VerifiedDomain::vouched_by_application(name).unwrap()
}

#[tokio::test]
async fn people_join_by_exactly_their_domain() {
    let w = World::new().await;
    let admin = w.tenancy.admin(service());
    let member = SystemRole::Member.name();
    let automatic = DomainJoin::new(
        w.acme.id,
        domain("acme.example"),
        JoinMode::Automatic,
        member.clone(),
    );
    let viewer = SystemRole::Viewer.name();
    let suggested = DomainJoin::new(
        w.globex.id,
        domain("acme.example"),
        JoinMode::Suggested,
        viewer.clone(),
    );
    for rule in [&automatic, &suggested] {
        admin.put_domain_join(rule).await.unwrap();
    }
    let stranger = UserId::new();
    for other in [
        "ann@sub.acme.example",
        "ann@acme.example.org",
        "ann@xacme.example",
    ] {
        let by_domain = w
            .tenancy
            .join_by_domain(stranger, &verified(other))
            .await
            .unwrap();
        assert_eq!(
            (by_domain.joined, by_domain.suggested.len()),
            (None, 0),
            "{other}"
        );
        let offer = w
            .tenancy
            .take_domain_offer(stranger, &verified(other), w.acme.id)
            .await;
        assert_eq!(answer(offer), (404, "domain-offer-unknown"));
    }
    let (ann, email) = (UserId::new(), verified("Ann@Acme.Example"));
    let by_domain = w.tenancy.join_by_domain(ann, &email).await.unwrap();
    let joined = Membership::new(w.acme.id, ann, member);
    assert_eq!(by_domain.joined, Some(joined.clone()));
    let offers: Vec<_> = by_domain
        .suggested
        .iter()
        .map(|offer| offer.tenant)
        .collect();
    assert_eq!(offers, [w.globex.id]);
    let again = w.tenancy.join_by_domain(ann, &email).await.unwrap();
    assert_eq!(again.joined, None);
    let taken = w
        .tenancy
        .take_domain_offer(ann, &email, w.globex.id)
        .await
        .unwrap();
    assert_eq!(taken.role, viewer);
    let twice = w.tenancy.take_domain_offer(ann, &email, w.acme.id).await;
    assert_eq!(answer(twice), (409, "domain-already-member"));
    let kept = w.directory.find_membership(w.acme.id, ann).await.unwrap();
    assert_eq!(kept, Some(joined));

    admin
        .remove_domain_join(w.acme.id, &automatic.domain)
        .await
        .unwrap();
    assert_eq!(admin.list_domain_joins(w.acme.id).await.unwrap(), []);
    let by_domain = w.tenancy.join_by_domain(stranger, &email).await.unwrap();
    assert_eq!(by_domain.joined, None);
}

/// Two tenants have one domain for automatic joins. Neither is told of the other; people join the first that is served.
#[tokio::test]
async fn a_domain_that_two_tenants_have_leads_into_the_first_that_is_served() {
    let w = World::new().await;
    let admin = w.tenancy.admin(service());
    for tenant in [w.globex.id, w.acme.id] {
        let (mode, role) = (JoinMode::Automatic, SystemRole::Member.name());
        let rule = DomainJoin::new(tenant, domain("acme.example"), mode, role);
        admin.put_domain_join(&rule).await.unwrap();
    }
    let join = async |user| {
        let email = verified("ann@acme.example");
        let joined = w.tenancy.join_by_domain(user, &email).await.unwrap();
        let offers: Vec<_> = joined.suggested.iter().map(|one| one.tenant).collect();
        (joined.joined.map(|member| member.tenant), offers)
    };
    let ann = UserId::new();
    assert_eq!(join(ann).await, (Some(w.globex.id), vec![w.acme.id]));
    assert_eq!(
        join(ann).await,
        (None, vec![w.acme.id]),
        "once in, in no second one by itself"
    );
    let email = verified("ann@acme.example");
    let taken = w.tenancy.take_domain_offer(ann, &email, w.acme.id).await;
    assert_eq!(taken.unwrap().tenant, w.acme.id);
    admin.suspend(w.globex.id).await.unwrap();
    assert_eq!(join(UserId::new()).await, (Some(w.acme.id), vec![]));
}

#[tokio::test]
async fn nobody_gets_more_than_a_members_role_by_a_domain() {
    let w = World::new().await;
    let admin = w.tenancy.admin(service());
    let rule = |role: &str| {
        let role = role.parse().unwrap();
        DomainJoin::new(w.acme.id, domain("acme.example"), JoinMode::Suggested, role)
    };
    for more in ["owner", "admin", "nobody-defined-it"] {
        let refused = admin.put_domain_join(&rule(more)).await.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Forbidden, "{more}");
    }
    let reader = RoleDefinition::new("reader".parse().unwrap()).allow("notes:read");
    admin.put_role(w.acme.id, &reader).await.unwrap();
    admin.put_domain_join(&rule("reader")).await.unwrap();
    // The role comes to nothing meanwhile: it is gone.
    admin.remove_role(w.acme.id, &reader.name).await.unwrap();
    let (ann, email) = (UserId::new(), verified("ann@acme.example"));
    let offer = w.tenancy.take_domain_offer(ann, &email, w.acme.id).await;
    assert_eq!(answer(offer), (404, "domain-offer-unknown"));
    let none = w.directory.find_membership(w.acme.id, ann).await.unwrap();
    assert_eq!(none, None);
    admin.put_role(w.acme.id, &reader).await.unwrap();
    w.tenancy
        .take_domain_offer(ann, &email, w.acme.id)
        .await
        .unwrap();
}
