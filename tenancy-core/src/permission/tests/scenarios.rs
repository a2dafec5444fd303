//! What other engines are asked in their own examples, asked of these roles: domains, hierarchies and denials as casbin
//! has them, wildcards as Shiro has them. Where the answer is another one on purpose, the case says so.

use super::*;

/// A case: what is declared, the tenant's roles, and what they may do.
struct Case {
    called: &'static str,
    permissions: &'static [&'static str],
    roles: Vec<RoleDefinition>,
    asked: &'static [(&'static str, &'static str, bool)],
}

impl Case {
    fn holds(&self) {
        let declare = |b: PermissionRegistryBuilder, name: &&str| b.permission(*name, None);
        let registry = self.permissions.iter();
        let registry = registry.fold(PermissionRegistry::builder(), declare);
        let registry = registry.build().unwrap();
        let table = RoleTable::compile(&registry, &self.roles).unwrap();
        for (who, permission, expected) in self.asked {
            let id = registry.id(permission).unwrap();
            let why = table.explain(&name(who), permission);
            assert_eq!(
                table.allows(&name(who), id),
                *expected,
                "{}: {why}",
                self.called
            );
            let decided = why.decision() == PermissionDecision::Allowed;
            assert_eq!(decided, *expected, "{}: {why}", self.called);
        }
    }
}

/// A domain is a tenant: a table of its own. Whoever is an admin in one is nobody in the other, also where both call
/// their roles alike.
#[test]
fn domains_are_tables_of_their_own() {
    let permissions = &["data1:read", "data1:write", "data2:read", "data2:write"];
    let one = Case {
        called: "the first domain",
        permissions,
        roles: vec![role("boss").allow("data1:read").allow("data1:write")],
        asked: &[
            ("boss", "data1:read", true),
            ("boss", "data1:write", true),
            ("boss", "data2:read", false),
            ("boss", "data2:write", false),
        ],
    };
    let other = Case {
        called: "the second domain",
        permissions,
        roles: vec![role("boss").allow("data2:*")],
        asked: &[
            ("boss", "data1:read", false),
            ("boss", "data1:write", false),
            ("boss", "data2:read", true),
            ("boss", "data2:write", true),
        ],
    };
    one.holds();
    other.holds();
}

#[test]
fn roles_inherit_over_several_steps() {
    Case {
        called: "a hierarchy",
        permissions: &["data1:read", "data1:write", "data2:read", "data2:write"],
        roles: vec![
            role("data1-keeper").allow("data1:*"),
            role("data2-keeper").allow("data2:*"),
            role("keeper")
                .include(name("data1-keeper"))
                .include(name("data2-keeper")),
            role("alice").include(name("keeper")).allow("data1:read"),
            role("bob").allow("data2:write"),
        ],
        asked: &[
            ("alice", "data1:read", true),
            ("alice", "data1:write", true),
            ("alice", "data2:read", true),
            ("alice", "data2:write", true),
            ("bob", "data1:read", false),
            ("bob", "data2:read", false),
            ("bob", "data2:write", true),
            // What includes a role is not included by it.
            ("data1-keeper", "data2:read", false),
        ],
    }
    .holds();
}

/// One denial outweighs every grant, whichever of the included roles has it, and in whatever order they are read.
#[test]
fn a_denial_outweighs_what_is_inherited() {
    Case {
        called: "a denial",
        permissions: &["data1:read", "data2:read", "data2:write"],
        roles: vec![
            role("data2-keeper")
                .allow("data2:read")
                .allow("data2:write"),
            role("alice")
                .include(name("data2-keeper"))
                .allow("data1:read")
                .deny("data2:write"),
            role("frozen").allow("data2:write").deny("data2:write"),
            role("heir")
                .include(name("frozen"))
                .include(name("data2-keeper")),
            role("bob").include(name("data2-keeper")),
        ],
        asked: &[
            ("alice", "data1:read", true),
            ("alice", "data2:read", true),
            ("alice", "data2:write", false),
            ("frozen", "data2:write", false),
            ("heir", "data2:read", true),
            ("heir", "data2:write", false),
            // It is alice's own, and no one's besides.
            ("bob", "data2:write", true),
        ],
    }
    .holds();
}

#[test]
fn wildcards_stand_for_whole_segments() {
    Case {
        called: "printers",
        permissions: &[
            "printer:query",
            "printer:print",
            "printer:query:lp7200",
            "printer:print:lp7200",
            "printer:print:epson",
            "scanner:query",
            "scanner:query:lp7200",
        ],
        roles: vec![
            role("one").allow("printer:query"),
            // In Shiro one text, `printer:query,print`; here two grants.
            role("two").allow("printer:query").allow("printer:print"),
            role("all").allow("printer:*"),
            role("each").allow("*:query"),
            role("by-device").allow("printer:*:lp7200"),
            role("device").allow("printer:print:epson"),
            role("any-query").allow("*:query:*"),
        ],
        asked: &[
            ("one", "printer:query", true),
            ("one", "printer:print", false),
            // In Shiro the shorter text covers the longer one; here it takes a `*`.
            ("one", "printer:query:lp7200", false),
            ("two", "printer:print", true),
            ("two", "scanner:query", false),
            ("all", "printer:print", true),
            ("all", "printer:query:lp7200", true),
            ("all", "scanner:query", false),
            ("each", "printer:query", true),
            ("each", "scanner:query", true),
            ("each", "printer:print", false),
            ("by-device", "printer:query:lp7200", true),
            ("by-device", "printer:print:lp7200", true),
            ("by-device", "printer:print:epson", false),
            ("by-device", "printer:query", false),
            ("device", "printer:print:epson", true),
            ("device", "printer:print:lp7200", false),
            ("any-query", "scanner:query:lp7200", true),
            ("any-query", "printer:query:lp7200", true),
            ("any-query", "scanner:query", false),
        ],
    }
    .holds();
}

/// A question with a wildcard is none: neither "may it do all of these" nor "any of these".
#[test]
fn nobody_is_asked_for_a_wildcard() {
    let registry = notes().build().unwrap();
    let table = RoleTable::base(&registry);
    for asked in [
        "notes:*",
        "*",
        "*:read",
        "notes:read:",
        ":read",
        "notes read",
    ] {
        assert_eq!(registry.id(asked), None, "{asked}");
        let why = table.explain(&name("owner"), asked);
        assert_eq!(why.decision(), PermissionDecision::ImplicitDeny, "{why}");
    }
}
