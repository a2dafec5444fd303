//! `tenancy adopt plan`: from where each table gets its tenant, what is asked, and what needs a hand.

mod data;
mod draft;
mod hands;
mod json;
mod keys;
mod lines;
mod picture;
mod roots;
mod sketch;
mod soft;
mod text;
mod words;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tenancy_core::{
    ConfigError, TenantId,
    document::{Placed, Position},
};
use tenancy_sqlx::schema::TableGraph;
use uuid::Uuid;

use super::{
    answers::Answers,
    decision::{Decisions, Tenants},
};
use crate::{
    arguments::{Administrator, Form, Format},
    connect,
    failure::{Failure, Verdict},
    interrupted::until_interrupted,
    output::Output,
};
use draft::Draft;
use sketch::{Sketch, Who};

/// The file of answers, if none is named and it is there.
const ANSWERS: &str = "tenancy.toml";

/// Plan how a database of one customer becomes one of many: whose each table's rows are, and what has to be decided by hand.
///
/// It changes nothing. The catalog and, where references have to be compared, rows are read in one read-only transaction.
/// Foreign keys say from which row a table gets its tenant. What they leave open is asked, with the lines for tenancy.toml
/// that answer it. When nothing is open, `--out` writes the decisions for `tenancy adopt run`.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes:
  0  the plan is complete
  1  something is asked, or has to be mended first: the lines that answer it are printed, and --out writes nothing
  2  there is no plan: no connection, no right to read, answers that can't be meant

Examples:
  export TENANCY_ADMIN_DATABASE_URL=postgres://postgres@localhost/notes
  tenancy adopt plan
  tenancy adopt plan --root public.organizations --picture plan.svg
  tenancy adopt plan --answers tenancy.toml --out plan.json
  tenancy adopt plan --one-tenant Acme --out plan.json --format json")]
pub(super) struct Plan {
    /// The table whose rows are the tenants, with its schema
    #[arg(long, value_name = "TABLE", conflicts_with = "one_tenant")]
    root: Option<String>,
    /// The whole database is one customer's, of this name
    #[arg(long, value_name = "NAME")]
    one_tenant: Option<String>,
    /// The answers to what was asked; without it tenancy.toml, if it is there
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// Where a complete plan is written as JSON, for `tenancy adopt run`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Where the plan is drawn as SVG
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// How long one look at the rows of a table may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    #[command(flatten)]
    administrator: Administrator,
    #[command(flatten)]
    pub(super) form: Form,
}

impl Plan {
    pub(super) async fn run(self, output: &mut Output) -> Result<Verdict, Failure> {
        let (file, answers) = self.answers()?;
        let named = |error: ConfigError| match &file {
            Some(file) => Failure::Told(format!("{}: {error}", file.display())),
            None => Failure::told(error),
        };
        let mut connection =
            until_interrupted(connect::as_administrator(&self.administrator)).await?;
        let mut transaction = until_interrupted(self.begin(&mut connection)).await?;
        let graph = TableGraph::read(&mut transaction)
            .await
            .map_err(Failure::told)?;
        if graph.tables.is_empty() {
            return Err(Failure::Told(format!(
                "the database `{}` has no table of an application; name another one in the URL",
                graph.database
            )));
        }
        let Some(tenants) = self.tenants(&answers, &graph).map_err(named)? else {
            return self.propose(&graph, output).await;
        };
        let who = match &tenants {
            Tenants::One { .. } => Who::One,
            Tenants::Root { table, key, .. } => Who::Root {
                table: tenancy_sqlx::schema::CatalogName::new(&table.schema, &table.name),
                key: key.clone(),
            },
        };
        let choices = answers.resolve(&graph).map_err(named)?;
        let sketch = Sketch::new(&graph, who, &choices).map_err(named)?;
        let keys = keys::keys(&sketch);
        let known =
            |name: &tenancy_sqlx::schema::CatalogName| keys.iter().any(|key| key.name() == *name);
        if let Some((name, answer)) = choices.keys.iter().find(|(name, _)| !known(name)) {
            let told = format!(
                "`{}` is no key of a tenant's table, and nothing is asked of it; remove the answer",
                name.plain()
            );
            return Err(named(answer.at.error(told)));
        }
        let patience = Duration::from_secs(self.timeout);
        let data =
            until_interrupted(data::look(&mut transaction, &sketch, &keys, patience)).await?;
        transaction.rollback().await.map_err(Failure::told)?;
        // What was read is read; a connection that is not closed well harms nobody.
        let _ = connection.close().await;
        let draft = Draft::new(tenants, sketch, keys, data, &choices);
        self.tell(&draft, &graph, output).await
    }

    async fn tell(
        &self,
        draft: &Draft<'_>,
        graph: &TableGraph,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        if let Some(file) = &self.picture {
            written(file, &picture::svg(draft))?;
        }
        let complete = draft.is_complete();
        if let Some(file) = self.out.as_deref().filter(|_| complete) {
            let decisions = as_json(&draft.decisions(graph))?;
            written(file, &decisions)?;
        }
        let told = match self.form.format {
            Format::Text => output.write(&text::text(draft)).await,
            Format::Json => {
                let objects = json::objects(draft).into_iter();
                let lines = objects.map(|object| format!("{object}\n"));
                output.write(&lines.collect::<String>()).await
            }
        };
        match told.map_err(Failure::from) {
            // The exit code is of the plan, also where nobody reads it to its end.
            Ok(()) | Err(Failure::ClosedPipe) => {}
            Err(failure) => return Err(failure),
        }
        if self.out.is_some() && !complete {
            output.remark("the plan is not complete, and is not written");
        }
        Ok(if complete {
            Verdict::Done
        } else {
            Verdict::Fault
        })
    }

    async fn propose(&self, graph: &TableGraph, output: &mut Output) -> Result<Verdict, Failure> {
        let proposals = roots::proposals(graph);
        let told = match self.form.format {
            Format::Text => text::proposals(&proposals),
            Format::Json => {
                let objects = json::proposals(&proposals).into_iter();
                objects.map(|object| format!("{object}\n")).collect()
            }
        };
        output.write(&told).await?;
        Ok(Verdict::Fault)
    }

    /// The answers, and the file that has them.
    fn answers(&self) -> Result<(Option<PathBuf>, Answers), Failure> {
        let there = Path::new(ANSWERS);
        let file = match &self.answers {
            Some(file) => Some(file.clone()),
            None => there.exists().then(|| there.to_owned()),
        };
        let answers = file.as_deref().map(Answers::in_file).transpose()?;
        Ok((file, answers.unwrap_or_default()))
    }

    /// A transaction that can change nothing and waits for nothing for long.
    async fn begin<'c>(
        &self,
        connection: &'c mut PgConnection,
    ) -> Result<sqlx::Transaction<'c, sqlx::Postgres>, Failure> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let mut transaction = connection.begin_with(begin).await.map_err(Failure::told)?;
        // Rows that row security hides would be missed silently: without it, the statement fails.
        let limits = format!(
            "SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = '{}s'; SET LOCAL row_security = off",
            self.timeout
        );
        let limited = transaction.execute(AssertSqlSafe(limits)).await;
        limited.map_err(Failure::told)?;
        Ok(transaction)
    }

    /// Who the tenants are, as the command line or the answers say.
    fn tenants(
        &self,
        answers: &Answers,
        graph: &TableGraph,
    ) -> Result<Option<Tenants>, ConfigError> {
        let said = |text: &Option<String>| {
            text.as_ref().map(|text| Placed {
                value: text.clone(),
                at: Position::NONE,
            })
        };
        let (root, one) = match (&self.root, &self.one_tenant) {
            (None, None) => (answers.root.clone(), answers.one_tenant.clone()),
            (root, one) => (said(root), said(one)),
        };
        if let Some(root) = root {
            return roots::root(graph, &root).map(Some);
        }
        let Some(name) = one else {
            return Ok(None);
        };
        if name.value.trim().is_empty() {
            return Err(name
                .at
                .error("the tenant's name is empty; give it the name of the customer"));
        }
        let tenant = answers
            .tenant
            .unwrap_or_else(|| id(&graph.database, &name.value));
        Ok(Some(Tenants::One {
            tenant,
            name: name.value,
        }))
    }
}

/// The id of the one tenant of a database: the same in each plan.
fn id(database: &str, name: &str) -> TenantId {
    let of = format!(
        "tenancy adopt {}:{database}{}:{name}",
        database.len(),
        name.len()
    );
    TenantId::from_uuid(Uuid::new_v5(&Uuid::NAMESPACE_URL, of.as_bytes()))
}

fn as_json(decisions: &Decisions) -> Result<String, Failure> {
    let json = serde_json::to_string_pretty(decisions).map_err(Failure::told)?;
    Ok(json + "\n")
}

/// Writes a file, whole or not at all.
fn written(file: &Path, text: &str) -> Result<(), Failure> {
    let named = |error: std::io::Error| Failure::Told(format!("{}: {error}", file.display()));
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = file.with_file_name(name);
    fs::write(&new, text).map_err(named)?;
    fs::rename(&new, file).map_err(named)
}
