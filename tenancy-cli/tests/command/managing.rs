//! `tenancy tenant`, `member` and `plan`: what operators change, and what they may not.

use anyhow::{Context as _, ensure};
use tenancy_core::{MembershipDirectory as _, TenantDirectory as _, TenantId, TenantKey, UserId};
use tenancy_tests::notes::on_every_server;

use crate::stand::{Stand, written};

const SERVICE: &str = "features = ['sso']\n[permissions]\n'notes:read' = 'viewer'\n'notes:purge' = 'none'\n\
    [meters]\nexports = 'consumed'\n";

const PLANS: &str = "[plans.pro]\npermissions = ['notes:read']\nfeatures = ['sso']\nlimits.exports = { per_month = 100 }\n";

#[tokio::test]
async fn a_tenant_is_made_changed_and_closed() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        let (me, owner) = (stand.admin.id, UserId::new().to_string());
        let create = ["tenant", "create", "initech", "Initech", "--owner", &owner];
        let made = stand
            .run_as(me, &[&create[..], &["--quiet"]].concat())?
            .ends_with(0)?;
        let id = made.out.trim().to_owned();
        let key = TenantKey::id_or_slug(&id)?;
        let find = async || {
            let found = notes.directory.find_tenant(&key).await?;
            found.context("there is no such tenant")
        };
        ensure!(find().await?.slug.to_string() == "initech", "{made:?}");
        let twice = stand.run_as(me, &create)?.ends_with(2)?;
        ensure!(
            twice.err.starts_with("error: ") && twice.err.contains("initech"),
            "{twice:?}"
        );

        stand
            .run_as(me, &["tenant", "rename", "initech", "Initech\u{1b}[2J"])?
            .ends_with(2)?;
        stand
            .run_as(me, &["tenant", "rename", "initech", "Initech & Sons"])?
            .ends_with(0)?;
        stand
            .run_as(me, &["tenant", "set-slug", "initech", "initech-sons"])?
            .ends_with(0)?;
        stand
            .run_as(me, &["tenant", "suspend", &id])?
            .ends_with(0)?;
        let again = stand
            .run_as(me, &["tenant", "suspend", &id])?
            .ends_with(2)?;
        ensure!(again.err.contains("can't go from `suspended`"), "{again:?}");
        stand.run_as(me, &["tenant", "resume", &id])?.ends_with(0)?;
        stand
            .run_as(me, &["tenant", "bind", &id, "--external", "github=4711"])?
            .ends_with(0)?;
        let show = ["tenant", "show", "initech-sons", "--format", "json"];
        let shown = stand.run_as(me, &show)?.ends_with(0)?.json()?;
        ensure!(
            shown[0]["name"] == "Initech & Sons" && shown[0]["status"] == "active",
            "{shown:?}"
        );
        ensure!(shown[0]["names"][0]["provider"] == "github", "{shown:?}");

        // Nobody sits at a terminal here, so nobody can be asked.
        let unasked = stand.run_as(me, &["tenant", "close", &id])?.ends_with(2)?;
        ensure!(unasked.err.contains("--yes"), "{unasked:?}");
        ensure!(find().await?.status.is_served());
        stand
            .run_as(me, &["tenant", "close", &id, "--yes"])?
            .ends_with(0)?;
        ensure!(!find().await?.status.is_served());

        let signed = format!("operator:{me} tenancy-cli allowed ticket 4711");
        for action in [
            "tenant.provision",
            "tenant.rename",
            "tenant.set-slug",
            "tenant.set-status",
        ] {
            let told = stand.told(action).await?;
            ensure!(
                told.iter().any(|one| one.starts_with(&signed)),
                "{action}: {told:?}"
            );
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn tenants_are_listed_and_unknown_ones_are_named() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        let me = stand.admin.id;
        let listed = stand.run_as(me, &["tenant", "list"])?.ends_with(0)?;
        let heads = listed.out.lines().next().unwrap_or_default();
        ensure!(
            heads.starts_with("ID ") && heads.contains("STATUS"),
            "{listed:?}"
        );
        for tenant in [&notes.acme, &notes.globex] {
            ensure!(listed.out.contains(&tenant.id.to_string()), "{listed:?}");
        }
        let slug = notes.acme.slug.to_string();
        let list = ["tenant", "list", "--slug-prefix", &slug, "--format", "json"];
        let one = stand.run_as(me, &list)?.ends_with(0)?.json()?;
        ensure!(one.len() == 1 && one[0]["slug"] == slug.as_str(), "{one:?}");
        let nobody = stand
            .run_as(me, &["tenant", "show", "nobody"])?
            .ends_with(2)?;
        ensure!(
            nobody.err.contains("there is no tenant `nobody`"),
            "{nobody:?}"
        );
        let wrong = stand
            .run_as(me, &["tenant", "show", "No Slug"])?
            .ends_with(2)?;
        ensure!(wrong.err.contains("id or the slug"), "{wrong:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn who_may_not_changes_nothing_and_is_recorded() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        let acme = notes.acme.id.to_string();
        let user = UserId::new().to_string();
        for command in [
            &["tenant", "suspend", &acme][..],
            &["member", "add", &user, "--tenant", &acme, "--role", "owner"],
            &["key", "revoke-all", "--tenant", &acme, "--yes"],
        ] {
            let refused = stand.run_as(stand.billing.id, command)?.ends_with(2)?;
            ensure!(refused.err.contains("has the right"), "{refused:?}");
            let disabled = stand.run_as(stand.disabled.id, command)?.ends_with(2)?;
            ensure!(disabled.err.contains("is disabled"), "{disabled:?}");
            let without = stand
                .run(&[command, &["--reason", "x"][..]].concat())?
                .ends_with(2)?;
            ensure!(without.err.contains("--operator"), "{without:?}");
        }
        let found = notes.directory.find_tenant(&notes.acme.id.into()).await?;
        ensure!(found.is_some_and(|tenant| tenant.status.is_served()));
        ensure!(stand.told("operator.check").await?.len() == 3);
        ensure!(stand.told("operator.authenticate").await?.len() == 3);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn members_come_and_go_but_for_the_last_owner() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        let (me, owner, ann) = (stand.admin.id, UserId::new(), UserId::new());
        let (of, text) = (owner.to_string(), ann.to_string());
        let create = [
            "tenant", "create", "initech", "Initech", "--owner", &of, "--quiet",
        ];
        let made = stand.run_as(me, &create)?.ends_with(0)?;
        let tenant: TenantId = made.out.trim().parse()?;
        let id = tenant.to_string();
        let remove = ["member", "remove", &of, "--tenant", &id];
        let dry = [&remove[..], &["--dry-run", "--format", "json"]].concat();
        let dry = stand.run_as(me, &dry)?.ends_with(0)?.json()?;
        ensure!(dry[0]["is_last_owner"] == true, "{dry:?}");
        let sure = [&remove[..], &["--yes"]].concat();
        let last = stand.run_as(me, &sure)?.ends_with(2)?;
        ensure!(last.err.contains("owner"), "{last:?}");

        let add = [
            "member", "add", &text, "--tenant", "initech", "--role", "viewer",
        ];
        stand.run_as(me, &add)?.ends_with(0)?;
        let change = [
            "member",
            "change-role",
            &text,
            "--tenant",
            &id,
            "--role",
            "owner",
        ];
        stand.run_as(me, &change)?.ends_with(0)?;
        let suspend = ["member", "suspend", &text, "--tenant", &id];
        stand.run_as(me, &suspend)?.ends_with(0)?;
        let list = [
            "member",
            "list",
            "--tenant",
            &id,
            "--status",
            "suspended",
            "--format",
            "json",
        ];
        let listed = stand.run_as(me, &list)?.ends_with(0)?.json()?;
        ensure!(
            listed.len() == 1 && listed[0]["user"] == text.as_str(),
            "{listed:?}"
        );
        let read = stand.told("operator.list").await?;
        ensure!(
            read.iter().any(|one| one.contains("ticket 4711")),
            "{read:?}"
        );
        let resume = ["member", "resume", &text, "--tenant", &id];
        stand.run_as(me, &resume)?.ends_with(0)?;
        stand.run_as(me, &sure)?.ends_with(0)?;
        let directory = &notes.directory;
        ensure!(directory.find_membership(tenant, owner).await?.is_none());
        ensure!(directory.find_membership(tenant, ann).await?.is_some());
        ensure!(
            directory
                .find_membership(notes.acme.id, notes.alice)
                .await?
                .is_some()
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_plan_is_stored_once_and_given() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        let (me, id) = (stand.billing.id, notes.acme.id.to_string());
        let (service, plans) = (stand.file("service.toml"), stand.file("plans.toml"));
        written(&stand.path("service.toml"), SERVICE)?;
        written(&stand.path("plans.toml"), PLANS)?;
        let put = ["plan", "put", &plans, "--service", &service, "--quiet"];
        ensure!(stand.run_as(me, &put)?.ends_with(0)?.out == "pro@1\n");
        ensure!(
            stand.run_as(me, &put)?.ends_with(0)?.out == "pro@1\n",
            "no version without a change"
        );
        written(&stand.path("plans.toml"), &PLANS.replace("100", "200"))?;
        ensure!(stand.run_as(me, &put)?.ends_with(0)?.out == "pro@2\n");

        for (wrong, part) in [
            (PLANS.replace("notes:read", "notes:wirte"), "notes:wirte"),
            (PLANS.replace("per_month", "monthly"), "line 4"),
            (PLANS.replace("exports", "exprots"), "exprots"),
        ] {
            written(&stand.path("plans.toml"), &wrong)?;
            let refused = stand.run_as(me, &put)?.ends_with(2)?;
            ensure!(refused.err.contains(part), "{part}: {refused:?}");
        }
        let listed = stand.run_as(me, &["plan", "list", "pro", "--format", "json"])?;
        ensure!(listed.ends_with(0)?.json()?.len() == 2);
        let shown = stand.run_as(me, &["plan", "show", "pro@1"])?.ends_with(0)?;
        ensure!(
            shown.out.contains("100") && !shown.out.contains("200"),
            "{shown:?}"
        );

        stand
            .run_as(me, &["plan", "assign", "pro@1", "--tenant", &id])?
            .ends_with(0)?;
        let plan = async || {
            let found = notes.directory.find_tenant(&notes.acme.id.into()).await?;
            anyhow::Ok(found.context("acme is gone")?.plan)
        };
        ensure!(plan().await?.as_deref() == Some("pro@1"));
        let unknown = stand
            .run_as(me, &["plan", "assign", "gold", "--tenant", &id])?
            .ends_with(2)?;
        ensure!(unknown.err.contains("--plans"), "{unknown:?}");
        stand
            .run_as(me, &["plan", "assign", "--none", "--tenant", &id])?
            .ends_with(0)?;
        ensure!(plan().await?.is_none());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_limit_of_one_tenant_is_given_and_taken() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        let (me, id) = (stand.billing.id, notes.acme.id.to_string());
        let (service, plans) = (stand.file("service.toml"), stand.file("plans.toml"));
        written(&stand.path("service.toml"), SERVICE)?;
        written(&stand.path("plans.toml"), PLANS)?;
        stand
            .run_as(me, &["plan", "put", &plans, "--service", &service])?
            .ends_with(0)?;
        stand
            .run_as(me, &["plan", "assign", "pro", "--tenant", &id])?
            .ends_with(0)?;
        let of = ["--tenant", &id, "--service", &service];
        let give = |meter, limit| {
            stand.run_as(
                me,
                &[&["quota", "override", meter, limit][..], &of].concat(),
            )
        };
        let other = give("exports", "held = 3")?.ends_with(2)?;
        ensure!(other.err.contains("exports"), "{other:?}");
        let none = give("exprots", "per_month = 3")?.ends_with(2)?;
        ensure!(none.err.contains("exprots"), "{none:?}");
        give("exports", "per_month = 500")?.ends_with(0)?;
        let show = ["quota", "show", "--tenant", &id, "--format", "json"];
        let shown = stand.run_as(me, &show)?.ends_with(0)?.json()?;
        ensure!(
            shown.len() == 1 && shown[0]["definition"]["per_month"] == 500,
            "{shown:?}"
        );
        let globex = notes.globex.id.to_string();
        let others = ["quota", "show", "--tenant", &globex, "--format", "json"];
        ensure!(stand.run_as(me, &others)?.ends_with(0)?.out.is_empty());
        let limit = shown[0]["limit"].as_str().context("no name")?;
        stand
            .run_as(me, &["quota", "clear", limit, "--tenant", &id])?
            .ends_with(0)?;
        ensure!(stand.run_as(me, &show)?.ends_with(0)?.out.is_empty());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn seats_are_counted_where_the_file_names_their_meter() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        let (me, id) = (stand.admin.id, notes.acme.id.to_string());
        let (service, plans) = (stand.file("service.toml"), stand.file("plans.toml"));
        let declared = "seats = 'members'\n[permissions]\n'notes:read' = 'viewer'\n[meters]\nmembers = 'held'\n";
        written(&stand.path("service.toml"), declared)?;
        let plan = "[plans.small]\npermissions = ['notes:read']\nlimits.members = { held = 1 }\n";
        written(&stand.path("plans.toml"), plan)?;
        stand.run_as(me, &["plan", "put", &plans, "--service", &service])?.ends_with(0)?;
        stand.run_as(me, &["plan", "assign", "small", "--tenant", &id])?.ends_with(0)?;
        let list = ["member", "list", "--tenant", &id, "--format", "json"];
        let before = stand.run_as(me, &list)?.ends_with(0)?.json()?.len();
        ensure!(before > 0, "acme has members");
        let user = UserId::new().to_string();
        let add = ["member", "add", &user, "--tenant", &id, "--role", "viewer"];
        let full = stand.run_as(me, &[&add[..], &["--service", &service]].concat())?.ends_with(2)?;
        ensure!(full.err.contains("no room"), "{full:?}");
        ensure!(stand.run_as(me, &list)?.ends_with(0)?.json()?.len() == before);
        stand.run_as(me, &add)?.ends_with(0)?;
        ensure!(stand.run_as(me, &list)?.ends_with(0)?.json()?.len() == before + 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_request_that_is_sent_again_makes_no_second_tenant() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let stand = Stand::new(notes).await?;
        let (me, owner) = (stand.admin.id, UserId::new().to_string());
        let create = [
            "tenant",
            "create",
            "initech",
            "Initech",
            "--owner",
            &owner,
            "--idempotency-key",
            "c-17",
            "--quiet",
        ];
        let made = stand.run_as(me, &create)?.ends_with(0)?;
        ensure!(stand.run_as(me, &create)?.ends_with(0)?.out == made.out);
        let listed = stand
            .run_as(me, &["tenant", "list", "--slug-prefix", "initech"])?
            .ends_with(0)?;
        ensure!(
            listed.out.lines().count() == 2,
            "a head and one tenant: {listed:?}"
        );
        Ok(())
    })
    .await
}
