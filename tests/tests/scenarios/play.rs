//! Playing scenarios: over both frameworks, with everything compared that came of them.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tenancy_tests::{Framework, Server, Serving, Version};

use crate::{
    logs,
    scenario::{Body, Scenario, Shape, WantedBody},
    wire::{self, Answer, Outgoing},
    world::World,
};

/// Fields that the frameworks' servers write for themselves.
const OF_THE_FRAMEWORK: &[&str] = &["date", "connection", "allow"];

/// Plays every scenario over both frameworks, and compares the answers with each other.
pub(crate) async fn play(scenarios: Vec<Scenario>) -> anyhow::Result<()> {
    let server = Server::start(Version::Default).await?;
    let mut faults = Vec::new();
    let mut answers: BTreeMap<String, Vec<Option<Answer>>> = BTreeMap::new();
    for framework in Framework::ALL {
        let mut world = World::start(&server).await?;
        for shape in Shape::ALL {
            let of_shape = scenarios
                .iter()
                .filter(|scenario| scenario.service == shape);
            let mut service = None;
            for scenario in of_shape {
                let serving = match &mut service {
                    Some(serving) => serving,
                    none => none.insert(world.serve(framework, shape).await?),
                };
                match one(&mut world, serving, scenario).await {
                    Ok(answer) => answers
                        .entry(scenario.name.clone())
                        .or_default()
                        .push(answer),
                    Err(fault) => {
                        faults.push(format!("{framework:?}: {}: {fault:#}", scenario.name))
                    }
                }
            }
            if let Some(service) = service {
                service.stop().await?;
            }
        }
        world.close().await?;
    }
    for (name, answers) in answers {
        if let [axum, actix] = &*answers
            && axum != actix
        {
            faults.push(format!(
                "{name}: axum answers {axum:#?}, actix-web {actix:#?}"
            ));
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n\n"));
    Ok(())
}

/// Plays a scenario; what came back, for the comparison between frameworks.
async fn one(
    world: &mut World,
    service: &Serving,
    scenario: &Scenario,
) -> anyhow::Result<Option<Answer>> {
    world.reset().await?;
    let audited = world.audit_len();
    let logged = logs::mark();
    let answer = if scenario.request.http2 {
        Some(over_http2(world, service, scenario).await?)
    } else {
        wire::send(service.address, &outgoing(world, scenario)?).await?
    };
    let answer = answer.map(comparable);
    let wanted = &scenario.wanted;
    let said = format!("{answer:#?}");
    let as_wanted = match &answer {
        Some(answer) => wanted.status.contains(&answer.status),
        None => wanted.status.is_empty(),
    };
    ensure!(as_wanted, "wanted {:?}, not {said}", wanted.status);
    if let Some(answer) = &answer {
        check_body(answer, &wanted.body).context(said.clone())?;
        for (name, value) in &wanted.fields {
            ensure!(
                answer.list(name).as_deref() == *value,
                "`{name}` is not {value:?} in {said}"
            );
        }
    }
    let audit = world.audited_since(audited);
    let refusal_alone =
        matches!(&*audit, [] | [_]) && audit.iter().all(|entry| entry.starts_with("request.admit"));
    ensure!(
        audit == wanted.audit || (wanted.may_audit && refusal_alone),
        "audited {audit:?}, wanted {:?}",
        wanted.audit
    );
    let rows = world.rows().await?;
    ensure!(
        rows == wanted.rows,
        "rows {rows:?}, wanted {:?}",
        wanted.rows
    );
    let overwritten = world.overwritten().await?;
    ensure!(
        overwritten == wanted.overwritten,
        "overwritten {overwritten:?}, wanted {:?}",
        wanted.overwritten
    );
    let errors = logs::errors_since(logged);
    ensure!(
        errors.is_empty() == wanted.logged.is_empty(),
        "logged {errors:?}, wanted {:?}",
        wanted.logged
    );
    for text in &wanted.logged {
        let named = errors.iter().any(|error| error.contains(text));
        ensure!(named, "`{text}` is not in {errors:?}");
    }
    // The framework's own words about a request that never came to a handler are not compared.
    Ok(answer.filter(|_| !matches!(wanted.body, WantedBody::Any)))
}

pub(crate) fn outgoing(world: &World, scenario: &Scenario) -> anyhow::Result<Outgoing> {
    let request = &scenario.request;
    let mut fields = Vec::new();
    if let Some(host) = request.host {
        fields.push(("host".to_owned(), host.as_bytes().to_vec()));
    }
    if let Some(credential) = request.credential {
        for (name, value) in world.credential(credential)? {
            fields.push((name.to_owned(), value.into_bytes()));
        }
    }
    for (name, value) in &request.fields {
        fields.push(((*name).to_owned(), world.fill(value)));
    }
    let mut body = Vec::new();
    match &request.body {
        Body::Nothing => {}
        Body::Json(value) => {
            body = serde_json::to_vec(value)?;
            fields.push(("content-type".into(), b"application/json".to_vec()));
            fields.push(("content-length".into(), body.len().to_string().into_bytes()));
        }
        Body::Announced(length) => {
            fields.push(("content-type".into(), b"application/json".to_vec()));
            fields.push(("content-length".into(), length.to_string().into_bytes()));
        }
    }
    Ok(Outgoing {
        method: request.method.to_owned(),
        target: String::from_utf8(world.fill(request.target.as_bytes()))?,
        fields,
        body,
    })
}

/// Sends over HTTP/2, where the host is the authority of the target.
async fn over_http2(
    world: &World,
    service: &Serving,
    scenario: &Scenario,
) -> anyhow::Result<Answer> {
    let outgoing = outgoing(world, scenario)?;
    let host = scenario.request.host.context("HTTP/2 needs an authority")?;
    let client = reqwest::Client::builder()
        .no_proxy()
        .http2_prior_knowledge()
        .resolve(host, service.address)
        .build()?;
    let url = format!(
        "http://{host}:{}{}",
        service.address.port(),
        outgoing.target
    );
    let mut request = client.request(outgoing.method.parse()?, url);
    for (name, value) in outgoing.fields {
        if name != "host" && name != "content-length" {
            request = request.header(name, value);
        }
    }
    let response = request.body(outgoing.body).send().await?;
    ensure!(response.version() == reqwest::Version::HTTP_2);
    let mut fields: Vec<(String, String)> = response
        .headers()
        .iter()
        .map(|(name, value)| Ok((name.to_string(), value.to_str()?.to_owned())))
        .collect::<anyhow::Result<_>>()?;
    fields.sort();
    Ok(Answer {
        status: response.status().as_u16(),
        fields,
        body: response.text().await?,
    })
}

fn comparable(mut answer: Answer) -> Answer {
    answer
        .fields
        .retain(|(name, _)| !OF_THE_FRAMEWORK.contains(&name.as_str()));
    answer
}

fn check_body(answer: &Answer, wanted: &WantedBody) -> anyhow::Result<()> {
    match wanted {
        WantedBody::Any => Ok(()),
        WantedBody::Empty => {
            ensure!(answer.body.is_empty(), "a body");
            Ok(())
        }
        WantedBody::Json(value) => {
            let body: Value = serde_json::from_str(&answer.body)?;
            ensure!(body == *value, "wanted {value}");
            Ok(())
        }
        WantedBody::Problem(kind, permission) => {
            let body: Value = serde_json::from_str(&answer.body)?;
            ensure!(
                body["type"] == format!("urn:tenancy:problem:{kind}"),
                "wanted {kind}"
            );
            ensure!(body["status"] == answer.status, "another status");
            ensure!(
                body["permission"].as_str() == *permission,
                "another permission"
            );
            for internal in ["secret", "hunter2", "Tenancy", "layer", "127.0.0.1", "sql"] {
                ensure!(!answer.body.contains(internal), "tells `{internal}`");
            }
            Ok(())
        }
    }
}
