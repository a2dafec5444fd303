//! How long entries are kept: what the plans say, from a file and from the database.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;
use tenancy_core::{
    Admin, PlanBook, PlanDefinition, PlanDirectory as _, PlanVersion, Retention, TenantFilter,
};

use crate::{connect::Session, failure::Failure};

/// How many tenants are listed at once.
const PAGE: u32 = 500;

/// Reads `90`, `90 days` or `for good`.
pub(super) fn retention(text: &str) -> Result<Retention, &'static str> {
    if text == "for good" {
        return Ok(Retention::ForGood);
    }
    let days = text
        .strip_suffix(" days")
        .or_else(|| text.strip_suffix(" day"));
    match days.unwrap_or(text).parse() {
        Ok(days) if days > 0 => Ok(Retention::Days(days)),
        _ => Err("expected a number of days, such as `400` or `400 days`, or `for good`"),
    }
}

/// The plans on which there are tenants, each with what it says of the trail and nothing else: this program knows neither
/// the permissions nor the meters of the service.
///
/// # Errors
/// A [`Failure`] that names the first plan of which nothing is known. What it promises may be longer than all else.
pub(super) async fn plans(
    session: &Session,
    admin: &Admin,
    file: Option<&Path>,
) -> Result<PlanBook, Failure> {
    let written = match file {
        Some(path) => read(path)?,
        None => BTreeMap::new(),
    };
    let mut known: BTreeMap<String, Option<Retention>> = BTreeMap::new();
    let mut after = None;
    loop {
        let page = admin
            .list_tenants(&TenantFilter::new(), after, PAGE)
            .await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for plan in page.into_iter().filter_map(|tenant| tenant.plan) {
            if known.contains_key(&plan) {
                continue;
            }
            let definition = match written.get(&plan) {
                Some(definition) => Some(definition.clone()),
                None => stored(session, &plan).await?,
            };
            let definition = definition.ok_or_else(|| unknown(&plan))?;
            known.insert(plan, said(&definition)?);
        }
    }
    let mut book = PlanBook::new();
    for (plan, kept) in known {
        book = book.plan(plan.clone(), ["*"]);
        if let Some(kept) = kept {
            book = book.retention(plan, [("audit", kept)]);
        }
    }
    Ok(book)
}

fn unknown(plan: &str) -> Failure {
    Failure::Told(format!(
        "tenants are on the plan `{plan}`, and how long it keeps the trail is not known here: it is not stored in the \
         database; give the file of plans by --plans. Nothing was removed"
    ))
}

/// The plans of a file, by their names.
fn read(path: &Path) -> Result<BTreeMap<String, PlanDefinition>, Failure> {
    let named = |error: &dyn std::fmt::Display| {
        Failure::Told(format!("the plans `{}`: {error}", path.display()))
    };
    let text = fs::read_to_string(path).map_err(|error| named(&error))?;
    let plans = PlanDefinition::each_from_toml(&text).map_err(|error| named(&error))?;
    let by_name = plans.into_iter().map(|plan| (plan.name().to_owned(), plan));
    Ok(by_name.collect())
}

/// The stored version that a tenant's record names.
async fn stored(session: &Session, plan: &str) -> Result<Option<PlanDefinition>, Failure> {
    let Some((name, version)) = PlanVersion::parse_id(plan) else {
        return Ok(None);
    };
    let found = session
        .directory
        .find_plan_version(name, Some(version))
        .await;
    Ok(found.map_err(Failure::told)?.map(|found| found.definition))
}

/// What a plan says of how long the trail is kept.
fn said(plan: &PlanDefinition) -> Result<Option<Retention>, Failure> {
    let said = plan
        .as_json()
        .get("retention")
        .and_then(|kept| kept.get("audit"));
    let Some(said) = said else { return Ok(None) };
    let read = Value::as_str(said).and_then(|text| retention(text).ok());
    read.map(Some).ok_or_else(|| {
        Failure::Told(format!(
            "the plan `{}` keeps the trail for {said}, which is no number of days; nothing was removed",
            plan.name()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retention_is_written_as_in_a_plan() {
        assert_eq!(retention("400"), Ok(Retention::Days(400)));
        assert_eq!(retention("400 days"), Ok(Retention::Days(400)));
        assert_eq!(retention("1 day"), Ok(Retention::Days(1)));
        assert_eq!(retention("for good"), Ok(Retention::ForGood));
        for wrong in ["", "0", "-1", "0 days", "a year", "1.5", "400d"] {
            assert!(retention(wrong).is_err(), "{wrong}");
        }
    }
}
