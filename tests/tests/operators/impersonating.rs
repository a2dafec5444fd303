//! An operator becomes alice of acme, works, strays, and is sent away.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tenancy_core::{
    Actor, AuditDirectory as _, AuditEntry, AuditFilter, Operator, OperatorRole, Outcome,
    StoreErrorKind, UserId, testing::service,
};
use tenancy_tests::notes;

use crate::world::{World, field, on_all, status};

const MINUTE: Duration = Duration::from_secs(60);

/// What an answer says of an impersonation.
const MARK: &str = "tenancy-impersonation";

fn has_both(w: &World, entry: &AuditEntry) {
    assert_eq!(entry.actor, Some(Actor::Operator(w.mia.id)), "{entry:?}");
    assert_eq!(entry.on_behalf_of, Some(w.notes.alice), "{entry:?}");
    assert_eq!(entry.tenant, Some(w.notes.acme.id), "{entry:?}");
    let credential = entry.credential.as_deref().unwrap_or_default();
    assert!(credential.starts_with("impersonation:"), "{entry:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_as_somebody_else_has_both_names_and_stays_in_one_tenant() -> anyhow::Result<()>
{
    on_all(async |w| {
        let (acme, globex) = (w.notes.acme.id, w.notes.globex.id);
        // Globex exists, and alice belongs to it.
        let member = tenancy_core::Membership::new(globex, w.notes.alice, "owner".parse()?);
        w.console.admin(service()).put_membership(&member).await?;
        let own = notes::token(w.notes.alice)?;
        let alices = w.ask("globex", Method::GET, "/whoami").bearer_auth(&own);
        let alices = alices.send().await?;
        assert_eq!((alices.status().as_u16(), field(&alices, MARK)), (200, ""));

        let token = w.become_alice().await?;
        let begun = &w.trail(acme).await?[0];
        assert_eq!(
            (&*begun.action, begun.outcome),
            ("impersonation.start", Outcome::Allowed)
        );
        assert_eq!(begun.actor, Some(Actor::Operator(w.mia.id)));
        assert_eq!(begun.reason.as_deref(), Some("can't see a note"));

        let ask = |tenant: &str, method: Method, path: &str| {
            w.ask(tenant, method, path).bearer_auth(&token)
        };
        let answer = ask("acme", Method::GET, "/whoami").send().await?;
        let mark = field(&answer, MARK).to_owned();
        assert!(mark.contains(&w.mia.id.to_string()), "{mark}");
        let who: Value = answer.json().await?;
        assert_eq!(who["user"], json!(w.notes.alice));
        assert_eq!(who["actor"], json!(format!("operator:{}", w.mia.id)));
        assert_eq!(who["reason"], json!("can't see a note"));

        assert_eq!(status(ask("acme", Method::POST, "/notes")).await?, 200);
        let trail = w.trail(acme).await?;
        for action in ["note.create", "note.sign"] {
            let entry = trail.iter().find(|entry| entry.action == action);
            has_both(w, entry.expect("the row's entry"));
        }

        // Another tenant in the same request, whoever belongs to it; and no tenant at all.
        assert_eq!(status(ask("globex", Method::GET, "/whoami")).await?, 404);
        let both =
            ask("acme", Method::GET, "/whoami").header("x-organization-id", globex.to_string());
        assert_eq!(status(both).await?, 404);
        assert_eq!(status(ask("www", Method::GET, "/account")).await?, 403);
        // Nesting, members and keys.
        assert_eq!(
            status(ask("acme", Method::GET, "/operators/tenants")).await?,
            401
        );
        for path in ["/members", "/keys"] {
            assert_eq!(
                status(ask("acme", Method::POST, path)).await?,
                403,
                "{path}"
            );
            let refused = w.audit.entries();
            has_both(w, refused.last().expect("an entry"));
            let alices = w.ask("acme", Method::POST, path).bearer_auth(&own);
            assert_eq!(status(alices).await?, 200, "{path} by alice herself");
        }
        assert_eq!(
            w.trail(globex)
                .await?
                .iter()
                .filter(|e| e.on_behalf_of.is_some())
                .count(),
            0
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_it_in_another_process_too() -> anyhow::Result<()> {
    on_all(async |w| {
        for how in ["time", "leave", "disabled"] {
            let token = w.become_alice().await?;
            let ask = |method, path: &str| w.ask("acme", method, path).bearer_auth(&token);
            let mut lines = ask(Method::GET, "/events").send().await?;
            assert_eq!(lines.chunk().await?.as_deref(), Some(&b"hello\n"[..]));
            assert_eq!(status(ask(Method::GET, "/whoami")).await?, 200);
            let mut mia = w.mia.clone();
            match how {
                "time" => {
                    w.clock.advance(30 * MINUTE);
                }
                "leave" => assert_eq!(status(ask(Method::POST, "/leave")).await?, 200),
                _ => {
                    mia.disabled = true;
                    w.console.admin(service()).put_operator(&mia).await?;
                }
            }
            assert_eq!(status(ask(Method::GET, "/whoami")).await?, 401, "{how}");
            // The clock of the service stands still; what has changed is told to it.
            w.service.catch_up().await?;
            let last = tokio::time::timeout(Duration::from_secs(20), lines.chunk()).await??;
            assert_eq!(last.as_deref(), Some(&b"ended: 401\n"[..]), "{how}");
            w.console.admin(service()).put_operator(&w.mia).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_routes_are_for_operators_and_tenants_routes_for_tenants() -> anyhow::Result<()> {
    on_all(async |w| {
        let answer = w.console("/operators/tenants", None)?.send().await?;
        assert_eq!(answer.status().as_u16(), 200);
        assert_eq!(answer.text().await?, "2");
        let all = AuditFilter::new().action("operator.list");
        let entries = w.notes.directory.list_entries(None, &all, None, 10).await?;
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].actor, Some(Actor::Operator(w.mia.id)));
        let console = |token: &str| {
            w.ask("acme", Method::GET, "/operators/tenants")
                .bearer_auth(token)
        };
        let stranger = w.staff(UserId::new())?;
        let mut bodies = Vec::new();
        for token in [notes::token(w.notes.alice)?, stranger, "x".into()] {
            let answer = console(&token).send().await?;
            assert_eq!(answer.status().as_u16(), 401);
            bodies.push(answer.text().await?);
        }
        assert!(
            bodies.iter().all(|body| *body == bodies[0]),
            "one answer for all"
        );
        let staff = w.staff(w.mia.subject)?;
        let tenants = w.ask("acme", Method::GET, "/whoami").bearer_auth(&staff);
        assert_eq!(status(tenants).await?, 401);
        let astray = w.ask("acme", Method::GET, "/astray").bearer_auth(&staff);
        assert_eq!(
            status(astray).await?,
            500,
            "a route without its layer lets nobody in"
        );

        let mut mia = w.mia.clone();
        mia.disabled = true;
        w.console.admin(service()).put_operator(&mia).await?;
        assert_eq!(status(console(&staff)).await?, 401);
        Ok(())
    })
    .await
}

/// Whoever begins at the same time gets one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_operator_becomes_a_user_once() -> anyhow::Result<()> {
    on_all(async |w| {
        let body = json!({ "tenant": w.notes.acme.id, "user": w.notes.alice });
        let asked = (0..4).map(|_| async {
            status(w.console("/operators/impersonate", Some(body.clone()))?).await
        });
        let mut answers = futures_util::future::try_join_all(asked).await?;
        answers.sort_unstable();
        assert_eq!(answers, [200, 409, 409, 409]);
        let tom = Operator::new(
            crate::world::STAFF,
            w.mia.subject,
            "Tom",
            [OperatorRole::Admin],
        );
        let namesake = w.console.admin(service()).put_operator(&tom).await;
        assert_eq!(namesake.unwrap_err().kind(), StoreErrorKind::Conflict);
        Ok(())
    })
    .await
}
