//! Operators, impersonations and tenants' consent: found, begun once, approved by another, ended and listed.

use std::time::Duration;

use super::new_tenant;
use crate::{
    ChangeRecord, Directory, DirectoryStore, GenerationFeed, Impersonation, ImpersonationDigest,
    ImpersonationId, ImpersonationLookup, ImpersonationState, ImpersonationStore, Membership,
    MembershipRemoval, MembershipStatus, Operator, OperatorId, OperatorRole, OperatorStore,
    RoleSeen, StartTerms, StoreError, StoreErrorKind, SystemRole, TenantId, TenantKey, Timestamp,
    UserId, testing::unattributed,
};

/// Runs all that concerns operators.
pub async fn operators<D>(directory: &D)
where
    D: Directory + DirectoryStore + OperatorStore + ImpersonationStore,
{
    an_operator_is_found_by_issuer_and_subject(directory).await;
    operators_are_listed_in_pages(directory).await;
    an_impersonation_is_found_by_its_token_and_ends(directory).await;
    impersonations_end_with_the_membership(directory).await;
    an_operator_has_one_impersonation_of_a_user(directory).await;
    another_operator_approves(directory).await;
    impersonations_end_with_the_operators_right(directory).await;
    impersonations_are_listed_in_pages(directory).await;
    a_tenant_agrees_and_takes_it_back(directory).await;
    what_an_impersonation_rests_on_is_looked_at_where_it_is_written(directory).await;
}

const ISSUER: &str = "https://staff.example";

/// A moment that a store's own clock has not reached either.
fn now() -> Timestamp {
    Timestamp::from_unix_seconds(1_900_000_000)
}

fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

async fn new_operator<D: OperatorStore>(directory: &D, role: OperatorRole) -> Operator {
    let operator = Operator::new(ISSUER, UserId::new(), "An operator", [role]);
    let put = directory.put_operator(&operator, &unattributed()).await;
    put.expect("a new operator is stored");
    operator
}

fn impersonation(operator: &Operator, tenant: TenantId, user: UserId) -> Impersonation {
    let time = (now(), now() + minutes(30));
    Impersonation::new(operator.id, (tenant, user), "'quoted' \"reason\" – ß", time)
}

fn digest() -> ImpersonationDigest {
    let (one, two) = (UserId::new().as_uuid(), UserId::new().as_uuid());
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(one.as_bytes());
    bytes[16..].copy_from_slice(two.as_bytes());
    ImpersonationDigest::new(bytes)
}

/// Makes a member of the user, and begins it.
async fn start<D: DirectoryStore + ImpersonationStore>(
    directory: &D,
    one: &Impersonation,
) -> Result<ImpersonationDigest, StoreError> {
    let member = Membership::new(one.tenant, one.user, SystemRole::Member.name());
    let record = unattributed();
    let put = directory.put_membership(&member, &RoleSeen::Any, &record);
    match put.await {
        Err(error) if error.kind() != StoreErrorKind::NotFound => Err(error),
        _ => begin(directory, one, StartTerms::new(3)).await,
    }
}

async fn begin<D: ImpersonationStore>(
    directory: &D,
    one: &Impersonation,
    terms: StartTerms,
) -> Result<ImpersonationDigest, StoreError> {
    let digest = digest();
    let record = unattributed();
    let started = directory.start_impersonation(one, &digest, terms, &record);
    started.await.map(|()| digest)
}

async fn found<D: ImpersonationStore>(directory: &D, id: ImpersonationId) -> Impersonation {
    let found = directory
        .find_impersonation(&ImpersonationLookup::Id(id))
        .await;
    found.unwrap().expect("it is stored")
}

/// A record whose entry says when the change was made.
fn record_at(at: Timestamp) -> ChangeRecord {
    let mut record = unattributed();
    record.entry.at = at;
    record
}

async fn generation<D: Directory>(directory: &D, tenant: TenantId) -> crate::Generation {
    let found = directory.find_tenant(&TenantKey::Id(tenant)).await.unwrap();
    found.expect("the tenant is stored").generation
}

/// An operator is found by exactly its issuer and subject, is replaced, and keeps others from its subject.
pub async fn an_operator_is_found_by_issuer_and_subject<D: OperatorStore>(directory: &D) {
    let mut mia = new_operator(directory, OperatorRole::Support).await;
    let find =
        async |issuer: &str, subject| directory.find_operator(issuer, subject).await.unwrap();
    assert_eq!(find(ISSUER, mia.subject).await.as_ref(), Some(&mia));
    assert_eq!(find("https://staff.example/", mia.subject).await, None);
    assert_eq!(find("", mia.subject).await, None);
    assert_eq!(find(ISSUER, UserId::new()).await, None);

    let account = UserId::new();
    assert!(!directory.is_operator(account).await.unwrap());
    mia.user = Some(account);
    mia.name = "Mia Ö".into();
    mia.roles.extend(OperatorRole::ALL);
    mia.disabled = true;
    directory.put_operator(&mia, &unattributed()).await.unwrap();
    assert_eq!(find(ISSUER, mia.subject).await.as_ref(), Some(&mia));
    assert!(directory.is_operator(account).await.unwrap());
    assert!(directory.is_operator(mia.subject).await.unwrap());

    let other = Operator::new(ISSUER, mia.subject, "Another", []);
    let taken = directory.put_operator(&other, &unattributed()).await;
    assert_eq!(taken.unwrap_err().kind(), StoreErrorKind::Conflict);
    let elsewhere = Operator::new("https://other.example", mia.subject, "Another", []);
    directory
        .put_operator(&elsewhere, &unattributed())
        .await
        .unwrap();
    for wrong in ["", " ", "a\nb"] {
        let invalid = Operator::new(ISSUER, UserId::new(), wrong, []);
        let invalid = directory.put_operator(&invalid, &unattributed()).await;
        assert_eq!(invalid.unwrap_err().kind(), StoreErrorKind::Invalid);
    }
}

/// Operators by id, in pages.
pub async fn operators_are_listed_in_pages<D: OperatorStore>(directory: &D) {
    let mut own = Vec::new();
    for role in OperatorRole::ALL {
        own.push(new_operator(directory, role).await);
    }
    let mut listed: Vec<Operator> = Vec::new();
    loop {
        let after: Option<OperatorId> = listed.last().map(|last| last.id);
        let page = directory.list_operators(after, 3).await.unwrap();
        assert!(page.len() <= 3);
        if page.is_empty() {
            break;
        }
        listed.extend(page);
    }
    assert!(listed.is_sorted_by_key(|one| one.id));
    listed.retain(|one| own.iter().any(|own| own.id == one.id));
    assert_eq!(listed, own);
}

/// What an operator does as a member ends with the membership, and does not come back with it.
pub(super) async fn impersonations_end_with_the_membership<D>(directory: &D)
where
    D: Directory + DirectoryStore + OperatorStore + ImpersonationStore,
{
    let (tenant, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let (user, role) = (UserId::new(), SystemRole::Member.name());
    let mia = new_operator(directory, OperatorRole::Support).await;
    let mut started = Vec::new();
    for of in [tenant.id, other.id] {
        let member = Membership::new(of, user, role.clone());
        directory
            .put_membership(&member, &RoleSeen::Any, &unattributed())
            .await
            .unwrap();
        let one = impersonation(&mia, of, user);
        start(directory, &one).await.unwrap();
        started.push(one);
    }
    let [here, there] = started.as_slice() else {
        panic!("two were started");
    };
    let at = now() + minutes(1);
    let removal = MembershipRemoval::new(at);
    directory
        .remove_membership(tenant.id, user, &removal, &unattributed())
        .await
        .unwrap();
    let back = Membership::new(tenant.id, user, role);
    directory
        .put_membership(&back, &RoleSeen::Any, &unattributed())
        .await
        .unwrap();
    assert_eq!(found(directory, here.id).await.ended_at, Some(at));
    assert_eq!(found(directory, there.id).await.ended_at, None);
}

/// An impersonation is found by the digest of its token, as it was stored; its end moves the tenant's generation.
pub async fn an_impersonation_is_found_by_its_token_and_ends<D>(directory: &D)
where
    D: Directory + DirectoryStore + OperatorStore + ImpersonationStore,
{
    let (tenant, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let mia = new_operator(directory, OperatorRole::Support).await;
    let mut one = impersonation(&mia, tenant.id, UserId::new());
    one.ticket = Some("4711".into());
    let digest = start(directory, &one).await.unwrap();
    let by_token = ImpersonationLookup::Token(digest);
    let by = async |by| directory.find_impersonation(&by).await.unwrap();
    assert_eq!(by(by_token).await.as_ref(), Some(&one));
    assert_eq!(
        by(ImpersonationLookup::Id(one.id)).await.as_ref(),
        Some(&one)
    );
    let wrong = ImpersonationDigest::new([0; 32]);
    assert_eq!(by(ImpersonationLookup::Token(wrong)).await, None);
    assert_eq!(
        by(ImpersonationLookup::Id(ImpersonationId::new())).await,
        None
    );

    let before = generation(directory, tenant.id).await;
    let foreign = directory
        .end_impersonation(other.id, one.id, now(), &unattributed())
        .await;
    assert_eq!(foreign.unwrap_err().kind(), StoreErrorKind::NotFound);
    assert_eq!(by(by_token).await.as_ref(), Some(&one), "it goes on");
    let at = now() + minutes(1);
    for later in [at, at + minutes(1)] {
        let ended = directory
            .end_impersonation(tenant.id, one.id, later, &unattributed())
            .await;
        ended.expect("to end what has ended is no error");
        assert_eq!(by(by_token).await.unwrap().ended_at, Some(at));
    }
    assert!(
        generation(directory, tenant.id).await > before,
        "streams hear of it"
    );
    let page = GenerationFeed::changes_since(directory, None).await;
    assert!(page.is_ok());

    let nowhere = impersonation(&mia, TenantId::new(), UserId::new());
    let nowhere = start(directory, &nowhere).await;
    assert_eq!(nowhere.unwrap_err().kind(), StoreErrorKind::NotFound);
    let mut nobodys = impersonation(&mia, tenant.id, UserId::new());
    nobodys.operator = OperatorId::new();
    let nobodys = start(directory, &nobodys).await;
    assert_eq!(nobodys.unwrap_err().kind(), StoreErrorKind::NotFound);
}

/// One of a user in a tenant, and no more than are allowed at once; also where several begin at the same time.
pub async fn an_operator_has_one_impersonation_of_a_user<D>(directory: &D)
where
    D: Directory + DirectoryStore + OperatorStore + ImpersonationStore,
{
    let tenant = new_tenant(directory).await;
    let mia = new_operator(directory, OperatorRole::Support).await;
    let ann = UserId::new();
    let several = (0..4).map(|_| impersonation(&mia, tenant.id, ann));
    let several: Vec<_> = several.collect();
    let begun = several.iter().map(|one| start(directory, one));
    let begun = futures_util::future::join_all(begun).await;
    assert_eq!(begun.iter().filter(|one| one.is_ok()).count(), 1);
    for lost in begun.into_iter().filter_map(Result::err) {
        assert_eq!(lost.kind(), StoreErrorKind::Conflict);
    }
    for number in 0..3 {
        let more = impersonation(&mia, tenant.id, UserId::new());
        let more = start(directory, &more).await;
        assert_eq!(more.is_ok(), number < 2, "three at once");
    }
    // What is over by its time makes room.
    let mut later = impersonation(&mia, tenant.id, ann);
    later.started_at = now() + minutes(30);
    later.until = now() + minutes(60);
    start(directory, &later)
        .await
        .expect("the former ones are over");

    let billing = new_operator(directory, OperatorRole::Billing).await;
    let refused = start(directory, &impersonation(&billing, tenant.id, ann)).await;
    assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::Forbidden);
}

/// One that waits is approved by another operator, once, while it waits.
pub async fn another_operator_approves<D>(directory: &D)
where
    D: Directory + DirectoryStore + OperatorStore + ImpersonationStore,
{
    let (tenant, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let mut mia = new_operator(directory, OperatorRole::Support).await;
    mia.roles.insert(OperatorRole::Security);
    directory.put_operator(&mia, &unattributed()).await.unwrap();
    let mut sam = new_operator(directory, OperatorRole::Security).await;
    let mut one = impersonation(&mia, tenant.id, UserId::new());
    one.needs_approval = true;
    start(directory, &one).await.unwrap();
    let approve = async |tenant, by, at| {
        let record = unattributed();
        let approved = directory.approve_impersonation((tenant, one.id), by, at, &record);
        approved.await.map_err(|error| error.kind())
    };
    let until = one.until;
    assert_eq!(
        approve(tenant.id, mia.id, now()).await,
        Err(StoreErrorKind::Forbidden)
    );
    assert_eq!(
        approve(other.id, sam.id, now()).await,
        Err(StoreErrorKind::NotFound)
    );
    assert_eq!(
        approve(tenant.id, sam.id, until).await,
        Err(StoreErrorKind::Conflict)
    );
    // Nor by another record of the same person, known by the account or by the subject.
    let account = UserId::new();
    mia.user = Some(account);
    directory.put_operator(&mia, &unattributed()).await.unwrap();
    let mut as_user = new_operator(directory, OperatorRole::Security).await;
    as_user.user = Some(account);
    let as_subject = Operator::new(
        format!("{}/other", mia.issuer),
        mia.subject,
        "Mia",
        [OperatorRole::Security],
    );
    for same in [&as_user, &as_subject] {
        directory.put_operator(same, &unattributed()).await.unwrap();
        assert_eq!(
            approve(tenant.id, same.id, now()).await,
            Err(StoreErrorKind::Forbidden)
        );
    }
    // Whoever lost the right since it was looked at approves nothing.
    sam.disabled = true;
    directory.put_operator(&sam, &unattributed()).await.unwrap();
    assert_eq!(
        approve(tenant.id, sam.id, now()).await,
        Err(StoreErrorKind::Forbidden)
    );
    sam.disabled = false;
    directory.put_operator(&sam, &unattributed()).await.unwrap();
    assert_eq!(
        approve(tenant.id, OperatorId::new(), now()).await,
        Err(StoreErrorKind::NotFound)
    );
    assert_eq!(found(directory, one.id).await, one, "it still waits");
    let approved = approve(tenant.id, sam.id, now()).await.unwrap();
    assert_eq!(approved.approved_by, Some(sam.id));
    assert_eq!(approved.state(now()), ImpersonationState::Live);
    assert_eq!(found(directory, one.id).await, approved);
    assert_eq!(
        approve(tenant.id, sam.id, now()).await,
        Err(StoreErrorKind::Conflict)
    );
}

/// Whoever may impersonate no more has none that goes on, in any tenant.
pub async fn impersonations_end_with_the_operators_right<D>(directory: &D)
where
    D: Directory + DirectoryStore + OperatorStore + ImpersonationStore,
{
    let at = now() + minutes(2);
    for disables in [true, false] {
        let (tenant, other) = (new_tenant(directory).await, new_tenant(directory).await);
        let mut mia = new_operator(directory, OperatorRole::Support).await;
        let tom = new_operator(directory, OperatorRole::Support).await;
        let (one, two) = (
            impersonation(&mia, tenant.id, UserId::new()),
            impersonation(&mia, other.id, UserId::new()),
        );
        let toms = impersonation(&tom, tenant.id, UserId::new());
        for begun in [&one, &two, &toms] {
            start(directory, begun).await.unwrap();
        }
        let before = generation(directory, other.id).await;
        mia.name = "Mia again".into();
        directory.put_operator(&mia, &record_at(at)).await.unwrap();
        assert_eq!(
            found(directory, one.id).await.ended_at,
            None,
            "a name ends nothing"
        );
        mia.disabled = disables;
        if !disables {
            mia.roles = [OperatorRole::Billing].into();
        }
        directory.put_operator(&mia, &record_at(at)).await.unwrap();
        for ended in [&one, &two] {
            assert_eq!(found(directory, ended.id).await.ended_at, Some(at));
        }
        assert!(generation(directory, other.id).await > before);
        assert_eq!(
            found(directory, toms.id).await.ended_at,
            None,
            "another's goes on"
        );
    }
}

/// Impersonations of one tenant, and of all, by id in pages.
pub async fn impersonations_are_listed_in_pages<D>(directory: &D)
where
    D: Directory + DirectoryStore + OperatorStore + ImpersonationStore,
{
    let (tenant, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let mut own = Vec::new();
    for number in 0..8 {
        let operator = new_operator(directory, OperatorRole::Support).await;
        let whose = if number % 2 == 0 { tenant.id } else { other.id };
        let one = impersonation(&operator, whose, UserId::new());
        start(directory, &one).await.unwrap();
        own.push(one);
    }
    for of in [Some(tenant.id), None] {
        let mut listed: Vec<Impersonation> = Vec::new();
        loop {
            let after = listed.last().map(|last| last.id);
            let page = directory.list_impersonations(of, after, 3).await.unwrap();
            assert!(page.len() <= 3);
            if page.is_empty() {
                break;
            }
            listed.extend(page);
        }
        listed.retain(|one| own.iter().any(|own| own.id == one.id));
        let want = own
            .iter()
            .filter(|one| of.is_none_or(|of| one.tenant == of));
        assert_eq!(listed, want.cloned().collect::<Vec<_>>());
    }
}

/// A tenant's consent is its own, and to take it back ends what goes on in it.
pub async fn a_tenant_agrees_and_takes_it_back<D>(directory: &D)
where
    D: Directory + DirectoryStore + OperatorStore + ImpersonationStore,
{
    let (tenant, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let mia = new_operator(directory, OperatorRole::Support).await;
    let access = async |of| directory.find_support_access(of).await.unwrap();
    assert_eq!(access(tenant.id).await, None);
    for until in [now() + minutes(60), now() + minutes(5)] {
        for of in [tenant.id, other.id] {
            let granted = directory
                .grant_support_access(of, until, &unattributed())
                .await;
            granted.unwrap();
        }
        assert_eq!(access(tenant.id).await, Some(until));
    }
    let (one, two) = (
        impersonation(&mia, tenant.id, UserId::new()),
        impersonation(&mia, other.id, UserId::new()),
    );
    for begun in [&one, &two] {
        start(directory, begun).await.unwrap();
    }
    let (at, before) = (now() + minutes(1), generation(directory, tenant.id).await);
    for _ in 0..2 {
        let revoked = directory
            .revoke_support_access(tenant.id, at, &unattributed())
            .await;
        revoked.expect("to take back nothing is no error");
    }
    assert_eq!(access(tenant.id).await, None);
    assert_eq!(access(other.id).await, Some(now() + minutes(5)));
    assert_eq!(found(directory, one.id).await.ended_at, Some(at));
    assert_eq!(found(directory, two.id).await.ended_at, None);
    assert!(generation(directory, tenant.id).await > before);

    let nowhere = directory
        .grant_support_access(TenantId::new(), at, &unattributed())
        .await;
    assert_eq!(nowhere.unwrap_err().kind(), StoreErrorKind::NotFound);
    let nowhere = directory
        .revoke_support_access(TenantId::new(), at, &unattributed())
        .await;
    assert_eq!(nowhere.unwrap_err().kind(), StoreErrorKind::NotFound);
}

/// Consent and membership are looked at in the transaction that begins an impersonation, and not only before it.
pub(super) async fn what_an_impersonation_rests_on_is_looked_at_where_it_is_written<D>(
    directory: &D,
) where
    D: Directory + DirectoryStore + OperatorStore + ImpersonationStore,
{
    let (tenant, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let mia = new_operator(directory, OperatorRole::Support).await;
    let one = impersonation(&mia, tenant.id, UserId::new());
    let terms = StartTerms::new(3).on_consent();
    let attempt = async || {
        let begun = begin(directory, &one, terms).await;
        begun.map(|_| ()).map_err(|error| error.kind())
    };
    let agree = async |of, until| {
        let record = unattributed();
        let granted = directory.grant_support_access(of, until, &record).await;
        granted.unwrap();
    };
    let put = async |member: &Membership| {
        let record = unattributed();
        let put = directory.put_membership(member, &RoleSeen::Any, &record);
        put.await.unwrap();
    };
    let forbidden = Err(StoreErrorKind::Forbidden);
    agree(tenant.id, one.until).await;
    assert_eq!(attempt().await, forbidden, "nobody's membership");
    for status in [MembershipStatus::Invited, MembershipStatus::Suspended] {
        let role = SystemRole::Member.name();
        let member = Membership::new(tenant.id, one.user, role).with_status(status);
        put(&member).await;
        assert_eq!(attempt().await, forbidden, "{status:?}");
    }
    let member = Membership::new(tenant.id, one.user, SystemRole::Member.name());
    put(&member).await;

    let record = unattributed();
    let revoked = directory.revoke_support_access(tenant.id, now(), &record);
    revoked.await.unwrap();
    agree(other.id, one.until).await;
    assert_eq!(attempt().await, forbidden, "another tenant's consent");
    agree(tenant.id, now() + minutes(29)).await;
    assert_eq!(attempt().await, forbidden, "consent for less than it lasts");
    let listed = directory.list_impersonations(Some(tenant.id), None, 9);
    assert_eq!(listed.await.unwrap(), []);
    agree(tenant.id, one.until).await;
    assert_eq!(attempt().await, Ok(()));
}
