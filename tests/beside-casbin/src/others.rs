//! `casbin` and `cedar-policy` with the same rules.

use std::{error::Error, fmt::Write as _};

use casbin::{CoreApi as _, DefaultModel, Enforcer, MemoryAdapter, MgmtApi as _};
use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityUid, PolicySet, Request,
};

use crate::rules::{Question, ROLES, TENANTS, USERS, grants_of, permission, role_of};

const MODEL: &str = "
[request_definition]
r = sub, dom, act
[policy_definition]
p = sub, dom, act
[role_definition]
g = _, _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = g(r.sub, p.sub, r.dom) && r.dom == p.dom && r.act == p.act
";

pub(crate) struct Casbin(Enforcer);

impl Casbin {
    pub(crate) async fn new() -> Result<Self, Box<dyn Error>> {
        let mut rules = Vec::new();
        let mut links = Vec::new();
        for tenant in 0..TENANTS {
            for role in 0..ROLES {
                for act in grants_of(role) {
                    rules.push(vec![format!("role{role}"), format!("tenant{tenant}"), act]);
                }
            }
            for user in 0..USERS {
                let role = role_of(user, tenant);
                let link = [("user", user), ("role", role), ("tenant", tenant)];
                links.push(link.map(|(kind, number)| format!("{kind}{number}")).into());
            }
        }
        Self::with(rules, links).await
    }

    pub(crate) async fn with(
        rules: Vec<Vec<String>>,
        links: Vec<Vec<String>>,
    ) -> Result<Self, Box<dyn Error>> {
        let model = DefaultModel::from_str(MODEL).await?;
        let mut enforcer = Enforcer::new(model, MemoryAdapter::default()).await?;
        enforcer.add_policies(rules).await?;
        enforcer.add_grouping_policies(links).await?;
        Ok(Self(enforcer))
    }

    /// Asks. The texts are made before.
    pub(crate) fn ask(&self, asked: Question) -> impl Fn() -> bool {
        let user = format!("user{}", asked.user);
        let tenant = format!("tenant{}", asked.tenant);
        let act = permission(asked.permission);
        move || {
            let asked = (user.as_str(), tenant.as_str(), act.as_str());
            match self.0.enforce(asked) {
                Ok(allowed) => allowed,
                Err(error) => panic!("casbin does not answer: {error}"),
            }
        }
    }
}

pub(crate) struct Cedar {
    policies: PolicySet,
    entities: Entities,
    authorizer: Authorizer,
}

fn uid(kind: &str, name: &str) -> Result<EntityUid, Box<dyn Error>> {
    Ok(format!("{kind}::\"{name}\"").parse()?)
}

impl Cedar {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        let mut text = String::new();
        let mut entities = Vec::new();
        for tenant in 0..TENANTS {
            for role in 0..ROLES {
                for act in grants_of(role) {
                    writeln!(
                        text,
                        "permit(principal in Role::\"{tenant}-{role}\", action == Action::\"{act}\", \
                         resource == Tenant::\"{tenant}\");"
                    )?;
                }
                entities.push(Entity::with_uid(uid("Role", &format!("{tenant}-{role}"))?));
            }
            entities.push(Entity::with_uid(uid("Tenant", &tenant.to_string())?));
        }
        for user in 0..USERS {
            let roles = (0..TENANTS)
                .map(|tenant| uid("Role", &format!("{tenant}-{}", role_of(user, tenant))));
            let roles = roles.collect::<Result<_, _>>()?;
            entities.push(Entity::new_no_attrs(
                uid("User", &format!("user{user}"))?,
                roles,
            ));
        }
        Ok(Self {
            policies: text.parse()?,
            entities: Entities::from_entities(entities, None)?,
            authorizer: Authorizer::new(),
        })
    }

    /// Asks. The request is made before.
    pub(crate) fn ask(&self, asked: Question) -> Result<impl Fn() -> bool, Box<dyn Error>> {
        let request = Request::new(
            uid("User", &format!("user{}", asked.user))?,
            uid("Action", &permission(asked.permission))?,
            uid("Tenant", &asked.tenant.to_string())?,
            Context::empty(),
            None,
        )?;
        Ok(move || {
            let answer = self
                .authorizer
                .is_authorized(&request, &self.policies, &self.entities);
            answer.decision() == Decision::Allow
        })
    }
}
