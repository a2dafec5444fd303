//! A cold admission: one round trip to the database, whoever asks for whatever name.

use std::time::Duration;

use tenancy_core::{
    DomainName, EntryDirectory as _, EntryQuery, Membership, Project, ProjectAccess, ProjectId,
    ProjectMembership, RoleDefinition, RouteNeeds, SystemRole, Tenancy, TenantId, TenantKey,
    UserId, conformance, testing::FakeRequest,
};
use tenancy_sqlx::schema::SealWay;
use tenancy_tests::{
    DelayProxy,
    notes::{self, Notes, at_rest, on_every_server_sealed},
};

const HOUR: Duration = Duration::from_secs(3_600);

/// What a request is answered, and how many round trips the directory took for it.
async fn answered(
    tenancy: &Tenancy,
    proxy: &DelayProxy,
    request: &FakeRequest,
    needs: RouteNeeds,
) -> (u16, u64) {
    let before = proxy.round_trips();
    let status = match super::admit_request(tenancy, request, needs).await {
        Ok(_) => 200,
        Err(refusal) => refusal.kind().status(),
    };
    (status, proxy.round_trips() - before)
}

/// A tenant that has all that an admission may have to read.
async fn furnished(notes: &Notes) -> anyhow::Result<(Project, DomainName, UserId)> {
    let admin = notes.tenancy.admin(tenancy_core::testing::service());
    let (acme, carol) = (notes.acme.id, UserId::new());
    let role = RoleDefinition::new("reviewer".parse()?).allow("notes:read");
    admin.put_role(acme, &role).await?;
    let member = Membership::new(acme, carol, "reviewer".parse()?);
    admin.put_membership(&member).await?;
    let project = Project::new(acme, "papers".parse()?, "Papers");
    admin.put_project(&project).await?;
    let viewer = SystemRole::Viewer.name();
    let in_project = ProjectMembership::new(acme, project.id, carol, viewer);
    admin.put_project_membership(&in_project).await?;
    let domain: DomainName = "notes.acme.example".parse()?;
    admin.bind_domain(acme, &domain).await?;
    Ok((project, domain, carol))
}

async fn cold_admissions(seal: Option<SealWay>, by_name: u64) -> anyhow::Result<()> {
    on_every_server_sealed(seal, async |notes| {
        let (project, domain, carol) = furnished(notes).await?;
        let proxy = DelayProxy::for_options(&notes.app_options(), Duration::ZERO)?;
        let through = proxy.reroute(notes.app_options());
        let directory = notes.directory(through, 1).await?;
        let carols = notes::token(carol)?;
        let at = |host: &str| {
            FakeRequest::new("/notes")
                .header("host", host)
                .bearer(&carols)
        };
        let in_project =
            |request: FakeRequest| request.header("x-project-id", project.id.to_string());
        let closed = Project::new(notes.acme.id, "closed".parse()?, "Of few")
            .with_access(ProjectAccess::RoleOnly);
        let admin = notes.tenancy.admin(tenancy_core::testing::service());
        admin.put_project(&closed).await?;
        let in_other =
            |id: ProjectId| at("acme.notes.example").header("x-project-id", id.to_string());
        let header = |id: &str| at("notes.example").header("x-organization-id", id);
        let visitor = FakeRequest::new("/notes").header("host", "acme.notes.example");
        let cases = [
            ("a member by slug", at("acme.notes.example"), 200, by_name),
            ("a member by domain", at(domain.as_str()), 200, by_name),
            ("a member by id", header(&notes.acme.id.to_string()), 200, 1),
            (
                "a member in a project",
                in_project(at("acme.notes.example")),
                200,
                by_name,
            ),
            ("a project by role", in_other(closed.id), 404, by_name),
            (
                "a project of nobody",
                in_other(ProjectId::new()),
                404,
                by_name,
            ),
            ("a stranger", at("globex.notes.example"), 404, by_name),
            (
                "a name that is nobody's",
                at("nobody.notes.example"),
                404,
                by_name,
            ),
            ("a visitor", visitor, 200, by_name),
        ];
        let elsewhere = FakeRequest::new("/notes").header("host", "elsewhere.notes.example");
        for (case, request, status, round_trips) in cases {
            // One that has heard of the directory, and of nobody who is asked for below.
            let tenancy = notes::builder(directory.clone())?
                .poll_interval(HOUR)
                .max_staleness(HOUR * 3)
                .build()?;
            let needs = RouteNeeds::tenant().or_anonymous();
            answered(&tenancy, &proxy, &elsewhere, needs).await;
            tenancy.catch_up().await?;
            at_rest(&directory, 2).await?;
            let first = answered(&tenancy, &proxy, &request, needs).await;
            assert_eq!(first, (status, round_trips), "{case}");
            let again = answered(&tenancy, &proxy, &request, needs).await;
            assert_eq!(again, (status, 0), "{case}, again");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_cold_admission_takes_one_round_trip() -> anyhow::Result<()> {
    cold_admissions(None, 1).await
}

/// A seal is for an id, so that a name is resolved first.
#[tokio::test]
async fn where_sessions_are_sealed_a_name_takes_a_second() -> anyhow::Result<()> {
    cold_admissions(Some(SealWay::Parameter), 2).await?;
    cold_admissions(Some(SealWay::Row), 2).await
}

#[tokio::test]
async fn a_sealed_directory_tells_the_same() -> anyhow::Result<()> {
    for way in [SealWay::Parameter, SealWay::Row] {
        on_every_server_sealed(Some(way), async |notes| {
            conformance::entering_tells_what_single_questions_tell(&notes.directory).await;
            conformance::entering_tells_a_stranger_nothing(&notes.directory).await;
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// Nothing of one entering is left for the next on the same connection: neither a name nor what could be
/// put into one.
#[tokio::test]
async fn nothing_is_left_in_the_session() -> anyhow::Result<()> {
    on_every_server_sealed(None, async |notes| {
        let directory = notes.directory(notes.app_options(), 1).await?;
        let odd = "x'); SELECT set_config('tenancy.tenant_id', 'evil', false); --\\";
        let nobody = TenantId::new();
        for name in [
            TenantKey::from(notes.acme.id),
            notes.globex.slug.clone().into(),
            TenantKey::External {
                provider: odd.into(),
                id: odd.into(),
            },
        ] {
            let query = EntryQuery::new(name, Some(notes.alice), nobody);
            directory.find_entry(&query).await?;
            let idle: Vec<(String,)> = sqlx::query_as(
                "SELECT state FROM pg_stat_activity
                 WHERE datname = current_database() AND usename = 'tenancy_app'
                     AND state LIKE 'idle in transaction%'",
            )
            .fetch_all(&mut notes.database.admin().await?)
            .await?;
            assert_eq!(idle, []);
        }
        Ok(())
    })
    .await
}

/// A stranger names two tenants, of which the first is nobody's. Whether the second is one costs the same.
#[tokio::test]
async fn a_second_name_costs_the_same_whoever_has_it() -> anyhow::Result<()> {
    on_every_server_sealed(None, async |notes| {
        let proxy = DelayProxy::for_options(&notes.app_options(), Duration::ZERO)?;
        let through = proxy.reroute(notes.app_options());
        let directory = notes.directory(through, 1).await?;
        let token = notes::token(UserId::new())?;
        let mut cost = Vec::new();
        for second in ["nobodys", "globex"] {
            let tenancy = notes::builder(directory.clone())?
                .poll_interval(HOUR)
                .max_staleness(HOUR * 3)
                .build()?;
            let at = |host: &str| {
                FakeRequest::new("/notes")
                    .header("host", host)
                    .bearer(&token)
            };
            let needs = RouteNeeds::tenant();
            answered(&tenancy, &proxy, &at("elsewhere.notes.example"), needs).await;
            tenancy.catch_up().await?;
            at_rest(&directory, 2).await?;
            let request = at("nobody.notes.example").header("x-organization-id", second);
            cost.push((second, answered(&tenancy, &proxy, &request, needs).await));
            at_rest(&directory, 2).await?;
        }
        let [(_, unknown), (_, foreign)] = cost[..] else {
            anyhow::bail!("two requests");
        };
        assert_eq!(unknown, foreign, "{cost:?}");
        Ok(())
    })
    .await
}

/// A tenant's roles are read a moment after the membership. Who loses the membership in between must not
/// make the tenant look as if it had no roles: that is remembered for its other members.
#[tokio::test]
async fn roles_are_told_as_of_the_membership() -> anyhow::Result<()> {
    use sqlx::Connection as _;
    on_every_server_sealed(None, async |notes| {
        let (_, _, carol) = furnished(notes).await?;
        let mut holder = notes.database.admin().await?;
        let mut held = holder.begin().await?;
        sqlx::query("LOCK TABLE tenancy.roles IN ACCESS EXCLUSIVE MODE")
            .execute(&mut *held)
            .await?;
        let query = EntryQuery::new(notes.acme.slug.clone().into(), Some(carol), TenantId::new());
        let leaving = async {
            // Until the question has come as far as the roles.
            loop {
                let waiting: i64 = sqlx::query_scalar(
                    "SELECT count(*) FROM pg_locks
                 WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())
                     AND NOT granted
                     AND relation = 'tenancy.roles'::regclass",
                )
                .fetch_one(&mut notes.database.admin().await?)
                .await?;
                if waiting > 0 {
                    break;
                }
                tokio::task::yield_now().await;
            }
            notes
                .as_admin(&format!(
                    "UPDATE tenancy.memberships SET status = 'suspended' WHERE user_id = '{carol}'"
                ))
                .await?;
            held.commit().await?;
            anyhow::Ok(())
        };
        let (entry, left) = tokio::join!(notes.directory.find_entry(&query), leaving);
        left?;
        let entry = entry?;
        let is_active = entry
            .membership
            .is_some_and(|m| m.status == tenancy_core::MembershipStatus::Active);
        let roles = entry.roles.map(|roles| roles.len());
        assert!(
            matches!((is_active, roles), (true, Some(1)) | (false, None)),
            "an active member: {is_active}, the tenant's own roles: {roles:?}"
        );
        Ok(())
    })
    .await
}

/// Names are found whatever the login's sessions take for an escape in a literal.
#[tokio::test]
async fn names_are_found_where_literals_have_escapes() -> anyhow::Result<()> {
    on_every_server_sealed(None, async |notes| {
        let off = notes
            .app_options()
            .options([("standard_conforming_strings", "off")]);
        let directory = notes.directory(off, 1).await?;
        let query = EntryQuery::new(
            notes.acme.slug.clone().into(),
            Some(notes.alice),
            TenantId::new(),
        );
        let entry = directory.find_entry(&query).await?;
        assert_eq!(entry.tenant.map(|tenant| tenant.id), Some(notes.acme.id));
        Ok(())
    })
    .await
}

/// A question that waits for a lock for longer than its caller is slow, and the database is not out of reach for
/// that: other questions are still answered.
#[tokio::test]
async fn a_question_that_waits_for_locks_closes_the_directory_to_nobody() -> anyhow::Result<()> {
    use sqlx::Connection as _;
    use tenancy_core::TenantDirectory as _;
    on_every_server_sealed(None, async |notes| {
        let mut holders = Vec::new();
        for _ in 0..2 {
            holders.push(notes.database.admin().await?);
        }
        let [first, second] = &mut holders[..] else {
            anyhow::bail!("two connections");
        };
        let mut first = first.begin().await?;
        sqlx::query("LOCK TABLE tenancy.memberships IN ACCESS EXCLUSIVE MODE")
            .execute(&mut *first)
            .await?;
        let mut second = second.begin().await?;
        sqlx::query("LOCK TABLE tenancy.roles IN ACCESS EXCLUSIVE MODE")
            .execute(&mut *second)
            .await?;
        let (acme, nobody) = (notes.acme.slug.clone(), TenantId::new());
        let query = EntryQuery::new(acme.into(), Some(notes.alice), nobody);
        // Each lock is held for less than the limit of a lock, and both for longer than a caller waits.
        let releasing = async {
            waits_for(notes, "tenancy.memberships").await?;
            tokio::time::sleep(Duration::from_millis(2_700)).await;
            first.commit().await?;
            anyhow::Ok(())
        };
        let (entry, released) = tokio::join!(notes.directory.find_entry(&query), releasing);
        released?;
        assert!(entry.is_err(), "it waits for the roles");
        let another = notes.directory.find_tenant(&notes.globex.id.into()).await;
        second.commit().await?;
        assert!(another.is_ok(), "{another:?}");
        Ok(())
    })
    .await
}

/// Returns when a session waits for this table.
async fn waits_for(notes: &Notes, table: &str) -> anyhow::Result<()> {
    loop {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_locks
                 WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())
                     AND NOT granted AND relation = $1::regclass",
        )
        .bind(table)
        .fetch_one(&mut notes.database.admin().await?)
        .await?;
        if waiting > 0 {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
}

/// To a stranger, and to whose credential does not reach the tenant, its record is told without what may be large;
/// to a member, and on a route for visitors, as it is.
#[tokio::test]
async fn a_stranger_is_not_told_what_a_record_has() -> anyhow::Result<()> {
    on_every_server_sealed(None, async |notes| {
        notes
            .as_admin(
                "UPDATE tenancy.tenants SET plan = 'gold', settings = '{\"large\": true}' \
                 WHERE slug = 'globex'",
            )
            .await?;
        let about = |user| EntryQuery::new(notes.globex.slug.clone().into(), user, TenantId::new());
        let elsewhere = Some(TenantKey::from(notes.acme.id));
        let here = Some(TenantKey::from(notes.globex.slug.clone()));
        let (alice, bob) = (Some(notes.alice), Some(notes.bob));
        let cases = [
            ("a member", about(bob), true),
            (
                "a member, by a credential of this tenant",
                about(bob).confined_to(here),
                true,
            ),
            ("a visitor", about(None), true),
            (
                "a stranger where visitors are welcome",
                about(alice).for_visitors(true),
                true,
            ),
            ("a stranger", about(alice), false),
            (
                "a member, by a credential of another",
                about(bob).confined_to(elsewhere.clone()),
                false,
            ),
            (
                "a service of another",
                about(None).confined_to(elsewhere),
                false,
            ),
        ];
        for (who, query, is_told) in cases {
            let entry = notes.directory.find_entry(&query).await?;
            let found = entry.tenant.ok_or_else(|| anyhow::anyhow!("{who}"))?;
            assert_eq!(
                (found.id, &found.slug),
                (notes.globex.id, &notes.globex.slug)
            );
            let told = (
                !found.name.is_empty(),
                found.plan.is_some(),
                found.settings.as_json() != &serde_json::json!({}),
            );
            assert_eq!(told, (is_told, is_told, is_told), "{who}");
            let is_member = who.starts_with("a member") && is_told;
            assert_eq!(
                (entry.membership.is_some(), entry.roles.is_some()),
                (is_member, is_member),
                "{who}"
            );
        }
        Ok(())
    })
    .await
}

/// The same for whose credential names the tenant by its id, as keys do, and many issuers' tokens.
#[tokio::test]
async fn a_cold_admission_by_a_bound_credential_takes_one_round_trip() -> anyhow::Result<()> {
    use tenancy_core::jwt::{Algorithm, JwtAuthenticator, VerificationKey};
    on_every_server_sealed(None, async |notes| {
        let proxy = DelayProxy::for_options(&notes.app_options(), Duration::ZERO)?;
        let through = proxy.reroute(notes.app_options());
        let directory = notes.directory(through, 1).await?;
        let key = VerificationKey::hmac(Algorithm::HS256, notes::SECRET)?;
        let request = FakeRequest::new("/notes")
            .header("host", "acme.notes.example")
            .bearer(&notes::token(notes.alice)?);
        let mut told = Vec::new();
        // The first engine prepares the directory's statements.
        for _ in 0..3 {
            let bound = JwtAuthenticator::builder(notes::ISSUER, notes::AUDIENCE)
                .key(key.clone())
                .bound_to(notes.acme.id)
                .build()?;
            let tenancy = Tenancy::builder(directory.clone())
                .identification(notes::identification())
                .permissions(notes::permissions()?)
                .authenticator(bound)
                .poll_interval(HOUR)
                .max_staleness(HOUR * 3)
                .build()?;
            // Of nobody, so that no poll is due below.
            let elsewhere = FakeRequest::new("/notes").header("host", "elsewhere.notes.example");
            let needs = RouteNeeds::tenant().or_anonymous();
            answered(&tenancy, &proxy, &elsewhere, needs).await;
            tenancy.catch_up().await?;
            at_rest(&directory, 2).await?;
            told.push(answered(&tenancy, &proxy, &request, RouteNeeds::tenant()).await);
            at_rest(&directory, 2).await?;
        }
        assert_eq!(told, [(200, 1); 3]);
        Ok(())
    })
    .await
}

/// Callers who leave while the database is slow leave no more sessions behind than the directory may have.
#[tokio::test]
async fn callers_who_leave_do_not_multiply_sessions() -> anyhow::Result<()> {
    use sqlx::Connection as _;
    use tenancy_core::MembershipDirectory as _;
    on_every_server_sealed(None, async |notes| {
        let mut holder = notes.database.admin().await?;
        let mut watcher = notes.database.admin().await?;
        let query = EntryQuery::new(
            notes.acme.slug.clone().into(),
            Some(notes.alice),
            TenantId::new(),
        );
        let mut counted = Vec::new();
        for way in ["one by one", "in one question"] {
            let directory = notes.directory(notes.app_options(), 1).await?;
            let mut held = holder.begin().await?;
            sqlx::query("LOCK TABLE tenancy.memberships IN ACCESS EXCLUSIVE MODE")
                .execute(&mut *held)
                .await?;
            let mut most = 0_i64;
            for _ in 0..8 {
                let before = most;
                let watching = async {
                    for _ in 0..200 {
                        let waiting: i64 = sqlx::query_scalar(
                            "SELECT count(*) FROM pg_locks
                 WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database())
                     AND NOT granted
                         AND relation = 'tenancy.memberships'::regclass",
                        )
                        .fetch_one(&mut watcher)
                        .await?;
                        most = most.max(waiting);
                        if waiting > before {
                            break;
                        }
                        tokio::task::yield_now().await;
                    }
                    anyhow::Ok(())
                };
                if way == "one by one" {
                    tokio::select! {
                        _ = directory.find_membership(notes.acme.id, notes.alice) => {}
                        watched = watching => watched?,
                    }
                } else {
                    tokio::select! {
                        _ = directory.find_entry(&query) => {}
                        watched = watching => watched?,
                    }
                }
            }
            counted.push((way, most));
            held.commit().await?;
            directory.close().await;
        }
        assert!(
            counted.iter().all(|(_, most)| *most <= 1),
            "sessions of a directory that may have one: {counted:?}"
        );
        Ok(())
    })
    .await
}
