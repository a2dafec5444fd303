//! Keys in PostgreSQL that change while a change of them is being decided on, with each step of the race held still.

use sqlx::Executor as _;
use tenancy_core::{
    Membership, StoreErrorKind, SystemRole, UserId,
    key::NewKey,
    testing::{StoreDirectly as _, service},
};
use tenancy_tests::{logwatch, notes::on_every_server};

use super::{
    admit,
    held::{open, waited_for},
    revocations::engine_with_keys,
};

/// Carol takes a scope away from her key, or hands the key on, while alice, who manages keys, takes another scope away
/// or rotates it on what she has seen: the key stays as carol has left it.
#[tokio::test]
async fn a_key_that_changes_meanwhile_stays_as_it_was_left() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let engine = engine_with_keys(notes)?;
        let keys = engine.keys()?;
        let (acme, carol) = (notes.acme.id, UserId::new());
        let member = Membership::new(acme, carol, SystemRole::Member.name());
        notes.directory.put_membership(&member).await?;
        let dave = Membership::new(acme, UserId::new(), SystemRole::Member.name());
        notes.directory.put_membership(&dave).await?;
        let alice = admit(&engine, notes.alice, "acme").await?;
        let alices = keys.by(alice.authority("tenant:manage")?);
        let carols = admit(&engine, carol, "acme").await?;
        let carols = keys.by(carols.authority("notes:read")?);
        let narrower = "scopes = '{notes:read}'";
        let another = format!("creator = '{}'", dave.user);
        for (meanwhile, rotates) in [
            (narrower, false),
            (&another, false),
            (narrower, true),
            (&another, true),
        ] {
            let scopes: [tenancy_core::Grant; 2] = ["notes:read".parse()?, "notes:write".parse()?];
            let new = NewKey::new(
                acme,
                carol,
                "export",
                [scopes[0].clone(), scopes[1].clone()],
            );
            let issued = keys.by(service()).issue(new).await?;
            logwatch::issued(issued.expose());
            let id = issued.record().id;
            let uuid = id.as_uuid();
            let update = format!("UPDATE tenancy.api_keys SET {meanwhile} WHERE id = '{uuid}'");
            let (mut by_hand, pid) = open(notes, update).await?;
            let decided = async {
                if rotates {
                    let rotated = carols.rotate(acme, id, std::time::Duration::ZERO).await;
                    rotated.map(|new| new.record().clone())
                } else {
                    // Both are there, as far as alice has seen: she adds none.
                    alices.set_scopes(acme, id, scopes).await
                }
            };
            let left = async {
                waited_for(notes, pid).await?;
                by_hand.execute("COMMIT").await?;
                anyhow::Ok(())
            };
            let (decided, left) = tokio::join!(decided, left);
            left?;
            assert_eq!(
                decided.map(|key| key.scopes).unwrap_err().kind(),
                StoreErrorKind::Conflict,
                "{meanwhile}"
            );
            let found = keys.find(acme, id).await?;
            let found = found.ok_or_else(|| anyhow::anyhow!("the key is there"))?;
            let had = issued.record();
            let expected = if meanwhile == narrower {
                1
            } else {
                had.scopes.len()
            };
            assert_eq!((found.scopes.len(), found.successor), (expected, None));
        }
        Ok(())
    })
    .await
}
