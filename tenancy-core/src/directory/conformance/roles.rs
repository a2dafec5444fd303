//! Roles of tenants' own: removed, and listed.

use super::{new_tenant, role};
use crate::{Directory, DirectoryStore, RoleDefinition, testing::unattributed};

/// A role is removed from its own tenant, and all are listed by name.
pub async fn roles_are_listed_and_removed<D: Directory + DirectoryStore>(directory: &D) {
    let (one, other) = (new_tenant(directory).await, new_tenant(directory).await);
    // In the order of bytes, and of no language.
    let names = ["a-z", "a_b", "ab", "b"];
    let roles = names.map(|name| RoleDefinition::new(role(name)).allow("notes:read"));
    for definition in roles.iter().rev() {
        directory
            .put_role(one.id, definition, &unattributed())
            .await
            .unwrap();
    }
    let theirs = RoleDefinition::new(role("b"));
    directory
        .put_role(other.id, &theirs, &unattributed())
        .await
        .unwrap();
    assert_eq!(directory.list_roles(one.id).await.unwrap(), roles);

    let remove = async |name| {
        directory
            .remove_role(one.id, &role(name), &unattributed())
            .await
            .unwrap();
    };
    for name in ["b", "b", "nobody"] {
        remove(name).await;
    }
    assert_eq!(directory.list_roles(one.id).await.unwrap(), roles[..3]);
    let mut found = directory.find_roles(one.id).await.unwrap();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    assert_eq!(found, roles[..3]);
    assert_eq!(directory.list_roles(other.id).await.unwrap(), [theirs]);
}
