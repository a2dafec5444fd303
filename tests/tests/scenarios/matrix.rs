//! The leak matrix: every route, asked for one's own tenant, for another's, for none, for a
//! suspended and for an unknown one. What is answered stands in `matrix.golden`.
//!
//! `UPDATE_GOLDEN=1` writes the file anew; read the difference before you commit it.

use std::fmt::Write as _;

use anyhow::ensure;
use tenancy_tests::{Framework, Server, Serving};

use crate::{
    logs, play,
    routes::{AREAS, Handler, Row},
    scenario::{Scenario, Shape, send},
    wire,
    world::World,
};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios/matrix.golden");

/// A column: its name, the tenant that is named, and who asks.
const COLUMNS: &[(&str, Option<&str>, Option<&str>)] = &[
    ("own", Some("acme"), Some("alice")),
    ("other", Some("globex"), Some("alice")),
    ("none", None, Some("alice")),
    ("suspended", Some("asleep"), Some("alice")),
    ("unknown", Some("nowhere"), Some("alice")),
    ("nobody", Some("globex"), None),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_route_tells_one_tenant_about_another() -> anyhow::Result<()> {
    let _playing = logs::playing().await;
    let mut golden = None;
    for server in Server::all().await? {
        for framework in Framework::ALL {
            let mut world = World::start(&server).await?;
            let service = world.serve(framework, Shape::Areas).await?;
            let matrix = matrix(&mut world, &service).await?;
            service.stop().await?;
            world.close().await?;
            if golden.is_none() && std::env::var_os("UPDATE_GOLDEN").is_some() {
                std::fs::write(GOLDEN, &matrix)?;
            }
            let golden = match &golden {
                Some(golden) => golden,
                None => golden.insert(std::fs::read_to_string(GOLDEN)?),
            };
            for (line, want) in matrix.lines().zip(golden.lines()) {
                ensure!(
                    line == want,
                    "{framework:?} answers\n{line}\nand not\n{want}"
                );
            }
            ensure!(
                matrix.lines().count() == golden.lines().count(),
                "{framework:?}: {matrix}"
            );
        }
    }
    Ok(())
}

async fn matrix(world: &mut World, service: &Serving) -> anyhow::Result<String> {
    let mut matrix = String::new();
    for area in AREAS {
        for row in area.rows.iter().filter(|row| row.handler.answers()) {
            write!(matrix, "{}", crate::routes::name(area, row))?;
            for (column, tenant, user) in COLUMNS {
                let Some(scenario) = cell(area.prefix, row, *tenant, *user) else {
                    continue;
                };
                world.reset().await?;
                let answer =
                    wire::send(service.address, &play::outgoing(world, &scenario)?).await?;
                let answer = answer.ok_or_else(|| anyhow::anyhow!("no answer"))?;
                // What `globex` has is there, and is there afterwards as it was.
                ensure!(
                    world.rows().await?.1 == crate::scenario::ROWS.1,
                    "{scenario:?}"
                );
                ensure!(
                    !world.overwritten().await?.contains(&"globex".to_owned()),
                    "{scenario:?}"
                );
                ensure!(
                    !answer.body.contains("globex's note") && answer.body != "5",
                    "{scenario:?} is told {answer:?}"
                );
                let short = serde_json::from_str::<serde_json::Value>(&answer.body)?;
                match short["type"].as_str() {
                    Some(problem) => {
                        let problem = problem.trim_start_matches("urn:tenancy:problem:");
                        write!(matrix, "\n    {column:9} {} {problem}", answer.status)?;
                    }
                    None => write!(matrix, "\n    {column:9} {} {short}", answer.status)?,
                }
            }
            matrix.push('\n');
        }
    }
    Ok(matrix)
}

/// A request for a route in the name of a tenant; the notes that are asked for are `globex`'s.
fn cell(
    prefix: &str,
    row: &Row,
    tenant: Option<&str>,
    user: Option<&'static str>,
) -> Option<Scenario> {
    let target = format!("{prefix}{}", row.path).replace("{id}", "{globex:1}");
    let target = match tenant {
        Some(tenant) => target.replace("{tenant}", tenant),
        None if target.contains("{tenant}") => return None,
        None => target,
    };
    let mut scenario = send(row.method, &target);
    if let Some(tenant) = tenant {
        scenario = scenario.field("x-organization-id", tenant);
    }
    if let Some(user) = user {
        scenario = scenario.by(user);
    }
    if row.handler == Handler::Add {
        scenario = scenario.json(serde_json::json!("a note"));
    }
    Some(scenario)
}
