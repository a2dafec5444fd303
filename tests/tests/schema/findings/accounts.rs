//! What opens a table of accounts is found at start.

use tenancy_tests::notes::{PASSWORD, on_every_server};

use super::{Fault, found, is_found_and_mended};
use crate::{as_owner, logins::Login, refusal};

const FAULTS: [Fault; 11] = [
    Fault::new(
        "row security off",
        "ALTER TABLE users DISABLE ROW LEVEL SECURITY",
        ("accounts-altered", "public.users"),
        "",
    ),
    Fault::new(
        "guard dropped",
        "DROP POLICY tenancy_members_guard ON users",
        ("accounts-altered", "public.users"),
        "",
    ),
    Fault::new(
        "guard altered",
        "ALTER POLICY tenancy_members_guard ON users USING (id IS NOT NULL)",
        ("accounts-altered", "public.users"),
        "",
    ),
    Fault::new(
        "suspended members too",
        "ALTER POLICY tenancy_members ON users USING (id = ANY (ARRAY(SELECT m.user_id
             FROM tenancy.memberships AS m WHERE m.tenant_id = (SELECT tenancy.current_tenant()))))",
        ("accounts-altered", "public.users"),
        "",
    ),
    Fault::new(
        "another owner",
        "ALTER TABLE users OWNER TO CURRENT_USER",
        ("accounts-altered", "public.users"),
        "",
    ),
    Fault::new(
        "written",
        "GRANT INSERT, UPDATE, DELETE ON users TO tenancy_app",
        ("accounts-writable", "public.users"),
        "",
    ),
    Fault::new(
        "written in a column, by everybody",
        "GRANT UPDATE (email) ON users TO PUBLIC",
        ("accounts-writable", "public.users"),
        "",
    ),
    Fault::new(
        "a view of the owner",
        "CREATE VIEW everybody AS SELECT id, email FROM users; ALTER VIEW everybody OWNER TO tenancy_owner;
         GRANT SELECT ON everybody TO tenancy_app",
        ("view-past-guard", "public.everybody"),
        "DROP VIEW everybody",
    ),
    Fault::new(
        "a materialized view",
        "CREATE MATERIALIZED VIEW everybody AS SELECT id FROM users; GRANT SELECT ON everybody TO tenancy_app",
        ("materialized-view", "public.everybody"),
        "DROP MATERIALIZED VIEW everybody",
    ),
    Fault::new(
        "an heir",
        "CREATE TABLE heirs () INHERITS (users); GRANT SELECT ON heirs TO tenancy_app",
        ("accounts-open", "public.heirs"),
        "DROP TABLE heirs",
    ),
    Fault::new(
        "a parent",
        "CREATE TABLE parents (id uuid); ALTER TABLE users ALTER id DROP DEFAULT, INHERIT parents;
         GRANT SELECT (id) ON parents TO PUBLIC",
        ("accounts-open", "public.parents"),
        "ALTER TABLE users NO INHERIT parents; DROP TABLE parents",
    ),
];

#[tokio::test]
async fn what_opens_accounts_is_found_and_its_mend_ends_it() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE users (id uuid PRIMARY KEY, email text);
             SELECT tenancy.share_with_members('users')",
        )
        .await?;
        let app = notes.app_options();
        for fault in &FAULTS {
            is_found_and_mended(notes, "tenancy_app", &app, fault)
                .await
                .map_err(|error| error.context(fault.name))?;
        }
        let left = found(notes, "tenancy_app").await?;
        assert!(left.is_empty(), "{left:#?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_login_that_can_become_the_one_that_manages_accounts_is_refused() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let manager = Login::make(notes, "", "").await?;
        let service = Login::make(
            notes,
            "",
            &format!("GRANT tenancy_app, {} TO {{}}", manager.name),
        )
        .await?;
        as_owner(
            notes,
            &format!(
                "CREATE TABLE users (id uuid PRIMARY KEY, email text);
                 SELECT tenancy.share_with_members('users', managed_by => '{}')",
                manager.name
            ),
        )
        .await?;
        let codes: Vec<_> = found(notes, &service.name)
            .await?
            .iter()
            .map(|one| one.code().to_owned())
            .collect();
        assert_eq!(codes, ["accounts-writable", "reaches-accounts"]);
        let options = notes.database.options_as(&service.name, Some(PASSWORD));
        let (_, told) = super::refusal(notes, options).await?;
        assert!(
            told.contains(&format!("REVOKE {} FROM", manager.name)),
            "{told}"
        );

        notes
            .as_admin(&format!("GRANT {} TO tenancy_app", manager.name))
            .await?;
        let again = format!(
            "SELECT tenancy.share_with_members('users', managed_by => '{}')",
            manager.name
        );
        let said = refusal(as_owner(notes, &again).await);
        assert!(said.contains("a role of its own"), "{said}");
        service.remove(notes).await?;
        manager.remove(notes).await
    })
    .await
}
