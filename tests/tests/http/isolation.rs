//! Over HTTP, what is one tenant's does not exist for the other.

use serde_json::{Value, json};
use tenancy_core::{Membership, SystemRole};
use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::{Server, notes::Notes};

use crate::service::Service;

#[tokio::test]
async fn a_note_of_one_tenant_does_not_exist_for_the_other() -> anyhow::Result<()> {
    for server in Server::all().await? {
        let notes = Notes::start(&server).await?;
        let service = Service::start(&notes, TenantPoolOptions::new()).await?;
        let (acme, globex) = (&notes.acme, &notes.globex);
        let written = service
            .send("POST", acme, notes.alice, "/notes", Some(json!("a secret")))
            .await?;
        assert_eq!(written.status, 200, "{}", written.text);
        let path = format!("/notes/{}", written.json().as_str().unwrap_or_default());
        assert_eq!(notes.count("notes", acme).await?, 1);

        let own = service.get(acme, notes.alice, &path).await?;
        assert_eq!(own.json(), json!("a secret"));
        assert_eq!(
            service.get(globex, notes.bob, &path).await?.json(),
            Value::Null
        );
        assert_eq!(
            service.get(globex, notes.bob, "/notes").await?.json(),
            json!([])
        );
        for method in ["PUT", "DELETE"] {
            let changed = service.send(method, globex, notes.bob, &path, None).await?;
            assert_eq!(changed.json(), json!(0), "{method}");
        }
        let still = service.get(acme, notes.alice, &path).await?;
        assert_eq!(still.json(), json!("a secret"));
        // And the same requests of the owner do something.
        assert_eq!(
            service
                .send("PUT", acme, notes.alice, &path, None)
                .await?
                .json(),
            json!(1)
        );
        assert_eq!(
            service
                .send("DELETE", acme, notes.alice, &path, None)
                .await?
                .json(),
            json!(1)
        );
        notes.database.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_token_of_one_tenant_is_refused_at_the_other() -> anyhow::Result<()> {
    let notes = Notes::start(&Server::start(tenancy_tests::Version::Default).await?).await?;
    notes.seed(&notes.globex, 3).await?;
    let service = Service::start(&notes, TenantPoolOptions::new()).await?;
    let own = service.get(&notes.globex, notes.bob, "/notes").await?;
    assert_eq!(own.json().as_array().map(Vec::len), Some(3));
    let refused = service.get(&notes.globex, notes.alice, "/notes").await?;
    assert_eq!(refused.status, 404);
    assert_eq!(
        refused.json()["type"],
        "urn:tenancy:problem:tenant-not-found"
    );
    notes.database.close().await?;
    Ok(())
}

#[tokio::test]
async fn interleaved_tenants_on_a_pool_of_one_never_see_each_other() -> anyhow::Result<()> {
    let notes = Notes::start(&Server::start(tenancy_tests::Version::Default).await?).await?;
    notes.seed(&notes.acme, 2).await?;
    notes.seed(&notes.globex, 3).await?;
    let service = Service::start(&notes, TenantPoolOptions::new().max_connections(1)).await?;
    let ask = async |number: usize| {
        let (tenant, user, own) = match number % 2 {
            0 => (&notes.acme, notes.alice, 2),
            _ => (&notes.globex, notes.bob, 3),
        };
        let answer = service.get(tenant, user, "/notes").await?;
        anyhow::Ok((answer.json().as_array().map(Vec::len), own))
    };
    let answers = futures_util::future::join_all((0..100).map(ask)).await;
    for answer in answers {
        let (seen, own) = answer?;
        assert_eq!(seen, Some(own));
    }
    notes.database.close().await?;
    Ok(())
}

#[tokio::test]
async fn a_guarded_route_wants_its_permission_and_an_error_tells_nothing() -> anyhow::Result<()> {
    let notes = Notes::start(&Server::start(tenancy_tests::Version::Default).await?).await?;
    let service = Service::start(&notes, TenantPoolOptions::new()).await?;
    let viewer = Membership::new(notes.acme.id, notes.bob, SystemRole::Viewer.name());
    notes.tenancy.admin().put_membership(&viewer).await?;
    assert_eq!(
        service.get(&notes.acme, notes.bob, "/notes").await?.status,
        200
    );
    let refused = service
        .send("POST", &notes.acme, notes.bob, "/notes", Some(json!("x")))
        .await?;
    assert_eq!(
        (refused.status, &refused.json()["permission"]),
        (403, &json!("notes:write"))
    );
    assert_eq!(notes.count("notes", &notes.acme).await?, 0);

    let broken = service.get(&notes.acme, notes.alice, "/broken").await?;
    assert_eq!(broken.status, 500);
    assert!(!broken.text.contains("secret"), "{}", broken.text);
    let maybe = service.get(&notes.acme, notes.alice, "/maybe").await?;
    assert_eq!(maybe.text, "acme");
    assert_eq!(service.get_plain("/maybe").await?.text, "nobody");
    notes.database.close().await?;
    Ok(())
}

#[tokio::test]
async fn a_suspended_tenant_is_refused_on_its_next_request() -> anyhow::Result<()> {
    let notes = Notes::start(&Server::start(tenancy_tests::Version::Default).await?).await?;
    let service = Service::start(&notes, TenantPoolOptions::new()).await?;
    for _ in 0..3 {
        assert_eq!(
            service
                .get(&notes.acme, notes.alice, "/notes")
                .await?
                .status,
            200
        );
    }
    notes.tenancy.admin().suspend(notes.acme.id).await?;
    let refused = service.get(&notes.acme, notes.alice, "/notes").await?;
    assert_eq!(refused.status, 403);
    assert_eq!(
        refused.json()["type"],
        "urn:tenancy:problem:tenant-suspended"
    );
    assert_eq!(
        service
            .get(&notes.globex, notes.bob, "/notes")
            .await?
            .status,
        200
    );
    notes.database.close().await?;
    Ok(())
}
