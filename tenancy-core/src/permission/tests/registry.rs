//! Grants, registries and sets.

use super::*;

#[test]
fn wildcards_stand_for_whole_segments() {
    for (grant, covered, not_covered) in [
        (
            "scraping:run",
            &["scraping:run"][..],
            &["scraping", "scraping:run:now", "scraping:ru"][..],
        ),
        (
            "scraping:*",
            &["scraping:run", "scraping:jobs:cancel", "scraping:a:b:c"],
            &["scraping", "scrapingx:run", "scrapin:run", "x:scraping:run"],
        ),
        (
            "*:read",
            &["notes:read"],
            &["read", "notes:drafts:read", "notes:write"],
        ),
        ("a:*:c", &["a:b:c"], &["a:c", "a:b:b:c", "a:b:c:d"]),
        ("*:*", &["a:b", "a:b:c", "a:b:c:d"], &["a"]),
        ("a:b:c:*", &["a:b:c:d"], &["a:b:c"]),
        ("*", &["a", "a:b", "a:b:c:d"], &[]),
    ] {
        let grant: Grant = grant.parse().unwrap();
        for permission in covered {
            assert!(grant.covers(permission), "{grant} {permission}");
        }
        for permission in not_covered {
            assert!(!grant.covers(permission), "{grant} {permission}");
        }
        for asked in ["", "*", "scraping:*", "notes:", "a::b", "A:b", "a:b:c:d:e"] {
            assert!(!grant.covers(asked), "{grant} {asked}");
        }
    }
}

#[test]
fn a_part_of_a_segment_is_no_wildcard() {
    let long = "a".repeat(65);
    for text in [
        "",
        ":",
        "a:",
        ":a",
        "a::b",
        "a*",
        "*a",
        "a:b*",
        "**",
        "a:**",
        "a b",
        "a.b",
        "A",
        "ä",
        "a:b:c:d:e",
        "*:*:*:*:*",
        "a\n",
        "a:*\0",
        "notes:read,write",
        &long,
    ] {
        assert!(text.parse::<Grant>().is_err(), "{text:?}");
        assert!(
            PermissionRegistry::builder()
                .permission(text, None)
                .build()
                .is_err(),
            "{text:?}"
        );
    }
    for text in ["a", "0", "_", "-", "a:b:c:d", &"a".repeat(64)] {
        assert!(text.parse::<Grant>().is_ok(), "{text:?}");
        assert!(
            PermissionRegistry::builder()
                .permission(text, None)
                .build()
                .is_ok(),
            "{text:?}"
        );
    }
}

#[test]
fn a_registry_finds_what_was_declared() {
    let registry = notes()
        .describe("notes:read", "Read notes")
        .build()
        .unwrap();
    assert_eq!(registry.len(), 5);
    for (id, name) in registry.iter() {
        assert_eq!(registry.id(name), Some(id));
        assert_eq!(registry.name(id), Some(name));
    }
    let read = registry.id("notes:read").unwrap();
    assert_eq!(registry.description(read), Some("Read notes"));
    assert_eq!(registry.lowest_role(read), Some(SystemRole::Viewer));
    for unknown in ["notes:*", "*", "notes", "", "notes:read ", "notes:delete"] {
        assert_eq!(registry.id(unknown), None, "{unknown}");
    }
}

#[test]
fn every_system_role_has_a_role_name() {
    for role in SystemRole::EVERY {
        assert_eq!(SystemRole::from_name(&role.name()), Some(role));
        assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
    }
}

#[test]
fn a_registry_refuses_wrong_declarations_and_says_how_to_mend_them() {
    let chain = |length: usize| {
        (0..length).fold(notes(), |builder, i| {
            builder.role_def(role(&format!("r{i}")).include(name(&format!("r{}", i + 1))))
        })
    };
    let many = (0..257).fold(PermissionRegistry::builder(), |b, i| {
        b.permission(format!("p{i}"), None)
    });
    for (builder, message) in [
        (
            notes().permission("notes:read", None),
            "`notes:read` is declared more than once; keep",
        ),
        (
            notes().permission("notes:*", None),
            "`notes:*` is not a permission name; use",
        ),
        (
            notes().describe("x", "X"),
            "`x` is described but not declared; declare it",
        ),
        (
            many,
            "257 permissions are declared, and a registry holds 256; merge",
        ),
        (
            notes().role_def(role("owner")),
            "role `owner` has the name of a system",
        ),
        (
            notes().role_def(role("a")).role_def(role("a")),
            "role `a` is defined more than once; keep",
        ),
        (
            notes().role_def(role("a").include(name("b"))),
            "includes `b`, which is not defined; define",
        ),
        (
            notes()
                .role_def(role("a").include(name("b")))
                .role_def(role("b").include(name("a"))),
            "a cycle of includes, `a` → `b` → `a`; remove one",
        ),
        (
            notes().role_def(role("a").include(name("a"))),
            "a cycle of includes, `a` → `a`; remove",
        ),
        (
            chain(11).role_def(role("r11")),
            "role `r0` includes roles over more than 10 steps",
        ),
        (
            notes().role_def(role("a").allow("*")),
            "claims everything, which only `owner` holds",
        ),
        (
            notes().role_def(role("a").include(SystemRole::Owner)),
            "claims everything",
        ),
        (
            notes().role_def(role("a").allow("notes:r*")),
            "allows `notes:r*`, which is not a grant",
        ),
        (
            notes().role_def(role("a").deny("notes:r*")),
            "denies `notes:r*`, which is not a grant",
        ),
        (
            notes().role_def(role("a").deny("note:*")),
            "names `note:*`, which covers no declared",
        ),
    ] {
        let error = builder.build().unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    assert!(chain(10).role_def(role("r10")).build().is_ok());
}

#[test]
fn registries_of_other_names_do_not_mix() {
    let here = notes().build().unwrap();
    let there = notes()
        .permission("a:a", SystemRole::Viewer)
        .build()
        .unwrap();
    let [read, other] = [&here, &there].map(|registry| registry.id("notes:read").unwrap());
    let [set, mixed] = [[read, read], [read, other]].map(PermissionSet::from_iter);

    assert!(set.contains(read) && !set.contains(other));
    assert!(
        there
            .iter()
            .all(|(id, _)| there.all().contains(id) && !here.all().contains(id))
    );
    assert!(PermissionSet::ALL.contains(read) && PermissionSet::ALL.contains(other));
    assert_eq!((here.name(other), there.name(read)), (None, None));
    assert!(!mixed.contains(read) && !mixed.contains(other));
    assert!(!mixed.is_subset(PermissionSet::ALL) && !set.is_subset(there.all()));
    assert_eq!(set.intersection(there.all()), mixed);
    for open in [
        here.all(),
        there.all(),
        PermissionSet::ALL,
        PermissionSet::EMPTY,
        mixed,
    ] {
        for dead in [
            open.union(mixed),
            open.intersection(mixed),
            open.difference(mixed),
            mixed.union(open),
            mixed.intersection(open),
            mixed.difference(open),
        ] {
            assert_eq!(dead, mixed);
        }
    }
    let denied = RoleMask {
        allow: here.all(),
        deny: there.all(),
    };
    assert_eq!(denied.effective(), mixed);
}

#[test]
fn registries_of_equal_names_share_their_ids() {
    let reversed = PermissionRegistry::builder()
        .permission("b", None)
        .permission("a", None);
    let sorted = PermissionRegistry::builder()
        .permission("a", None)
        .permission("b", None);
    assert_eq!(
        reversed.build().unwrap().id("b"),
        sorted.build().unwrap().id("b")
    );
}

#[test]
fn a_set_has_room_for_256() {
    let builder = PermissionRegistry::builder();
    let registry = (0..256)
        .fold(builder, |b, i| b.permission(format!("p{i}"), None))
        .build()
        .unwrap();
    assert_eq!(registry.all().iter().count(), 256);
    assert!(registry.iter().all(|(id, _)| registry.all().contains(id)));
    assert_eq!(PermissionSet::ALL.iter().count(), 0);
    assert_eq!(registry.names(PermissionSet::ALL).count(), 256);
}

#[test]
fn a_scope_takes_what_it_understands() {
    let registry = notes().build().unwrap();
    for (scope, expected) in [
        ("", &[][..]),
        ("openid profile", &[]),
        ("notes:read notes:r* NOTES:write", &["notes:read"]),
        ("tenant:* users:*", &["tenant:delete", "users:invite"]),
    ] {
        let set = registry.scope(scope.split(' '));
        assert_eq!(registry.names(set).collect::<Vec<_>>(), expected, "{scope}");
    }
    assert_eq!(registry.scope(["*"]), registry.all());
}

#[test]
fn what_is_wrong_with_a_registry_is_a_configuration_error_for_who_builds_an_engine() {
    let build = || -> Result<PermissionRegistry, crate::ConfigError> {
        Ok(notes()
            .permission("notes:read", SystemRole::Owner)
            .build()?)
    };
    let error = build().unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`notes:read` is declared more than once"),
        "{error}"
    );
}
