//! An operator becomes alice of acme, works, strays, and is sent away.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Method;
use serde_json::{Value, json};
use tenancy_core::{
    Actor, Admission, Admitted, AuditDirectory as _, AuditEntry, AuditFilter, Operator,
    OperatorRole, Outcome, RouteNeeds, StoreErrorKind, UserId,
    testing::{FakeRequest, service},
};
use tenancy_sqlx::{ErrorKind, TenantPoolOptions, TxOptions};
use tenancy_tests::notes;
use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::frame::coding::CloseCode},
};

use crate::world::{World, field, on_all, status};

/// Only so that a test that fails does not hang.
const FAIL_SAFE: Duration = Duration::from_secs(20);

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

/// How an impersonation ends, and what a request is answered then.
const ENDS: &[(&str, u16)] = &[
    ("time", 401),
    ("leave", 401),
    ("disabled", 401),
    ("consent", 401),
    ("member", 404),
];

/// Ends what goes on, in another process than that of the tenants where it is not by leaving.
async fn end(w: &World, how: &str, token: &str) -> anyhow::Result<()> {
    let (acme, alice) = (w.notes.acme.id, w.notes.alice);
    let console = w.console.admin(service());
    match how {
        "time" => w.clock.advance(30 * MINUTE),
        "leave" => {
            let leave = w.ask("acme", Method::POST, "/leave").bearer_auth(token);
            anyhow::ensure!(status(leave).await? == 200);
        }
        "disabled" => {
            let mut mia = w.mia.clone();
            mia.disabled = true;
            console.put_operator(&mia).await?;
        }
        "consent" => console.revoke_support_access(acme).await?,
        _ => drop(console.suspend_member(acme, alice).await?),
    }
    Ok(())
}

/// Another one can begin.
async fn mend(w: &World) -> anyhow::Result<()> {
    let (acme, alice) = (w.notes.acme.id, w.notes.alice);
    let console = w.console.admin(service());
    console.put_operator(&w.mia).await?;
    let _ = console.resume_member(acme, alice).await;
    w.service.catch_up().await?;
    Ok(())
}

/// Each tenant keeps an owner, so that alice can be suspended.
async fn another_owner(w: &World) -> anyhow::Result<()> {
    let owner = tenancy_core::Membership::new(w.notes.acme.id, UserId::new(), "owner".parse()?);
    Ok(w.console.admin(service()).put_membership(&owner).await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_and_a_socket_end_with_it_in_another_process_too() -> anyhow::Result<()> {
    on_all(async |w| {
        another_owner(w).await?;
        let own = notes::token(w.notes.alice)?;
        for (how, wanted) in ENDS {
            let token = w.become_alice().await?;
            let ask = |method, path: &str| w.ask("acme", method, path).bearer_auth(&token);
            let mut lines = ask(Method::GET, "/events").send().await?;
            assert_eq!(lines.chunk().await?.as_deref(), Some(&b"hello\n"[..]));
            let mut socket = w.socket(&token).await?;
            socket.send("who".into()).await?;
            let who = said(&mut socket).await?.into_text()?;
            assert!(who.contains(&w.mia.id.to_string()), "{who}");
            assert_eq!(status(ask(Method::GET, "/whoami")).await?, 200);
            end(w, how, &token).await?;
            if *how != "member" {
                // Each request asks about the impersonation. A membership is remembered, within the bound.
                assert_eq!(status(ask(Method::GET, "/whoami")).await?, *wanted, "{how}");
            }
            // The clock of the service stands still; what has changed is told to it.
            w.service.catch_up().await?;
            assert_eq!(status(ask(Method::GET, "/whoami")).await?, *wanted, "{how}");
            let last = timeout(FAIL_SAFE, lines.chunk()).await??;
            let ended = format!("ended: {wanted}\n");
            assert_eq!(last.as_deref(), Some(ended.as_bytes()), "{how}");
            let Message::Close(Some(close)) = said(&mut socket).await? else {
                panic!("{how}: the socket goes on");
            };
            assert_eq!(close.code, CloseCode::Policy, "{how}");
            assert!(
                close.reason.starts_with("urn:tenancy:problem:"),
                "{close:?}"
            );
            mend(w).await?;
            if *how == "member" {
                // It has waited for the member, and goes on.
                end(w, "leave", &token).await?;
            }
        }
        // A stream of alice's own goes on when somebody who acted as her has left.
        let token = w.become_alice().await?;
        let mut alices = w.socket(&own).await?;
        end(w, "leave", &token).await?;
        w.service.catch_up().await?;
        alices.send("who".into()).await?;
        assert!(said(&mut alices).await?.is_text());
        Ok(())
    })
    .await
}

async fn said(socket: &mut WebSocketStream<tokio::net::TcpStream>) -> anyhow::Result<Message> {
    let said = timeout(FAIL_SAFE, socket.next()).await?;
    Ok(said.ok_or_else(|| anyhow::anyhow!("the socket is closed"))??)
}

/// What a stream does for its client before it has heard of the end: a strict transaction does not begin.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strict_transaction_does_not_begin_after_the_end() -> anyhow::Result<()> {
    on_all(async |w| {
        another_owner(w).await?;
        let options = w.notes.with_key(TenantPoolOptions::new())?;
        let pool = options
            .connect_with(w.notes.app_options(), &w.service)
            .await?;
        let strict = || TxOptions::new().strict(true);
        for (how, _) in ENDS.iter().filter(|(how, _)| *how != "time") {
            let token = w.become_alice().await?;
            let request = FakeRequest::new("/notes")
                .header("host", "acme.notes.example")
                .bearer(&token);
            let admitted = match w.service.admit(&request, RouteNeeds::tenant()) {
                Admission::Ready(admitted) => admitted?,
                Admission::Pending(pending) => pending.resolve().await?,
            };
            let Admitted::Tenant(context) = admitted else {
                anyhow::bail!("a tenant");
            };
            pool.begin_with(&context, strict()).await?.commit().await?;
            // Not by the service, whose engine would hear of it at once.
            match *how {
                "leave" => {
                    let seen = context.impersonation().map(|seen| seen.id);
                    let id = seen.ok_or_else(|| anyhow::anyhow!("an impersonation"))?;
                    let console = w.console.admin(service());
                    console.end_impersonation(w.notes.acme.id, id).await?;
                }
                how => end(w, how, &token).await?,
            }
            let refused = pool.begin_with(&context, strict()).await.map(drop);
            let refused = refused.expect_err("it has ended");
            assert_eq!(refused.kind(), ErrorKind::TenantChanged, "{how}");
            // Without, it begins until the stream has heard of it.
            pool.begin(&context).await?.commit().await?;
            mend(w).await?;
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
