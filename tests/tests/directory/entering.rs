//! A cold admission: one round trip to the database, whoever asks for whatever name.

use std::time::Duration;

use tenancy_core::{
    DomainName, EntryDirectory as _, EntryQuery, Membership, Project, ProjectMembership,
    RoleDefinition, RouteNeeds, SystemRole, Tenancy, TenantId, TenantKey, UserId, conformance,
    testing::FakeRequest,
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
    let admin = notes.tenancy.admin();
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
