//! How long it takes to ask whether somebody may do something, among 1,000 rules of ten tenants, and to read 1,000 roles:
//! these roles beside `casbin` and `cedar-policy`.
//!
//! Each round measures all sides, one after the other, so that what else the machine does meets them alike. The medians
//! of the rounds are printed, and what the others' are to ours.

use std::{error::Error, fmt::Write as _, hint::black_box, time::Instant};

use casbin::{CoreApi as _, DefaultModel, Enforcer, MemoryAdapter, MgmtApi as _};
use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityUid, PolicySet, Request,
};
use tenancy_core::{
    PermissionId, PermissionRegistry, PermissionSet, RoleDefinition, RoleName, RoleTable,
};

const TENANTS: usize = 10;
const ROLES: usize = 4;
/// What each role may do, of this many permissions.
const GRANTS: usize = 25;
const PERMISSIONS: usize = ROLES * GRANTS;
const ROUNDS: usize = 15;

/// Roles of a tenant in the second part: more than 128 are not compiled into one table.
const TABLES: usize = 8;
const PER_TABLE: usize = 125;

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

/// A question: a user has the role of the same number in each tenant.
struct Asked {
    tenant: usize,
    role: usize,
    permission: usize,
    allowed: bool,
}

/// One in the middle of the rules that is allowed, and one that no rule allows.
const ASKED: [(&str, Asked); 2] = [
    (
        "allowed",
        Asked {
            tenant: 5,
            role: 2,
            permission: 2 * GRANTS + 12,
            allowed: true,
        },
    ),
    (
        "refused",
        Asked {
            tenant: 5,
            role: 2,
            permission: 12,
            allowed: false,
        },
    ),
];

/// The names of the permissions of a role.
fn grants_of(role: usize) -> impl Iterator<Item = String> {
    (role * GRANTS..(role + 1) * GRANTS).map(permission)
}

fn permission(number: usize) -> String {
    format!("data{}:act{}", number / GRANTS, number % GRANTS)
}

struct Ours {
    tables: Vec<RoleTable>,
    roles: Vec<RoleName>,
    ids: Vec<PermissionId>,
    /// What an admitted request carries, by tenant and role.
    held: Vec<Vec<PermissionSet>>,
}

fn registry() -> Result<PermissionRegistry, Box<dyn Error>> {
    let declare = |builder: tenancy_core::PermissionRegistryBuilder, number| {
        builder.permission(permission(number), None)
    };
    Ok((0..PERMISSIONS)
        .fold(PermissionRegistry::builder(), declare)
        .build()?)
}

impl Ours {
    fn new() -> Result<Self, Box<dyn Error>> {
        let registry = registry()?;
        let mut roles = Vec::new();
        let mut definitions = Vec::new();
        for role in 0..ROLES {
            let name: RoleName = format!("role{role}").parse()?;
            let definition = RoleDefinition::new(name.clone());
            definitions.push(grants_of(role).fold(definition, RoleDefinition::allow));
            roles.push(name);
        }
        let mut tables = Vec::new();
        let mut held = Vec::new();
        for _ in 0..TENANTS {
            let table = RoleTable::compile(&registry, &definitions)?;
            let mut of_tenant = Vec::new();
            for role in &roles {
                of_tenant.push(table.mask(role).ok_or("it is defined")?.effective());
            }
            held.push(of_tenant);
            tables.push(table);
        }
        let ids = (0..PERMISSIONS).map(|number| registry.id(&permission(number)));
        let ids = ids.collect::<Option<_>>().ok_or("each is declared")?;
        Ok(Self {
            tables,
            roles,
            ids,
            held,
        })
    }

    /// As a handler asks its context.
    fn in_context(&self, asked: &Asked) -> bool {
        let held = black_box(&self.held[asked.tenant][asked.role]);
        held.contains(black_box(self.ids[asked.permission]))
    }

    /// As it is asked by the name of a role.
    fn by_role(&self, asked: &Asked) -> bool {
        let table = &self.tables[asked.tenant];
        table.allows(
            black_box(&self.roles[asked.role]),
            self.ids[asked.permission],
        )
    }
}

async fn casbin_rules() -> Result<Enforcer, Box<dyn Error>> {
    let model = DefaultModel::from_str(MODEL).await?;
    let mut enforcer = Enforcer::new(model, MemoryAdapter::default()).await?;
    let mut rules = Vec::new();
    let mut links = Vec::new();
    for tenant in 0..TENANTS {
        for role in 0..ROLES {
            for act in grants_of(role) {
                rules.push(vec![format!("role{role}"), format!("tenant{tenant}"), act]);
            }
            let user = format!("user{role}");
            links.push(vec![user, format!("role{role}"), format!("tenant{tenant}")]);
        }
    }
    enforcer.add_policies(rules).await?;
    enforcer.add_grouping_policies(links).await?;
    Ok(enforcer)
}

struct Cedar {
    policies: PolicySet,
    entities: Entities,
    requests: Vec<Request>,
}

fn uid(kind: &str, name: &str) -> Result<EntityUid, Box<dyn Error>> {
    Ok(format!("{kind}::\"{name}\"").parse()?)
}

impl Cedar {
    fn new() -> Result<Self, Box<dyn Error>> {
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
        for role in 0..ROLES {
            let roles = (0..TENANTS).map(|tenant| uid("Role", &format!("{tenant}-{role}")));
            let roles = roles.collect::<Result<_, _>>()?;
            let user = uid("User", &format!("user{role}"))?;
            entities.push(Entity::new_no_attrs(user, roles));
        }
        let mut requests = Vec::new();
        for (_, asked) in &ASKED {
            requests.push(Request::new(
                uid("User", &format!("user{}", asked.role))?,
                uid("Action", &permission(asked.permission))?,
                uid("Tenant", &asked.tenant.to_string())?,
                Context::empty(),
                None,
            )?);
        }
        Ok(Self {
            policies: text.parse()?,
            entities: Entities::from_entities(entities, None)?,
            requests,
        })
    }

    fn asks(&self, authorizer: &Authorizer, number: usize) -> bool {
        let answer =
            authorizer.is_authorized(&self.requests[number], &self.policies, &self.entities);
        answer.decision() == Decision::Allow
    }
}

/// Nanoseconds for each of so many calls.
fn time(calls: usize, mut call: impl FnMut()) -> f64 {
    let began = Instant::now();
    for _ in 0..calls {
        call();
    }
    began.elapsed().as_nanos() as f64 / calls as f64
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn print(called: &str, sides: &[&str], times: Vec<Vec<f64>>) {
    println!("{called}:");
    let medians: Vec<f64> = times.into_iter().map(median).collect();
    for (side, time) in sides.iter().zip(&medians) {
        println!(
            "  {time:12.1} ns  it : ours = {:10.1}  {side}",
            time / medians[0]
        );
    }
}

fn checks(casbin: &Enforcer) -> Result<(), Box<dyn Error>> {
    let (ours, cedar, authorizer) = (Ours::new()?, Cedar::new()?, Authorizer::new());
    let sides = [
        "tenancy, as a handler asks its context",
        "tenancy, by the name of a role",
        "casbin, RBAC with domains",
        "cedar-policy, with request and entities made before",
    ];
    for (number, (called, asked)) in ASKED.iter().enumerate() {
        let (user, tenant) = (
            format!("user{}", asked.role),
            format!("tenant{}", asked.tenant),
        );
        let act = permission(asked.permission);
        let by_casbin = || casbin.enforce((user.as_str(), tenant.as_str(), act.as_str()));
        // All say the same.
        assert_eq!(ours.in_context(asked), asked.allowed);
        assert_eq!(ours.by_role(asked), asked.allowed);
        assert_eq!(by_casbin()?, asked.allowed);
        assert_eq!(cedar.asks(&authorizer, number), asked.allowed);
        let mut times = vec![Vec::new(); sides.len()];
        for _ in 0..ROUNDS {
            times[0].push(time(1_000_000, || {
                black_box(ours.in_context(black_box(asked)));
            }));
            times[1].push(time(100_000, || {
                black_box(ours.by_role(black_box(asked)));
            }));
            times[2].push(time(40, || {
                black_box(by_casbin().is_ok());
            }));
            times[3].push(time(40, || {
                black_box(cedar.asks(&authorizer, number));
            }));
        }
        print(
            &format!("a check among 1,000 rules, {called}"),
            &sides,
            times,
        );
    }
    Ok(())
}

/// 1,000 roles with a rule each for casbin and cedar-policy, which have no roles with several; with 25 grants, a denial
/// and an include for these roles, as tenants define them.
fn compiling() -> Result<(), Box<dyn Error>> {
    let registry = registry()?;
    let mut tables = Vec::new();
    for _ in 0..TABLES {
        let mut roles = Vec::new();
        for number in 0..PER_TABLE {
            let mut role = RoleDefinition::new(format!("role{number}").parse()?);
            for act in grants_of(number % ROLES) {
                role = role.allow(act);
            }
            role = role.deny(permission(number % PERMISSIONS));
            // Chains of five.
            if number % 5 != 0 {
                let below: RoleName = format!("role{}", number - 1).parse()?;
                role = role.include(below);
            }
            roles.push(role);
        }
        tables.push(roles);
    }
    let mut text = String::new();
    for number in 0..TABLES * PER_TABLE {
        let act = permission(number % PERMISSIONS);
        writeln!(
            text,
            "permit(principal in Role::\"{number}\", action == Action::\"{act}\", resource);"
        )?;
    }
    let mut times = vec![Vec::new(); 2];
    for _ in 0..ROUNDS {
        times[0].push(time(1, || {
            for roles in &tables {
                black_box(RoleTable::compile(&registry, roles).is_ok());
            }
        }));
        times[1].push(time(1, || {
            black_box(text.parse::<PolicySet>().is_ok());
        }));
    }
    for roles in &tables {
        let table = RoleTable::compile(&registry, roles)?;
        assert!(table.problems().is_empty(), "{:?}", table.problems());
    }
    let sides = [
        "tenancy, 1,000 roles in 8 tables: 25 grants and a denial each, chains of five",
        "cedar-policy, 1,000 policies of one permission each, parsed",
    ];
    print("reading 1,000 roles", &sides, times);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let casbin = runtime.block_on(casbin_rules())?;
    checks(&casbin)?;
    compiling()
}
