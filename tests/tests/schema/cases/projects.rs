//! Rows of a project are seen in its context only.

use sqlx::Executor as _;
use tenancy_core::{Project, TenantRecord, testing::ContextBuilder, testing::StoreDirectly as _};
use tenancy_sqlx::TenantPoolOptions;
use tenancy_tests::notes::{Notes, on_every_server, sqlstate};

use super::{as_tenant, constraints};
use crate::{as_owner, refusal};

async fn project(notes: &Notes, tenant: &TenantRecord, slug: &str) -> anyhow::Result<Project> {
    let project = Project::new(tenant.id, slug.parse()?, slug);
    notes.directory.put_project(&project).await?;
    Ok(project)
}

const TASKS: &str =
    "CREATE TABLE tasks (id int PRIMARY KEY, parent int REFERENCES tasks, body text);
    SELECT tenancy.protect('tasks', project => true)";

#[tokio::test]
async fn a_projects_rows_are_seen_in_its_context_only() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(notes, TASKS).await?;
        let (one, two) = (
            project(notes, &notes.acme, "one").await?,
            project(notes, &notes.acme, "two").await?,
        );
        let foreign = project(notes, &notes.globex, "one").await?;
        let pool = notes.pool(TenantPoolOptions::new()).await?;
        let context = |tenant: &TenantRecord, project: &Project| {
            ContextBuilder::new(&notes.tenancy, tenant.clone())
                .project(project.id)
                .build()
        };
        let contexts = [
            context(&notes.acme, &one),
            context(&notes.acme, &two),
            context(&notes.globex, &foreign),
        ];
        for context in &contexts {
            let db = pool.tenant(context)?;
            sqlx::query("INSERT INTO tasks (id, body) VALUES (1, 'x')")
                .execute(&db)
                .await?;
        }
        assert_eq!(notes.count("tasks", &notes.acme).await?, 2);
        for context in &contexts {
            let db = pool.tenant(context)?;
            assert_eq!(
                sqlx::query("SELECT FROM tasks").fetch_all(&db).await?.len(),
                1
            );
            let done = sqlx::query("UPDATE tasks SET body = 'y'")
                .execute(&db)
                .await?;
            assert_eq!(done.rows_affected(), 1);
            let elsewhere = sqlx::query("INSERT INTO tasks (id, project_id) VALUES (2, $1)")
                .bind(
                    if context.project_id() == Some(two.id) {
                        one.id
                    } else {
                        two.id
                    }
                    .as_uuid(),
                )
                .execute(&db)
                .await;
            assert_eq!(sqlstate(elsewhere), "42501");
        }

        // A member of the tenant without a project: no row, and none to be made.
        let db = pool.tenant(&notes.context(&notes.acme))?;
        assert_eq!(
            sqlx::query("SELECT FROM tasks").fetch_all(&db).await?.len(),
            0
        );
        let insert = sqlx::query("INSERT INTO tasks (id) VALUES (3)")
            .execute(&db)
            .await;
        assert_eq!(sqlstate(insert), "42501");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_owners_view_keeps_projects_apart_too() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(notes, TASKS).await?;
        let one = project(notes, &notes.acme, "one").await?;
        notes
            .as_admin(&format!(
                "INSERT INTO tasks (tenant_id, project_id, id) VALUES ('{}', '{}', 1)",
                notes.acme.id, one.id
            ))
            .await?;
        as_owner(
            notes,
            "CREATE VIEW all_tasks AS SELECT * FROM tasks; SELECT tenancy.share('all_tasks');
             CREATE POLICY open ON tasks USING (true)",
        )
        .await?;
        assert_eq!(as_tenant(notes, &notes.acme, "SELECT 'x' FROM all_tasks").await?.len(), 0);
        let mut app = notes.app().await?;
        let name = format!(
            "SELECT set_config('tenancy.tenant_id', '{}', false), set_config('tenancy.project_id', '{}', false)",
            notes.acme.id, one.id
        );
        app.execute(sqlx::AssertSqlSafe(name)).await?;
        assert_eq!(app.fetch_all("SELECT FROM all_tasks").await?.len(), 1);
        let rows = as_owner(notes, "DO $$ BEGIN ASSERT (SELECT count(*) FROM tasks) = 1; END $$").await;
        rows?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn keys_and_references_hold_within_one_project() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE labels (id int PRIMARY KEY); SELECT tenancy.protect('labels');
             CREATE TABLE tasks (id int PRIMARY KEY, parent int REFERENCES tasks, tenant_id uuid,
                 label int, FOREIGN KEY (tenant_id, label) REFERENCES labels (tenant_id, id));
             CREATE TABLE steps (task int REFERENCES tasks, tenant_id uuid)",
        )
        .await?;
        let said = refusal(as_owner(notes, "SELECT tenancy.protect('tasks', project => true)").await);
        assert!(said.contains("public.steps refers to it and has no project"), "{said}");
        as_owner(
            notes,
            "ALTER TABLE steps ADD project_id uuid; SELECT tenancy.protect('tasks', project => true)",
        )
        .await?;
        let said = refusal(as_owner(notes, "SELECT tenancy.protect('steps')").await);
        assert!(said.contains("whose rows belong to projects"), "{said}");
        as_owner(notes, "SELECT tenancy.protect('steps', project => true)").await?;
        assert_eq!(
            constraints(notes, "tasks").await?,
            "tasks_parent_fkey FOREIGN KEY (tenant_id, project_id, parent) \
             REFERENCES tasks(tenant_id, project_id, id)\n\
             tasks_pkey PRIMARY KEY (tenant_id, project_id, id)\n\
             tasks_tenant_id_label_fkey FOREIGN KEY (tenant_id, label) REFERENCES labels(tenant_id, id)"
        );
        assert_eq!(
            constraints(notes, "steps").await?,
            "steps_task_fkey FOREIGN KEY (tenant_id, project_id, task) \
             REFERENCES tasks(tenant_id, project_id, id)"
        );
        let said = refusal(as_owner(notes, "SELECT tenancy.protect('tasks', project => false)").await);
        assert!(said.contains("its rows belong to projects"), "{said}");
        as_owner(notes, "SELECT tenancy.protect('tasks')").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_table_with_rows_says_which_project_they_are_of_first() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let said =
            refusal(as_owner(notes, "SELECT tenancy.protect('notes', project => true)").await);
        assert!(said.contains("rows that belong to no project"), "{said}");
        Ok(())
    })
    .await
}
