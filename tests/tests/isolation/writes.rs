//! Writing: own rows only, and nothing to learn about others' from what fails.

use sqlx::{AssertSqlSafe, Row as _, types::Uuid};
use tenancy_core::TenantRecord;
use tenancy_sqlx::{TenantDb, TenantPoolOptions};
use tenancy_tests::notes::{Notes, on_every_server, sqlstate};

/// The database as `acme` sees it, and the id of one of `globex`'s notes.
async fn acme_and_their_note(notes: &Notes) -> anyhow::Result<(TenantDb, Uuid)> {
    let pool = notes.pool(TenantPoolOptions::new()).await?;
    let theirs = sqlx::query_scalar("SELECT id FROM notes WHERE tenant_id = $1 LIMIT 1")
        .bind(notes.globex.id.as_uuid())
        .fetch_one(&mut notes.database.admin().await?)
        .await?;
    Ok((pool.tenant(&notes.context(&notes.acme))?, theirs))
}

/// How many notes of a tenant say this, past row security.
async fn that_say(notes: &Notes, tenant: &TenantRecord, body: &str) -> anyhow::Result<i64> {
    Ok(
        sqlx::query_scalar("SELECT count(*) FROM notes WHERE tenant_id = $1 AND body = $2")
            .bind(tenant.id.as_uuid())
            .bind(body)
            .fetch_one(&mut notes.database.admin().await?)
            .await?,
    )
}

#[tokio::test]
async fn an_update_without_a_where_changes_own_rows_only() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (acme, _) = acme_and_their_note(notes).await?;
        let done = sqlx::query("UPDATE notes SET body = 'changed'")
            .execute(&acme)
            .await?;

        assert_eq!(done.rows_affected(), 3);
        assert_eq!(that_say(notes, &notes.acme, "changed").await?, 3);
        assert_eq!(that_say(notes, &notes.globex, "changed").await?, 0);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_delete_without_a_where_removes_own_rows_only() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (acme, _) = acme_and_their_note(notes).await?;
        let done = sqlx::query("DELETE FROM notes").execute(&acme).await?;

        assert_eq!(done.rows_affected(), 3);
        assert_eq!(notes.count("notes", &notes.globex).await?, 5);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_insert_fills_in_the_own_tenant_and_may_not_name_another() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (acme, _) = acme_and_their_note(notes).await?;
        let row = sqlx::query("INSERT INTO notes (body) VALUES ('mine') RETURNING tenant_id")
            .fetch_one(&acme)
            .await?;
        assert_eq!(row.get::<Uuid, _>(0), notes.acme.id.as_uuid());

        let foreign = sqlx::query("INSERT INTO notes (tenant_id, body) VALUES ($1, 'theirs')")
            .bind(notes.globex.id.as_uuid())
            .execute(&acme)
            .await;
        assert_eq!(sqlstate(foreign), "42501");
        assert_eq!(notes.count("notes", &notes.globex).await?, 5);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_row_can_not_be_moved_to_another_tenant() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (acme, _) = acme_and_their_note(notes).await?;
        for filter in ["", " WHERE body = 'note 1'"] {
            let sql = format!("UPDATE notes SET tenant_id = $1{filter}");
            let moved = sqlx::query(AssertSqlSafe(sql))
                .bind(notes.globex.id.as_uuid())
                .execute(&acme)
                .await;
            assert_eq!(sqlstate(moved), "42501", "{filter}");
        }
        assert_eq!(notes.count("notes", &notes.acme).await?, 3);
        assert_eq!(notes.count("notes", &notes.globex).await?, 5);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_upsert_with_the_id_of_a_foreign_row_makes_an_own_row() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (acme, theirs) = acme_and_their_note(notes).await?;
        for (body, action) in [
            ("first", "DO UPDATE SET body = EXCLUDED.body"),
            ("second", "DO UPDATE SET body = EXCLUDED.body"),
            ("third", "DO NOTHING"),
        ] {
            let sql = format!(
                "INSERT INTO notes (id, body) VALUES ($1, $2) ON CONFLICT (tenant_id, id) {action}"
            );
            sqlx::query(AssertSqlSafe(sql))
                .bind(theirs)
                .bind(body)
                .execute(&acme)
                .await?;
        }
        assert_eq!(that_say(notes, &notes.acme, "second").await?, 1);
        assert_eq!(notes.count("notes", &notes.acme).await?, 4);

        let foreign = sqlx::query(
            "INSERT INTO notes (tenant_id, id, body) VALUES ($1, $2, 'taken over')
             ON CONFLICT (tenant_id, id) DO UPDATE SET body = EXCLUDED.body",
        );
        let foreign = foreign
            .bind(notes.globex.id.as_uuid())
            .bind(theirs)
            .execute(&acme)
            .await;
        assert_eq!(sqlstate(foreign), "42501");
        assert_eq!(that_say(notes, &notes.globex, "taken over").await?, 0);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_merge_matches_own_rows_only() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (acme, theirs) = acme_and_their_note(notes).await?;
        let update = "MERGE INTO notes AS n USING (VALUES ($1::uuid)) AS v (id) ON n.id = v.id
             WHEN MATCHED THEN UPDATE SET body = 'merged'";
        let done = sqlx::query(update).bind(theirs).execute(&acme).await?;
        assert_eq!(done.rows_affected(), 0);
        assert_eq!(that_say(notes, &notes.globex, "merged").await?, 0);

        let insert = "MERGE INTO notes AS n USING (VALUES ($1::uuid)) AS v (id) ON n.id = v.id
             WHEN MATCHED THEN DELETE
             WHEN NOT MATCHED THEN INSERT (tenant_id, body) VALUES ($2, 'merged')";
        let foreign = sqlx::query(insert)
            .bind(theirs)
            .bind(notes.globex.id.as_uuid())
            .execute(&acme)
            .await;
        assert_eq!(sqlstate(foreign), "42501");
        assert_eq!(notes.count("notes", &notes.globex).await?, 5);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_reference_to_a_foreign_row_fails_like_one_to_a_missing_row() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (acme, _) = acme_and_their_note(notes).await?;
        let theirs: Uuid = sqlx::query_scalar(
            "INSERT INTO notebooks (tenant_id, title) VALUES ($1, 'theirs') RETURNING id",
        )
        .bind(notes.globex.id.as_uuid())
        .fetch_one(&mut notes.database.admin().await?)
        .await?;
        assert_eq!(notes.count("notebooks", &notes.globex).await?, 1);

        let mut told = Vec::new();
        for notebook in [theirs, Uuid::now_v7()] {
            let error = sqlx::query("INSERT INTO notes (body, notebook_id) VALUES ('x', $1)")
                .bind(notebook)
                .execute(&acme)
                .await
                .unwrap_err();
            let said = error.into_database_error().unwrap();
            assert_eq!(said.code().as_deref(), Some("23503"));
            let said = said.downcast_ref::<sqlx::postgres::PgDatabaseError>();
            let hidden = |text: &str| text.replace(&notebook.to_string(), "?");
            told.push((hidden(said.message()), said.detail().map(hidden)));
        }
        assert_eq!(told[0], told[1]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_name_that_another_tenant_has_is_free() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let (acme, _) = acme_and_their_note(notes).await?;
        let pool = acme.pool();
        let globex = pool.tenant(&notes.context(&notes.globex))?;
        let insert = "INSERT INTO notebooks (title) VALUES ('plans')";

        sqlx::query(insert).execute(&globex).await?;
        assert_eq!(notes.count("notebooks", &notes.globex).await?, 1);

        sqlx::query(insert).execute(&acme).await?;
        assert_eq!(sqlstate(sqlx::query(insert).execute(&acme).await), "23505");
        Ok(())
    })
    .await
}
