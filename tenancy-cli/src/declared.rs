//! What a service declares in its code, written down for the command: permissions, roles, features, meters.

use std::path::PathBuf;

use clap::Args;
use tenancy_core::{
    ConfigError, PermissionRegistry, PlanBook, PlanDefinition, RoleDefinition, SystemRole, Tenancy,
    TenancyBuilder,
    document::{Fields, Node, Placed, from_toml},
    quota::{Meter, Quotas},
};

use crate::{connect::Session, failure::Failure, written::read};

/// What may stand in the file.
const FIELDS: [&str; 5] = ["permissions", "roles", "features", "meters", "seats"];

/// What may be said of a role.
const ROLE: [&str; 3] = ["includes", "allow", "deny"];

/// The file of what the service declares.
#[derive(Debug, Args)]
pub(crate) struct Declares {
    /// What the service declares, as TOML: permissions, roles, features, meters
    #[arg(long, value_name = "FILE")]
    service: PathBuf,
}

/// The same, where it may be left out.
#[derive(Debug, Args)]
pub(crate) struct MayDeclare {
    /// What the service declares, as TOML. Without it no seats are counted
    #[arg(long, value_name = "FILE")]
    service: Option<PathBuf>,
}

/// The file of the plans that are in the service's code.
#[derive(Debug, Args)]
pub(crate) struct Books {
    /// The plans that are in the service's code and not in the database, as TOML
    #[arg(long, value_name = "FILE")]
    pub(crate) plans: Option<PathBuf>,
}

/// What a service declares.
#[derive(Debug)]
pub(crate) struct Declared {
    pub(crate) permissions: PermissionRegistry,
    features: Vec<String>,
    meters: Vec<Meter>,
    seats: Option<String>,
}

impl Declares {
    /// # Errors
    /// What is wrong with the file, with the place in it.
    pub(crate) fn read(&self) -> Result<Declared, Failure> {
        read(&self.service, Declared::from_toml)
    }
}

impl MayDeclare {
    /// An engine that knows all of it; without a file, one that knows nothing of the service.
    ///
    /// # Errors
    /// As [`Declares::read`], and what of the plans does not fit.
    pub(crate) fn engine(&self, session: &Session, books: &Books) -> Result<Tenancy, Failure> {
        self.engine_with(session, books, |builder| builder)
    }

    /// The same, with more options.
    ///
    /// # Errors
    /// As [`engine`](Self::engine).
    pub(crate) fn engine_with(
        &self,
        session: &Session,
        books: &Books,
        options: impl FnOnce(TenancyBuilder) -> TenancyBuilder,
    ) -> Result<Tenancy, Failure> {
        match &self.service {
            Some(file) => read(file, Declared::from_toml)?.engine_with(session, books, options),
            None => session.with(options),
        }
    }
}

impl Books {
    /// The plans of the file; none without one.
    ///
    /// # Errors
    /// What is wrong with the file, with the place in it.
    pub(crate) fn read(&self) -> Result<PlanBook, Failure> {
        match &self.plans {
            Some(file) => read(file, PlanBook::from_toml),
            None => Ok(PlanBook::new()),
        }
    }

    /// A book in which the plans of the file have their names and nothing else: for what asks only whether there is one.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) fn names(&self) -> Result<PlanBook, Failure> {
        let plans = match &self.plans {
            Some(file) => read(file, PlanDefinition::each_from_toml)?,
            None => Vec::new(),
        };
        let named = |book: PlanBook, plan: &PlanDefinition| book.plan(plan.name(), ["*"]);
        Ok(plans.iter().fold(PlanBook::new(), named))
    }
}

impl Declared {
    fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let root = from_toml(text)?;
        let fields = Fields::of(
            "what a service declares",
            &root,
            "a table of what it declares",
            &FIELDS,
        )?;
        let mut permissions = PermissionRegistry::builder();
        if let Some(node) = fields.get("permissions") {
            let needs = "a table of permissions, each with the lowest role that has it";
            for (name, lowest) in node.table("`permissions`", needs)? {
                permissions =
                    permissions.permission(name.value.as_str(), lowest_role(name, lowest)?);
            }
        }
        if let Some(node) = fields.get("roles") {
            for (name, said) in node.table("`roles`", "a table of roles by name")? {
                permissions = permissions.role_def(role(name, said)?);
            }
        }
        let at = fields.at("permissions");
        let features = match fields.get("features") {
            Some(node) => texts("`features`", node)?,
            None => Vec::new(),
        };
        let mut meters = Vec::new();
        if let Some(node) = fields.get("meters") {
            for (name, kind) in node.table("`meters`", "a table of meters by name")? {
                meters.push(meter(name, kind)?);
            }
        }
        let seats = fields.get("seats");
        let seats = seats
            .map(|node| node.text("`seats`", "the name of the meter of seats"))
            .transpose()?;
        Ok(Self {
            permissions: permissions.build().map_err(|error| at.error(error))?,
            features,
            meters,
            seats: seats.map(|seats| seats.value),
        })
    }

    /// An engine that knows all of it, with the plans of the file besides those that are stored.
    ///
    /// # Errors
    /// What of the plans does not fit.
    pub(crate) fn engine(self, session: &Session, books: &Books) -> Result<Tenancy, Failure> {
        self.engine_with(session, books, |builder| builder)
    }

    /// The same, with more options.
    ///
    /// # Errors
    /// As [`engine`](Self::engine).
    pub(crate) fn engine_with(
        self,
        session: &Session,
        books: &Books,
        options: impl FnOnce(TenancyBuilder) -> TenancyBuilder,
    ) -> Result<Tenancy, Failure> {
        let features = self.features.iter().map(String::as_str);
        let plans = books.read()?.declare_features(features);
        let directory = &session.directory;
        session.with(|builder| {
            let mut builder = options(builder)
                .permissions(self.permissions)
                .plans(plans)
                .stored_plans(directory.clone());
            if !self.meters.is_empty() {
                let meters = self.meters.into_iter();
                builder = builder.quotas(meters.fold(Quotas::new(), Quotas::meter));
            }
            match &self.seats {
                Some(meter) => builder.seats(meter, directory.clone()),
                None => builder,
            }
        })
    }
}

fn lowest_role(
    permission: &Placed<String>,
    node: &Node,
) -> Result<Option<SystemRole>, ConfigError> {
    let which = format!("the permission `{}`", permission.value);
    let needs =
        "the lowest role that has it: \"viewer\", \"member\", \"admin\", \"owner\", or \"none\"";
    let said = node.text(&which, needs)?;
    if said.value == "none" {
        return Ok(None);
    }
    let known = SystemRole::EVERY
        .into_iter()
        .find(|role| role.as_str() == said.value);
    known.map(Some).ok_or_else(|| {
        node.error(format_args!(
            "{which} has to be {needs}; `{}` is none of them",
            said.value
        ))
    })
}

fn role(name: &Placed<String>, node: &Node) -> Result<RoleDefinition, ConfigError> {
    let parsed = name.value.parse();
    let mut role = RoleDefinition::new(parsed.map_err(|error| name.at.error(error))?);
    let whose = format!("the role `{}`", name.value);
    let fields = Fields::of(&whose, node, "a table of what it says", &ROLE)?;
    for (field, what) in ROLE
        .iter()
        .filter_map(|name| Some((*name, fields.get(name)?)))
    {
        for text in texts(&format!("{whose}: `{field}`"), what)? {
            role = match field {
                "includes" => {
                    let included = text.parse::<tenancy_core::RoleName>();
                    role.include(included.map_err(|error| what.error(error))?)
                }
                "allow" => role.allow(text),
                _ => role.deny(text),
            };
        }
    }
    Ok(role)
}

/// A role that is written in a file of its own, with the fields of a role of the service.
///
/// # Errors
/// What is wrong with it, with the place.
pub(crate) fn role_from_toml(
    name: &tenancy_core::RoleName,
    text: &str,
) -> Result<RoleDefinition, ConfigError> {
    role(&Placed::from(name.to_string()), &from_toml(text)?)
}

fn texts(which: &str, node: &Node) -> Result<Vec<String>, ConfigError> {
    let needs = "a list of texts";
    let list = node.list(which, needs)?.iter();
    list.map(|one| Ok(one.text(which, needs)?.value)).collect()
}

fn meter(name: &Placed<String>, node: &Node) -> Result<Meter, ConfigError> {
    let which = format!("the meter `{}`", name.value);
    let needs = "\"consumed\", \"concurrent\" or \"held\"";
    let kind = node.text(&which, needs)?;
    let name = name.value.as_str();
    Ok(match kind.value.as_str() {
        "consumed" => Meter::consumed(name),
        "concurrent" => Meter::concurrent(name),
        "held" => Meter::held(name),
        other => {
            return Err(node.error(format_args!(
                "{which} has to be {needs}; `{other}` is neither"
            )));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        match Declared::from_toml(text) {
            Ok(_) => "nothing is wrong".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_is_declared_is_known() -> Result<(), ConfigError> {
        let declared = Declared::from_toml(
            "features = ['sso']\n[permissions]\n'notes:read' = 'viewer'\n'notes:purge' = 'none'\n\
             [roles.auditor]\nallow = ['notes:read']\n[meters]\nexports = 'consumed'\n",
        )?;
        assert_eq!(declared.permissions.len(), 2);
        assert_eq!((declared.features.len(), declared.meters.len()), (1, 1));
        Ok(())
    }

    #[test]
    fn an_error_says_where() {
        for (text, part) in [
            (
                "permission = {}",
                "line 1, column 1: what a service declares has no field `permission`",
            ),
            (
                "[permissions]\n'notes:read' = 'reader'",
                "line 2, column 16",
            ),
            ("[permissions]\n'Notes' = 'viewer'", "not a permission name"),
            ("[meters]\nseats = 'kept'", "line 2, column 9"),
            ("[roles.auditor]\ngrants = []", "line 2, column 1"),
            ("[permissions", "no TOML"),
        ] {
            let told = error(text);
            assert!(told.contains(part), "{text}: {told}");
        }
    }
}
