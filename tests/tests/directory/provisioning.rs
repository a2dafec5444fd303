//! Tenants that are made as one, by a process that serves sign-ups and has no operators' login.

use std::time::Duration;

use futures_util::future::{join, join_all};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tenancy_core::{
    Account, ExternalSubject, Provisioned, Provisioning, StoreErrorKind, Tenancy,
    TenantDirectory as _, TenantKey, UserId,
    key::SecretHash,
    outbox::{ClaimRequest, Outbox as _, Start},
    testing::service,
};
use tenancy_sqlx::PgOutbox;
use tenancy_tests::{
    logwatch,
    notes::{Notes, on_every_server, sqlstate},
};

use super::registry::{directory, engine};

fn wanted(slug: &str, owner: UserId) -> anyhow::Result<Provisioning> {
    Ok(Provisioning::new(slug.parse()?, "Initech", owner)
        .plan("trial")
        .project("general".parse()?, "General")
        .external("stripe", slug)
        .domain(format!("{slug}.example").parse()?)
        .first_key("first key", ["notes:read".parse()?]))
}

async fn made(tenancy: &Tenancy, wanted: &Provisioning) -> anyhow::Result<Provisioned> {
    let made = tenancy.admin(service()).provision(wanted).await?;
    if let Some(key) = &made.first_key {
        logwatch::issued_key(key);
    }
    Ok(made)
}

/// How many rows of each table are of no tenant but these two.
async fn others(notes: &Notes) -> anyhow::Result<Vec<(String, i64)>> {
    let mut admin = notes.database.admin().await?;
    let mut found = Vec::new();
    for table in [
        "domains",
        "external_ids",
        "memberships",
        "projects",
        "project_memberships",
        "api_keys",
        "provisionings",
        "outbox_events",
        "audit_entries",
    ] {
        let count = format!("SELECT count(*) FROM tenancy.{table} WHERE tenant_id NOT IN ($1, $2)");
        let count = sqlx::query_scalar(sqlx::AssertSqlSafe(count))
            .bind(notes.acme.id.as_uuid())
            .bind(notes.globex.id.as_uuid());
        found.push((table.to_owned(), count.fetch_one(&mut admin).await?));
    }
    for table in ["tenants", "accounts"] {
        let count = format!("SELECT count(*) FROM tenancy.{table}");
        let count = sqlx::query_scalar(sqlx::AssertSqlSafe(count));
        let count: i64 = count.fetch_one(&mut admin).await?;
        found.push((
            table.to_owned(),
            count - if table == "tenants" { 2 } else { 0 },
        ));
    }
    Ok(found)
}

fn all_zero(found: &[(String, i64)]) -> bool {
    found.iter().all(|(_, count)| *count == 0)
}

#[tokio::test]
async fn a_sign_up_needs_no_operators_login_and_leaves_everybody_else_as_they_were()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        notes.seed(&notes.globex, 3).await?;
        let theirs = notes.count("notes", &notes.globex).await?;
        assert!(theirs > 0);
        let directory = directory(notes).await?;
        let tenancy = engine(&directory)?;
        let hash = SecretHash::from_stored("$argon2id$a-hash");
        let carol = Account::with_password("carol@example.com".parse()?, hash)
            .subject(ExternalSubject::new("https://sso.example", "carol")?);
        let wanted = Provisioning::with_account("initech".parse()?, "Initech", carol.clone())
            .plan("trial")
            .project("general".parse()?, "General")
            .external("stripe", "cus_1")
            .domain("initech.example".parse()?)
            .first_key("first key", ["notes:read".parse()?])
            .idempotency_key("form 1");
        assert!(all_zero(&others(notes).await?));
        let made = made(&tenancy, &wanted).await?;
        let found = others(notes).await?;
        let one_of_each = found.iter().all(|(table, count)| match table.as_str() {
            "outbox_events" => *count == 9,
            _ => *count == 1,
        });
        assert!(one_of_each, "{found:?}");
        let record = directory
            .find_tenant(&TenantKey::Domain("initech.example".parse()?))
            .await?;
        let record = record.ok_or_else(|| anyhow::anyhow!("it is not there"))?;
        assert_eq!(
            (record.id, record.plan.as_deref()),
            (made.tenant, Some("trial"))
        );
        let account = tenancy.accounts(service()).find(made.owner).await?;
        assert_eq!(account.map(|account| account.email), Some(carol.email));
        // Globex's are there, and as they were.
        assert_eq!(notes.count("notes", &notes.globex).await?, theirs);
        assert_eq!(notes.count("tenancy.memberships", &notes.globex).await?, 2);
        directory.close().await;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn of_many_at_once_with_one_key_one_tenant_is_made_and_all_are_told_of_it()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        // Two processes.
        let (one, other) = (directory(notes).await?, directory(notes).await?);
        let engines = [engine(&one)?, engine(&other)?];
        let carol = UserId::new();
        for round in 0..5 {
            let wanted = wanted(&format!("initech-{round}"), carol)?
                .idempotency_key(format!("form {round}"));
            let all = (0..6).map(|number| made(&engines[number % 2], &wanted));
            let all = join_all(all)
                .await
                .into_iter()
                .collect::<Result<Vec<_>, _>>()?;
            let first: Vec<_> = all.iter().filter(|made| !made.replayed).collect();
            assert_eq!(first.len(), 1);
            assert!(all.iter().all(|made| made.tenant == first[0].tenant));
            assert!(
                all.iter()
                    .all(|made| made.first_key.is_some() != made.replayed)
            );
            let found = others(notes).await?;
            let (_, tenants) = found
                .iter()
                .find(|(table, _)| table == "tenants")
                .cloned()
                .unwrap_or_default();
            assert_eq!(tenants, round + 1);
        }
        // With two keys, one has the slug.
        let wanted =
            |key: &str| Ok::<_, anyhow::Error>(wanted("hooli", carol)?.idempotency_key(key));
        let (first, second) = (wanted("a")?, wanted("b")?);
        let (first, second) = join(
            engines[0].admin(service()).provision(&first),
            engines[1].admin(service()).provision(&second),
        )
        .await;
        let taken = match (first, second) {
            (Ok(_), Err(taken)) | (Err(taken), Ok(_)) => taken,
            both => anyhow::bail!("one gets the slug, and not {both:?}"),
        };
        assert_eq!(taken.kind(), StoreErrorKind::Conflict);
        one.close().await;
        other.close().await;
        Ok(())
    })
    .await
}

/// Somebody else is about to take the domain, so that the tenant's row is written and the rest waits.
#[tokio::test]
async fn one_that_is_given_up_in_the_middle_leaves_nothing_and_can_be_repeated()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        let directory = directory(notes).await?;
        let tenancy = engine(&directory)?;
        let wanted = wanted("initech", UserId::new())?.idempotency_key("form 1");
        let mut other = notes.database.admin().await?;
        other.execute("BEGIN").await?;
        sqlx::query(
            "INSERT INTO tenancy.domains (domain, tenant_id) VALUES ('initech.example', $1)",
        )
        .bind(notes.globex.id.as_uuid())
        .execute(&mut other)
        .await?;
        let admin = tenancy.admin(service());
        let making = tokio::spawn({
            let wanted = wanted.clone();
            async move { admin.provision(&wanted).await.map(drop) }
        });
        waits(notes).await?;
        assert!(all_zero(&others(notes).await?), "nobody sees any of it");
        making.abort();
        assert!(making.await.is_err_and(|ended| ended.is_cancelled()));
        other.execute("ROLLBACK").await?;
        // The connection that was left behind is rolled back before it is used again.
        let made = made(&tenancy, &wanted).await?;
        assert!(!made.replayed, "nothing was left");
        let found = others(notes).await?;
        assert!(
            found.iter().all(|(table, count)| *count == 1
                || table == "outbox_events"
                || table == "accounts"),
            "{found:?}"
        );
        other.close().await?;
        directory.close().await;
        Ok(())
    })
    .await
}

/// Waits until a session waits for another one's lock.
async fn waits(notes: &Notes) -> anyhow::Result<()> {
    let mut admin = notes.database.admin().await?;
    let until = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let waiting: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_stat_activity AS a
                 WHERE a.datname = current_database() AND cardinality(pg_blocking_pids(a.pid)) > 0)",
        )
        .fetch_one(&mut admin)
        .await?;
        if waiting {
            return Ok(());
        }
        anyhow::ensure!(tokio::time::Instant::now() < until, "nobody waits");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn consumers_are_told_after_the_commit_and_of_what_was_made_alone() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let directory = directory(notes).await?;
        let tenancy = engine(&directory)?;
        let outbox = PgOutbox::new(&notes.system);
        let mut request = ClaimRequest::new("hooks".parse()?);
        request.start = Start::Now;
        let claim = outbox.claim(&request).await?;
        let claim = claim.ok_or_else(|| anyhow::anyhow!("somebody has the lease"))?;
        // A deferred trigger fails the commit, after everything was written.
        notes
            .as_admin(
                "CREATE FUNCTION public.fails() RETURNS trigger LANGUAGE plpgsql
                     AS $$ BEGIN RAISE EXCEPTION 'refused by a test'; END $$;
                 CREATE CONSTRAINT TRIGGER fails AFTER INSERT ON tenancy.api_keys DEFERRABLE INITIALLY DEFERRED
                     FOR EACH ROW EXECUTE FUNCTION public.fails()",
            )
            .await?;
        let wanted = wanted("initech", UserId::new())?.idempotency_key("form 1");
        let failed = tenancy.admin(service()).provision(&wanted).await;
        assert!(failed.is_err(), "{failed:?}");
        assert!(outbox.next_page(&claim, 10).await?.new.is_empty());
        assert!(all_zero(&others(notes).await?));
        notes.as_admin("DROP FUNCTION public.fails() CASCADE").await?;
        let made = made(&tenancy, &wanted).await?;
        let page = outbox.next_page(&claim, 20).await?.new;
        let whole = page.iter().filter(|event| event.kind == "tenant.provisioned");
        assert_eq!(whole.map(|event| event.tenant).collect::<Vec<_>>(), [Some(made.tenant)]);
        directory.close().await;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day_and_the_tenant_stays() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let directory = directory(notes).await?;
        let tenancy = engine(&directory)?;
        let wanted = wanted("initech", UserId::new())?.idempotency_key("form 1");
        made(&tenancy, &wanted).await?;
        assert!(made(&tenancy, &wanted).await?.replayed);
        let remembered = "SELECT until > now() + interval '23 hours 59 minutes'
            AND until <= now() + interval '24 hours' FROM tenancy.provisionings";
        let mut admin = notes.database.admin().await?;
        let for_a_day: bool = sqlx::query_scalar(remembered).fetch_one(&mut admin).await?;
        assert!(for_a_day);
        admin
            .execute("UPDATE tenancy.provisionings SET until = now()")
            .await?;
        let refused = tenancy.admin(service()).provision(&wanted).await;
        let refused = refused.map(drop).err().map(|error| error.kind());
        assert_eq!(refused, Some(StoreErrorKind::Conflict), "the slug is taken");
        // The next one that comes sweeps it away.
        let next =
            Provisioning::new("hooli".parse()?, "Hooli", UserId::new()).idempotency_key("form 2");
        made(&tenancy, &next).await?;
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM tenancy.provisionings")
            .fetch_one(&mut admin)
            .await?;
        assert_eq!(left, 1);
        admin.close().await?;
        directory.close().await;
        Ok(())
    })
    .await
}

/// What a caller's SQL could reach by the service's login: none of it.
#[tokio::test]
async fn the_services_login_reaches_no_account_no_reset_and_no_key_of_a_sign_up()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        let directory = directory(notes).await?;
        let tenancy = engine(&directory)?;
        let hash = SecretHash::from_stored("$argon2id$a-hash");
        let carol = Account::with_password("carol@example.com".parse()?, hash);
        let wanted = Provisioning::with_account("initech".parse()?, "Initech", carol);
        made(&tenancy, &wanted.idempotency_key("form 1")).await?;
        assert_eq!(others(notes).await?.iter().filter(|(table, count)| table == "accounts" && *count == 1).count(), 1);
        let mut app: PgConnection = notes.app().await?;
        for statement in [
            "SELECT count(*) FROM tenancy.accounts",
            "SELECT count(*) FROM tenancy.account_subjects",
            "SELECT count(*) FROM tenancy.password_resets",
            "SELECT count(*) FROM tenancy.provisionings",
            "SELECT * FROM tenancy.find_account(NULL, 'carol@example.com', NULL, NULL)",
            "SELECT * FROM tenancy.find_password_reset(gen_random_uuid())",
            "SELECT * FROM tenancy.find_provisioning('\\x00')",
            "SELECT tenancy.change_account(gen_random_uuid(), 'mine', false, NULL)",
            "SELECT tenancy.take_tokens_back(gen_random_uuid(), 0)",
        ] {
            assert_eq!(sqlstate(app.execute(statement).await), "42501", "{statement}");
        }
        // The registry login asks for one by name, lists none, and takes nobody's tokens back by itself.
        let options = notes.database.options_as("tenancy_registry", Some(tenancy_tests::notes::PASSWORD));
        let mut registry = PgConnection::connect_with(&options).await?;
        for statement in [
            "SELECT email FROM tenancy.accounts",
            "SELECT key FROM tenancy.provisionings",
            "SELECT email FROM tenancy.password_resets",
            "SELECT tenancy.take_tokens_back(gen_random_uuid(), 0)",
            "SELECT tenancy.record_account_change(gen_random_uuid(), now(), 'system', NULL, NULL, NULL,
                 'tenant.set-plan', 'allowed', NULL, '[]', NULL, NULL, NULL, NULL, '{}', '{}', '{}')",
        ] {
            assert_eq!(sqlstate(registry.execute(statement).await), "42501", "{statement}");
        }
        app.close().await?;
        registry.close().await?;
        directory.close().await;
        Ok(())
    })
    .await
}
