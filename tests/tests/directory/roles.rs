//! Stored roles that this version can't read, or that are too many: they seal themselves and nothing else.

use sqlx::{Connection as _, types::Uuid};
use tenancy_core::{Membership, RoleDefinition, UserId, testing::StoreDirectly as _};
use tenancy_tests::notes::{Notes, builder, on_every_server};

use crate::admit;

/// What a member with this role may do, by the names of permissions.
async fn rights(notes: &Notes, role: &str) -> anyhow::Result<Vec<String>> {
    let user = UserId::new();
    let membership = Membership::new(notes.acme.id, user, role.parse()?);
    notes.directory.put_membership(&membership).await?;
    let tenancy = builder(notes.directory.clone())?.build()?;
    let context = admit(&tenancy, user, "acme").await?;
    let names = tenancy.permissions().names(context.permissions());
    Ok(names.map(str::to_owned).collect())
}

/// M5.
#[tokio::test]
async fn a_role_that_can_not_be_read_seals_itself_alone() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let sound = RoleDefinition::new("sound".parse()?).allow("notes:read");
        notes.directory.put_role(notes.acme.id, &sound).await?;
        let heir = RoleDefinition::new("heir".parse()?).include("newer".parse::<tenancy_core::RoleName>()?);
        let mut admin = notes.database.admin().await?;
        for (name, definition) in [
            ("broken", r#"[1, 2]"#),
            ("newer", r#"{"name": "newer", "allow": ["notes:read"], "only_from": ["10.0.0.0/8"]}"#),
            ("other", r#"{"name": "sound", "allow": ["notes:write"]}"#),
            ("No Name", r#"{"name": "No Name"}"#),
        ] {
            let insert = "INSERT INTO tenancy.roles (tenant_id, name, definition) VALUES ($1, $2, $3::jsonb)";
            let insert = sqlx::query(insert).bind(notes.acme.id.as_uuid()).bind(name);
            insert.bind(definition).execute(&mut admin).await?;
        }
        notes.directory.put_role(notes.acme.id, &heir).await?;
        assert_eq!(rights(notes, "sound").await?, ["notes:read"]);
        assert!(rights(notes, "owner").await?.len() > 2);
        for sealed in ["broken", "newer", "other", "heir"] {
            assert!(rights(notes, sealed).await?.is_empty(), "{sealed}");
        }
        Ok(admin.close().await?)
    })
    .await
}

/// M5.
#[tokio::test]
async fn too_many_roles_leave_the_tenant_open() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let mut admin = notes.database.admin().await?;
        let acme: Uuid = notes.acme.id.as_uuid();
        let stored = sqlx::query(
            r#"INSERT INTO tenancy.roles (tenant_id, name, definition)
               SELECT $1, name, jsonb_build_object('name', name, 'allow', jsonb_build_array('notes:read'))
               FROM (SELECT 'role-' || lpad(n::text, 3, '0') FROM generate_series(1, 129) n) AS r (name)"#,
        );
        let stored = stored.bind(acme).execute(&mut admin).await?;
        assert_eq!(stored.rows_affected(), 129);
        assert!(rights(notes, "owner").await?.len() > 2);
        assert_eq!(rights(notes, "role-128").await?, ["notes:read"]);
        assert!(rights(notes, "role-129").await?.is_empty());
        Ok(admin.close().await?)
    })
    .await
}
