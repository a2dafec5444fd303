//! The steps of the walk. Each shows what it claims, or ends the demo with an error.

use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tenancy::TenantId;
use tenancy_tests::TestDatabase;

use crate::{
    client::Answer,
    service::{Customer, Service},
    usage,
};

pub(crate) async fn walk(service: &Service, database: &TestDatabase) -> anyhow::Result<()> {
    let Service { acme, globex, .. } = service;
    let (at_acme, at_globex) = (host(acme), host(globex));

    step(1, "Alice of acme writes two notes and reads them");
    for title in ["Launch plan", "Salaries"] {
        let written = acme
            .user
            .post(&at_acme, "/notes", json!({ "title": title }))
            .await?;
        show("alice", &at_acme, "POST /notes", &written);
        ensure!(written.status == 201);
    }
    let notes = acme.user.get(&at_acme, "/notes").await?;
    show("alice", &at_acme, "GET /notes", &notes);
    ensure!(titles(&notes) == ["Launch plan", "Salaries"]);
    claim("both are there");

    step(2, "Bob of globex sees nothing of it");
    let written = globex
        .user
        .post(&at_globex, "/notes", json!({ "title": "Hello" }))
        .await?;
    show("bob", &at_globex, "POST /notes", &written);
    let notes = globex.user.get(&at_globex, "/notes").await?;
    show("bob", &at_globex, "GET /notes", &notes);
    ensure!(titles(&notes) == ["Hello"]);
    claim("the list's SQL has no WHERE: PostgreSQL itself returns the tenant's rows only");
    let rows = count(database, acme.id).await? + count(database, globex.id).await?;
    ensure!(rows == 3, "{rows} rows in the table");
    claim("the table holds 3 rows, as its administrator sees it");

    step(
        3,
        "Alice's token is refused at Bob's host, like a tenant that does not exist",
    );
    let refused = acme.user.get(&at_globex, "/notes").await?;
    show("alice", &at_globex, "GET /notes", &refused);
    let nowhere = acme.user.get("nobody.notes.localhost", "/notes").await?;
    show("alice", "nobody.notes.localhost", "GET /notes", &nowhere);
    ensure!(refused.status == 404 && refused.body == nowhere.body);
    claim("the two answers are the same; the audit trail knows the difference");

    step(
        4,
        "A careless import writes the tenant that the client names",
    );
    let before = count(database, globex.id).await?;
    let row = |tenant: TenantId| json!({ "tenant_id": tenant, "title": "Slipped in" });
    let own = acme
        .user
        .post(&at_acme, "/careless/import", row(acme.id))
        .await?;
    show(
        "alice",
        &at_acme,
        "POST /careless/import (own tenant)",
        &own,
    );
    let foreign = acme
        .user
        .post(&at_acme, "/careless/import", row(globex.id))
        .await?;
    show(
        "alice",
        &at_acme,
        "POST /careless/import (globex)",
        &foreign,
    );
    ensure!(own.status == 201 && foreign.status == 500);
    ensure!(count(database, globex.id).await? == before);
    claim("PostgreSQL refused the row; the answer tells nothing of what it said");

    step(5, "Work that leaves the request keeps its tenant");
    let started = globex.user.post(&at_globex, "/digest", Value::Null).await?;
    show("bob", &at_globex, "POST /digest", &started);
    ensure!(started.status == 202);
    let digest = eventually_digest(globex, &at_globex).await?;
    ensure!(digest == "1 notes so far", "the digest says `{digest}`");
    claim(&format!("the digest of the background task says: {digest}"));

    step(6, "A suspended tenant is refused on its next request");
    let suspend = format!("/operator/tenants/{}/suspend", acme.id);
    let done = service
        .operator
        .post("localhost", &suspend, Value::Null)
        .await?;
    show(
        "operator",
        "localhost",
        "POST /operator/tenants/…/suspend",
        &done,
    );
    let refused = acme.user.get(&at_acme, "/notes").await?;
    show("alice", &at_acme, "GET /notes", &refused);
    ensure!(done.status == 204 && refused.status == 403);
    ensure!(refused.problem() == "urn:tenancy:problem:tenant-suspended");
    let untouched = globex.user.get(&at_globex, "/notes").await?;
    ensure!(untouched.status == 200);
    let activate = suspend.replace("suspend", "activate");
    let done = service
        .operator
        .post("localhost", &activate, Value::Null)
        .await?;
    let back = acme.user.get(&at_acme, "/notes").await?;
    ensure!(done.status == 204 && back.status == 200);
    claim("globex was served meanwhile, and acme is again");

    step(7, "Acme uses up its digests, and globex does not notice");
    // Each process in turn, as behind a load balancer.
    let processes = service.ports.len();
    let digest = async |number| {
        let asked = acme.user.post_to(number, &at_acme, "/digest", Value::Null);
        let answer = asked.await?;
        let process = match processes {
            1 => String::new(),
            _ => format!(" (process {})", number % processes + 1),
        };
        let request = format!("POST /digest{process}");
        show("alice", &at_acme, &request, &answer);
        anyhow::Ok(answer)
    };
    for number in 0..3 {
        ensure!(digest(number).await?.status == 202);
    }
    // However many processes there are, there is nothing left at any of them.
    let mut refused = digest(3).await?;
    for number in 4..3 + processes {
        ensure!(refused.status == 429);
        refused = digest(number).await?;
    }
    ensure!(refused.status == 429);
    let told = |member: &str| refused.body.get(member).and_then(Value::as_u64);
    ensure!(told("limit") == Some(3) && told("used") == Some(3));
    let minutes = told("reset").unwrap_or_default().div_ceil(60);
    ensure!((1..=20).contains(&minutes), "back in {minutes} minutes");
    let reading = acme.user.get(&at_acme, "/notes").await?;
    let started = globex.user.post(&at_globex, "/digest", Value::Null).await?;
    show("bob", &at_globex, "POST /digest", &started);
    ensure!(reading.status == 200 && started.status == 202);
    claim(&format!(
        "the answer says that all 3 are used, and to come again in {minutes} minutes"
    ));
    if processes > 1 {
        claim(&format!(
            "the {processes} processes count together, in Redis: each of them says so"
        ));
    }

    step(
        8,
        "What acme used this month, what it costs, and what it will come to",
    );
    usage::show(database, acme, globex).await?;

    let audited = audited(database).await?;
    ensure!(audited >= 2, "{audited} refusals in the audit trail");
    println!("\nEvery step showed what it claims; {audited} refusals are in the audit trail.\n");
    Ok(())
}

pub(crate) fn host(customer: &Customer) -> String {
    format!("{}.notes.localhost", customer.slug)
}

fn step(number: u8, what: &str) {
    println!("\n{number}. {what}");
}

fn show(who: &str, host: &str, request: &str, answer: &Answer) {
    let told = match &answer.body {
        Value::Null => String::new(),
        Value::Array(_) => format!("  {:?}", titles(answer)),
        note if answer.problem().is_empty() => format!("  {}", title(note)),
        _ => format!("  {}", answer.problem()),
    };
    println!(
        "   {who:<9} {host:<24} {request:<36} {}{told}",
        answer.status
    );
}

pub(crate) fn claim(what: &str) {
    println!("   ✔ {what}");
}

fn title(note: &Value) -> &str {
    note.get("title")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn titles(answer: &Answer) -> Vec<&str> {
    let notes = answer
        .body
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    notes.iter().map(title).collect()
}

/// Counts a tenant's rows as the administrator of the database, past row security.
async fn count(database: &TestDatabase, tenant: TenantId) -> anyhow::Result<i64> {
    let mut admin = database.admin().await?;
    let sql = format!("SELECT count(*) FROM notes WHERE tenant_id = '{tenant}'");
    Ok(sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_one(&mut admin)
        .await?)
}

/// Counts the refusals of authenticated callers; they are written behind the answers.
async fn audited(database: &TestDatabase) -> anyhow::Result<i64> {
    let mut admin = database.admin().await?;
    let mut found = 0;
    for _ in 0..100 {
        found = sqlx::query_scalar(
            "SELECT count(*) FROM tenancy.audit_trail
             WHERE outcome = 'refused' AND actor_kind <> 'unknown'",
        )
        .fetch_one(&mut admin)
        .await?;
        if found >= 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(found)
}

async fn eventually_digest(customer: &Customer, host: &str) -> anyhow::Result<String> {
    for _ in 0..100 {
        let notes = customer.user.get(host, "/notes").await?;
        let all = notes.body.as_array().map(Vec::as_slice).unwrap_or_default();
        if let Some(digest) = all.iter().find(|note| title(note) == "Digest") {
            return Ok(digest
                .get("body")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    anyhow::bail!("the digest was not written")
}
