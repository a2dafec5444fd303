//! What is read before a revocation and told after it: at whichever question, whatever is taken
//! away, nobody who asks after the revocation is admitted by it.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, poll};
use tenancy_core::{
    Membership, MembershipStatus, Project, ProjectMembership, RoleDefinition, StoreErrorKind,
    SystemRole,
    key::{IssuedKey, NewKey},
    testing::FakeRequest,
    testing::StoreDirectly as _,
};
use tokio::sync::Barrier;

use super::{alices, ip, issue, with, world};
use crate::support::World;

/// How many questions a first request with a key of a project asks: for the key, the tenant, the
/// membership, the project, the roles.
const QUESTIONS: usize = 5;

/// What is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    Revoked,
    RevokedByAnOperator,
    RevokedWithItsTenant,
    RevokedByPrefix,
    Disabled,
    RotatedAway,
    NetworksNarrowed,
    ScopesNarrowed,
    MembershipRemoved,
    MembershipSuspended,
    RoleLowered,
    RoleRedefined,
    ProjectArchived,
    TenantSuspended,
}

const LOSSES: [Loss; 14] = [
    Loss::Revoked,
    Loss::RevokedByAnOperator,
    Loss::RevokedWithItsTenant,
    Loss::RevokedByPrefix,
    Loss::Disabled,
    Loss::RotatedAway,
    Loss::NetworksNarrowed,
    Loss::ScopesNarrowed,
    Loss::MembershipRemoved,
    Loss::MembershipSuspended,
    Loss::RoleLowered,
    Loss::RoleRedefined,
    Loss::ProjectArchived,
    Loss::TenantSuspended,
];

/// What a request with the key is answered: the reason against it, or whether it may write.
async fn said(w: &World, request: &FakeRequest) -> &'static str {
    match w.admit(request).await {
        Ok(context) if context.require("notes:write").is_ok() => "may write",
        Ok(_) => "may not write",
        Err(refusal) => refusal.reason(),
    }
}

struct Scene {
    w: World,
    project: Project,
    key: IssuedKey,
}

impl Scene {
    /// Alice's key for a project at Acme, where a role of the tenant's own lets her write.
    async fn new() -> Self {
        let w = world().await;
        let project = Project::new(w.acme.id, "web".parse().unwrap(), "Web");
        let admin = w.tenancy.admin(tenancy_core::testing::service());
        admin.put_project(&project).await.unwrap();
        let scribe = RoleDefinition::new("scribe".parse().unwrap()).allow("notes:*");
        admin.put_role(w.acme.id, &scribe).await.unwrap();
        let member = Membership::new(w.acme.id, w.alice, scribe.name.clone());
        admin.put_membership(&member).await.unwrap();
        let in_project =
            ProjectMembership::new(w.acme.id, project.id, w.alice, SystemRole::Viewer.name());
        w.directory
            .put_project_membership(&in_project)
            .await
            .unwrap();
        let new = NewKey::new(w.acme.id, w.alice, "a key", ["*".parse().unwrap()]);
        let key = issue(&w, new.project(project.id)).await;
        Self { w, project, key }
    }

    fn request(&self) -> FakeRequest {
        with(&self.key).peer(ip("198.51.100.1"))
    }

    /// Takes it away, and returns what requests are answered from then on.
    async fn lose(&self, loss: Loss) -> &'static str {
        let (w, id) = (&self.w, self.key.record().id);
        let (keys, admin, tenant) = (
            w.tenancy
                .keys()
                .unwrap()
                .by(tenancy_core::testing::service()),
            w.tenancy.admin(tenancy_core::testing::service()),
            w.acme.id,
        );
        let member = |role| Membership::new(tenant, w.alice, role);
        match loss {
            Loss::Revoked => drop(keys.revoke(tenant, id).await.unwrap()),
            Loss::RevokedByAnOperator => drop(keys.revoke_any(id).await.unwrap()),
            Loss::RevokedWithItsTenant => {
                assert_eq!(keys.revoke_tenant(tenant).await.unwrap(), 1);
            }
            Loss::RevokedByPrefix => {
                let revoked = keys.revoke_prefix("acme_live_").await;
                assert_eq!(revoked.unwrap(), [(tenant, 1)]);
            }
            Loss::Disabled => drop(keys.disable(tenant, id).await.unwrap()),
            Loss::RotatedAway => {
                let at_once = Duration::ZERO;
                drop(keys.rotate(tenant, id, at_once).await.unwrap());
            }
            Loss::NetworksNarrowed => {
                let elsewhere = ["192.0.2.0/24".parse().unwrap()];
                drop(keys.set_networks(tenant, id, elsewhere).await.unwrap());
            }
            Loss::ScopesNarrowed => {
                let read = ["notes:read".parse().unwrap()];
                drop(keys.set_scopes(tenant, id, read).await.unwrap());
            }
            Loss::MembershipRemoved => admin.remove_membership(tenant, w.alice).await.unwrap(),
            Loss::MembershipSuspended => {
                let suspended = member("scribe".parse().unwrap());
                let suspended = suspended.with_status(MembershipStatus::Suspended);
                admin.put_membership(&suspended).await.unwrap();
            }
            Loss::RoleLowered => {
                let viewer = member(SystemRole::Viewer.name());
                admin.put_membership(&viewer).await.unwrap();
            }
            Loss::RoleRedefined => {
                let scribe = RoleDefinition::new("scribe".parse().unwrap()).allow("notes:read");
                admin.put_role(tenant, &scribe).await.unwrap();
            }
            Loss::ProjectArchived => {
                let mut archived = self.project.clone();
                archived.archived = true;
                admin.put_project(&archived).await.unwrap();
            }
            Loss::TenantSuspended => drop(admin.suspend(tenant).await.unwrap()),
        }
        match loss {
            Loss::Disabled => "key-disabled",
            Loss::RotatedAway => "key-rotated",
            Loss::NetworksNarrowed => "key-network",
            Loss::ScopesNarrowed | Loss::RoleLowered | Loss::RoleRedefined => "may not write",
            Loss::MembershipSuspended => "membership-not-active",
            Loss::ProjectArchived => "project-unknown",
            Loss::TenantSuspended => "tenant-suspended",
            _ => "key-revoked",
        }
    }
}

#[tokio::test]
async fn a_first_request_asks_as_many_questions_as_are_held_back_below() {
    let scene = Scene::new().await;
    let asked = scene.w.directory.questions();
    assert_eq!(said(&scene.w, &scene.request()).await, "may write");
    assert_eq!(scene.w.directory.questions(), asked + QUESTIONS);
}

#[tokio::test]
async fn what_was_loading_during_a_revocation_is_not_kept_and_not_waited_for() {
    for loss in LOSSES {
        for question in 0..QUESTIONS {
            let scene = Scene::new().await;
            let (w, request) = (&scene.w, scene.request());
            let asked = w.directory.questions();
            w.directory.hold_answer(question);
            // Without it Tokio's budget for one poll ends in the middle of a later round.
            tokio::task::yield_now().await;
            let mut loading = pin!(said(w, &request));
            assert!(poll!(&mut loading).is_pending());
            assert_eq!(w.directory.questions(), asked + question + 1);

            let after = scene.lose(loss).await;
            let name = format!("{loss:?} at question {question}");
            // Who begins now does not wait for what was read before.
            let meanwhile = said(w, &request).now_or_never();
            assert_eq!(meanwhile, Some(after), "{name}, while it is loading");
            w.directory.tell();
            // The request that was under way may end either way; what it has read stays nowhere.
            let _ = loading.await;
            for _ in 0..2 {
                assert_eq!(said(w, &request).await, after, "{name}, when it was told");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_rotations_at_the_same_time_one_succeeds_and_one_successor_is_admitted() {
    const CALLERS: usize = 8;
    for _ in 0..50 {
        let w = world().await;
        let key = issue(&w, alices(&w)).await;
        let (tenant, id) = (w.acme.id, key.record().id);
        let start = Arc::new(Barrier::new(CALLERS));
        let rotations: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (keys, start) = (
                    w.tenancy
                        .keys()
                        .unwrap()
                        .by(tenancy_core::testing::service()),
                    Arc::clone(&start),
                );
                tokio::spawn(async move {
                    start.wait().await;
                    keys.rotate(tenant, id, Duration::ZERO).await
                })
            })
            .collect();
        let mut admitted = 0;
        for rotation in rotations {
            match rotation.await.unwrap() {
                Ok(new) => admitted += usize::from(w.admit(&with(&new)).await.is_ok()),
                Err(refused) => assert_eq!(refused.kind(), StoreErrorKind::IllegalTransition),
            }
        }
        assert_eq!(admitted, 1);
        assert_eq!(w.refused(&with(&key)).await, (401, "key-rotated"));
        let kept = w.tenancy.keys().unwrap().list(tenant, None, 10).await;
        assert_eq!(kept.unwrap().len(), 2);
    }
}
