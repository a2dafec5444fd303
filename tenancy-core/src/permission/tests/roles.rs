//! Role tables.

use super::{RoleProblemKind as Kind, *};

fn compile(roles: &[RoleDefinition]) -> RoleTable {
    RoleTable::compile(&notes().build().unwrap(), roles).unwrap()
}

/// The names of what a role may do.
fn rights(table: &RoleTable, role: &str) -> Vec<String> {
    let rights = table.mask(&name(role)).unwrap().effective();
    table.registry().names(rights).map(Into::into).collect()
}

fn problems(table: &RoleTable) -> Vec<(&str, &Kind)> {
    table
        .problems()
        .iter()
        .map(|p| (p.role().as_str(), p.kind()))
        .collect()
}

#[test]
fn system_roles_contain_each_other() {
    let table = compile(&[]);
    for (role, expected) in [
        ("viewer", &["notes:read"][..]),
        ("member", &["notes:read", "notes:write"]),
        ("admin", &["notes:read", "notes:write", "users:invite"]),
        (
            "owner",
            &["notes:read", "notes:write", "tenant:delete", "users:invite"],
        ),
    ] {
        assert_eq!(rights(&table, role), expected, "{role}");
    }
    assert_eq!(table.mask(&name("editor")), None);
}

#[test]
fn a_malformed_deny_denies_everything_to_its_role_only() {
    let table = compile(&[
        role("broken").allow("notes:*").deny("notes:wri*"),
        role("sound").allow("notes:*").deny("notes:write"),
    ]);
    assert_eq!(table.mask(&name("broken")), Some(RoleMask::SEALED));
    assert_eq!(rights(&table, "sound"), ["notes:export", "notes:read"]);
    assert_eq!(rights(&table, "member"), ["notes:read", "notes:write"]);
    assert_eq!(
        problems(&table),
        [(
            "broken",
            &Kind::MalformedDeny {
                grant: "notes:wri*".into()
            }
        )]
    );

    // A second role of the same person does not open what the broken one closes.
    let member = table.mask(&name("member")).unwrap();
    let both = table.mask(&name("broken")).unwrap().combine(member);
    assert_eq!(both.effective(), PermissionSet::EMPTY);
}

#[test]
fn what_could_only_widen_a_role_has_no_effect() {
    let table = compile(&[
        role("everything").allow("*").allow("notes:read"),
        role("heir")
            .include(SystemRole::Owner)
            .include(SystemRole::Viewer),
        role("typo")
            .allow("notes:r*")
            .allow("notes:reed")
            .allow("notes:read"),
        role("guard").deny("bills:*").allow("notes:read"),
        role("admin").allow("tenant:*"),
    ]);
    for role in ["everything", "heir", "typo", "guard"] {
        assert_eq!(rights(&table, role), ["notes:read"], "{role}");
    }
    assert_eq!(rights(&table, "admin"), rights(&compile(&[]), "admin"));
    assert_eq!(
        problems(&table),
        [
            ("admin", &Kind::NameTaken),
            ("everything", &Kind::OwnerOnly),
            (
                "guard",
                &Kind::CoversNothing {
                    grant: "bills:*".into()
                }
            ),
            ("heir", &Kind::OwnerOnly),
            (
                "typo",
                &Kind::MalformedAllow {
                    grant: "notes:r*".into()
                }
            ),
            (
                "typo",
                &Kind::CoversNothing {
                    grant: "notes:reed".into()
                }
            ),
        ]
    );
    assert!(table.problems().iter().all(|problem| !problem.seals()));
}

#[test]
fn a_role_that_cannot_be_understood_denies_everything_and_others_work() {
    let long = (0..257).fold(role("long"), |role, i| role.allow(format!("p{i}")));
    let table = compile(&[
        role("a").include(name("b")).allow("notes:read"),
        role("b").include(name("a")),
        role("above").include(name("a")).allow("notes:read"),
        role("lost").include(name("nowhere")).allow("notes:read"),
        role("twin").allow("notes:read"),
        role("twin").allow("notes:read"),
        role("user")
            .include(SystemRole::Member)
            .include(name("lost")),
        long,
        role("sound")
            .include(SystemRole::Viewer)
            .allow("users:invite"),
    ]);
    let cycle = |path: [&str; 3]| Kind::Cycle {
        path: path.map(name).into(),
    };
    assert_eq!(
        problems(&table),
        [
            ("a", &cycle(["a", "b", "a"])),
            ("above", &cycle(["a", "b", "a"])),
            ("b", &cycle(["b", "a", "b"])),
            ("long", &Kind::TooLarge),
            (
                "lost",
                &Kind::UnknownInclude {
                    include: name("nowhere")
                }
            ),
            ("twin", &Kind::Duplicate),
            (
                "user",
                &Kind::SealedInclude {
                    include: name("lost")
                }
            ),
        ]
    );
    for problem in table.problems() {
        assert!(problem.seals());
        assert_eq!(
            table.mask(problem.role()),
            Some(RoleMask::SEALED),
            "{problem}"
        );
    }
    assert_eq!(rights(&table, "sound"), ["notes:read", "users:invite"]);
}

#[test]
fn a_table_is_bounded() {
    let roles: Vec<_> = (0..=RoleTable::MAX_ROLES)
        .map(|i| role(&format!("r{i}")))
        .collect();
    let registry = notes().build().unwrap();
    assert!(RoleTable::compile(&registry, &roles[1..]).is_ok());
    let error = RoleTable::compile(&registry, &roles)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "the tenant defines 129 roles, and a table holds 128; remove some"
    );
}

#[test]
fn application_roles_are_in_every_table_and_can_be_included() {
    let registry = notes()
        .role_def(role("auditor").allow("notes:*").deny("notes:write"))
        .build()
        .unwrap();
    let own = role("helper")
        .include(name("auditor"))
        .include(SystemRole::Member);
    let table = RoleTable::compile(&registry, &[own, role("auditor").allow("tenant:*")]).unwrap();
    assert_eq!(rights(&table, "auditor"), ["notes:export", "notes:read"]);
    assert_eq!(rights(&table, "helper"), ["notes:export", "notes:read"]);
    assert_eq!(problems(&table), [("auditor", &Kind::NameTaken)]);
    let names: Vec<_> = table.roles().map(RoleName::as_str).collect();
    assert_eq!(
        names,
        ["admin", "auditor", "member", "owner", "viewer", "helper"]
    );
}

#[test]
fn an_explanation_names_the_grant_and_its_role() {
    let table = compile(&[
        role("base").allow("notes:*").deny("notes:write"),
        role("editor")
            .include(name("base"))
            .include(SystemRole::Admin),
        role("broken").deny("Notes"),
        role("user").include(name("broken")),
    ]);
    for (role, permission, decision, grant, by, text) in [
        (
            "owner",
            "notes:read",
            PermissionDecision::Allowed,
            Some("notes:read"),
            Some("viewer"),
            "`owner` has `notes:read` by the grant `notes:read` of `viewer`",
        ),
        (
            "editor",
            "notes:export",
            PermissionDecision::Allowed,
            Some("notes:*"),
            Some("base"),
            "`editor` has `notes:export` by the grant `notes:*` of `base`",
        ),
        (
            "editor",
            "users:invite",
            PermissionDecision::Allowed,
            Some("users:invite"),
            Some("admin"),
            "`editor` has `users:invite` by the grant `users:invite` of `admin`",
        ),
        (
            "editor",
            "notes:write",
            PermissionDecision::ExplicitDeny,
            Some("notes:write"),
            Some("base"),
            "`editor` is denied `notes:write` by `notes:write` of `base`",
        ),
        (
            "user",
            "notes:read",
            PermissionDecision::ExplicitDeny,
            Some("Notes"),
            Some("broken"),
            "`user` is denied everything: role `broken` denies `Notes`, which is not a grant; \
          write it like `notes:read` or `notes:*`",
        ),
        (
            "editor",
            "tenant:delete",
            PermissionDecision::ImplicitDeny,
            None,
            None,
            "nothing grants `tenant:delete` to `editor`",
        ),
        (
            "owner",
            "notes:*",
            PermissionDecision::ImplicitDeny,
            None,
            None,
            "no permission `notes:*` is declared",
        ),
        (
            "nobody",
            "notes:read",
            PermissionDecision::ImplicitDeny,
            None,
            None,
            "the tenant has no role `nobody`",
        ),
    ] {
        let why = table.explain(&name(role), permission);
        assert_eq!(why.decision(), decision, "{why}");
        assert_eq!(why.grant(), grant, "{why}");
        assert_eq!(why.role().map(RoleName::as_str), by, "{why}");
        assert_eq!(why.to_string(), text);
    }
}

#[test]
fn nobody_hands_out_more_than_they_hold() {
    let table = compile(&[
        role("exporter").allow("notes:export"),
        role("careful")
            .include(SystemRole::Admin)
            .deny("users:invite"),
        role("broken").deny("Notes"),
    ]);
    for (grantor, granted, expected) in [
        ("owner", "owner", true),
        ("owner", "admin", true),
        ("owner", "exporter", false),
        ("owner", "broken", false),
        ("owner", "nobody", false),
        ("admin", "owner", false),
        ("admin", "admin", true),
        ("member", "admin", false),
        ("member", "careful", true),
        ("viewer", "careful", false),
        ("exporter", "exporter", true),
        ("broken", "viewer", false),
    ] {
        let held = table.mask(&name(grantor)).unwrap().effective();
        let may = table.may_grant(Some(&name(grantor)), held, &name(granted));
        assert_eq!(may, expected, "{grantor} {granted}");
    }
}

#[test]
fn ownership_takes_more_than_the_permissions_of_an_owner() {
    let registry = PermissionRegistry::builder().build().unwrap();
    let table = RoleTable::base(&registry);
    let owner = SystemRole::Owner.name();
    assert!(!table.may_grant(Some(&SystemRole::Viewer.name()), PermissionSet::ALL, &owner));
    assert!(!table.may_grant(None, PermissionSet::ALL, &owner));
    assert!(table.may_grant(Some(&owner), PermissionSet::EMPTY, &owner));
}

#[test]
fn a_definition_with_an_unknown_field_is_refused() {
    let stored = r#"{"name":"a","includes":["viewer"],"deny":["notes:*"]}"#;
    let read: RoleDefinition = serde_json::from_str(stored).unwrap();
    assert_eq!(read, role("a").include(SystemRole::Viewer).deny("notes:*"));
    assert!(serde_json::from_str::<RoleDefinition>(r#"{"name":"a","denied":[]}"#).is_err());
    assert!(serde_json::from_str::<RoleDefinition>(r#"{"name":"A"}"#).is_err());
}
