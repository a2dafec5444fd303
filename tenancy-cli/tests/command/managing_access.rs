//! `tenancy role`, `key` and `invite`: who may do what in a tenant.

use anyhow::{Context as _, ensure};
use tenancy_core::{
    PermissionRegistry, Tenancy, danger,
    key::{ApiKeys, Environment, HmacKeyHasher, IssuedKey, KeyFormat, NewKey, Pepper},
};
use tenancy_tests::notes::{Notes, PEPPER, on_every_server};

use crate::stand::{Stand, written};

const SERVICE: &str = "[permissions]\n'notes:read' = 'viewer'\n'notes:purge' = 'none'\n";

async fn issue(notes: &Notes) -> anyhow::Result<IssuedKey> {
    let hasher = HmacKeyHasher::new(Pepper::new(1, PEPPER)?);
    let format = KeyFormat::new("notes", Environment::Live)?;
    let keys = ApiKeys::new(format, hasher, notes.directory.clone());
    let builder = Tenancy::builder(notes.directory.clone()).established_principals();
    let permissions = PermissionRegistry::builder()
        .permission("notes:read", None)
        .build()?;
    let tenancy = builder.permissions(permissions).keys(keys).build()?;
    let new = NewKey::new(notes.acme.id, notes.alice, "nightly", ["*".parse()?]);
    let by = danger::service("a test needs a key")?;
    Ok(tenancy.keys()?.by(by).issue(new).await?)
}

#[tokio::test]
async fn a_role_is_defined_explained_and_removed() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        let (me, id, alice) = (
            stand.admin.id,
            notes.acme.id.to_string(),
            notes.alice.to_string(),
        );
        let service = stand.file("service.toml");
        written(&stand.path("service.toml"), SERVICE)?;
        let of = ["--tenant", &id, "--service", &service];
        let run = |command: &[&str]| stand.run_as(me, &[command, &of].concat());
        let typo = run(&["role", "define", "purger", "--allow", "notes:prug!"])?.ends_with(2)?;
        ensure!(typo.err.contains("prug!"), "{typo:?}");
        let nothing = run(&["role", "define", "purger", "--allow", "mail:*"])?.ends_with(2)?;
        ensure!(nothing.err.contains("covers no permission"), "{nothing:?}");
        let taken = run(&["role", "define", "owner", "--allow", "notes:purge"])?.ends_with(2)?;
        ensure!(taken.err.contains("owner"), "{taken:?}");
        let define = [
            "role",
            "define",
            "purger",
            "--include",
            "viewer",
            "--allow",
            "notes:purge",
        ];
        run(&define)?.ends_with(0)?;
        let listed = stand
            .run_as(me, &["role", "list", "--tenant", &id])?
            .ends_with(0)?;
        ensure!(
            listed.out.contains("purger  viewer    notes:purge  -"),
            "{listed:?}"
        );

        // Who is a member already is not made one again, whatever the role is, and a role that nobody defined is a slip.
        let add = ["member", "add", &alice, "--tenant", &id, "--role", "purger"];
        let refused = stand.run_as(me, &add)?.ends_with(2)?;
        ensure!(
            refused.err.contains("is a member of `acme` already"),
            "{refused:?}"
        );
        let slip = [
            "member",
            "change-role",
            &alice,
            "--tenant",
            &id,
            "--role",
            "ownr",
        ];
        let refused = stand.run_as(me, &slip)?.ends_with(2)?;
        ensure!(
            refused.err.contains("has no role `ownr`") && refused.err.contains("purger"),
            "{refused:?}"
        );
        let change = [
            "member",
            "change-role",
            &alice,
            "--tenant",
            &id,
            "--role",
            "owner",
        ];
        stand.run_as(me, &change)?.ends_with(0)?;
        let explain = |user, permission| {
            run(&[
                "role",
                "explain",
                user,
                permission,
                "--without-plans",
                "--format",
                "json",
            ])
        };
        let why = explain(&alice, "notes:read")?.ends_with(0)?.json()?;
        ensure!(
            why[0]["is_allowed"] == true && why[0]["decided_by"] == "tenant-role",
            "{why:?}"
        );
        let bob = notes.bob.to_string();
        let why = explain(&bob, "notes:read")?.ends_with(1)?.json()?;
        ensure!(why[0]["decided_by"] == "membership", "{why:?}");

        let remove = ["role", "remove", "purger"];
        ensure!(run(&remove)?.ends_with(2)?.err.contains("--yes"));
        run(&[&remove[..], &["--yes"]].concat())?.ends_with(0)?;
        let listed = stand
            .run_as(me, &["role", "list", "--tenant", &id])?
            .ends_with(0)?;
        ensure!(listed.out.is_empty(), "{listed:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_key_is_switched_off_and_revoked_and_never_shown() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        let (me, id) = (stand.admin.id, notes.acme.id.to_string());
        let issued = issue(notes).await?;
        let key = issued.record().id.to_string();
        let secret = issued.expose().to_owned();
        let list = ["key", "list", "--tenant", &id, "--format", "json"];
        let state = || -> anyhow::Result<String> {
            let listed = stand.run_as(me, &list)?.ends_with(0)?;
            ensure!(!listed.out.contains(&secret), "the text of a key is shown");
            let keys = listed.json()?;
            ensure!(keys.len() == 1 && keys[0]["id"] == key.as_str(), "{keys:?}");
            Ok(keys[0]["state"].as_str().context("no state")?.to_owned())
        };
        ensure!(state()? == "active");
        stand
            .run_as(me, &["key", "disable", &key, "--tenant", &id])?
            .ends_with(0)?;
        ensure!(state()? == "disabled");
        stand
            .run_as(me, &["key", "enable", &key, "--tenant", &id])?
            .ends_with(0)?;
        // Another tenant has no such key.
        let globex = notes.globex.id.to_string();
        let others = ["key", "revoke", &key, "--tenant", &globex, "--yes"];
        stand.run_as(me, &others)?.ends_with(2)?;
        ensure!(state()? == "active");
        let revoke = ["key", "revoke", &key, "--tenant", &id];
        ensure!(
            stand
                .run_as(me, &revoke)?
                .ends_with(2)?
                .err
                .contains("--yes")
        );
        stand
            .run_as(me, &[&revoke[..], &["--yes"]].concat())?
            .ends_with(0)?;
        ensure!(state()? == "revoked");
        let told = stand.told("key.revoke").await?;
        let signed = format!("operator:{me} tenancy-cli allowed ticket 4711");
        ensure!(told.iter().any(|one| one.starts_with(&signed)), "{told:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_address_is_invited_and_the_invitation_withdrawn() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        let (me, id, pepper) = (
            stand.admin.id,
            notes.acme.id.to_string(),
            stand.file("pepper"),
        );
        let send = [
            "invite",
            "send",
            "ann@example.org",
            "--tenant",
            &id,
            "--role",
            "member",
            "--pepper",
            &pepper,
        ];
        let missing = stand.run_as(me, &send)?.ends_with(2)?;
        ensure!(missing.err.contains("the pepper"), "{missing:?}");
        for wrong in [
            "too short",
            "a pepper that ends with a line break, as editors have it\n",
        ] {
            written(&stand.path("pepper"), wrong)?;
            let refused = stand.run_as(me, &send)?.ends_with(2)?;
            ensure!(
                refused.err.contains("the pepper") && !refused.err.contains(wrong),
                "{refused:?}"
            );
        }
        written(&stand.path("pepper"), "a pepper of 32 bytes and a few more")?;
        let sent = stand
            .run_as(me, &[&send[..], &["--quiet"]].concat())?
            .ends_with(0)?;
        let invitation = sent.out.trim().to_owned();
        let twice = stand.run_as(me, &send)?.ends_with(2)?;
        ensure!(twice.err.contains("open"), "{twice:?}");
        let resend = [
            "invite",
            "resend",
            &invitation,
            "--tenant",
            &id,
            "--pepper",
            &pepper,
        ];
        stand.run_as(me, &resend)?.ends_with(0)?;
        let withdraw = ["invite", "withdraw", &invitation, "--yes", "--tenant"];
        let globex = notes.globex.id.to_string();
        stand
            .run_as(me, &[&withdraw[..], &[&globex]].concat())?
            .ends_with(2)?;
        stand
            .run_as(me, &[&withdraw[..], &[&id]].concat())?
            .ends_with(0)?;
        let list = ["invite", "list", "--tenant", &id, "--format", "json"];
        let listed = stand.run_as(me, &list)?.ends_with(0)?.json()?;
        ensure!(
            listed.len() == 1 && listed[0]["state"] == "revoked",
            "{listed:?}"
        );
        ensure!(listed[0]["email"] == "ann@example.org", "{listed:?}");
        Ok(())
    })
    .await
}
