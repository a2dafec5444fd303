//! What a caller sends.

use serde_json::json;
use tenancy_core::{
    ConfigError, Membership, RefusalKind, RouteNeeds, SystemRole, Tenancy,
    key::{Environment, KeyFormat},
    testing::FakeRequest,
    testing::KeyStoreDirectly as _,
};

use super::{alices, api_keys, hasher, ip, issue, with, with_keys, world};
use crate::support::World;

#[tokio::test]
async fn a_key_names_its_tenant_and_agrees_with_every_hint() {
    let w = world().await;
    let key = issue(&w, alices(&w)).await;
    let context = w.admit(&with(&key)).await.unwrap();
    assert_eq!(context.tenant_id(), w.acme.id);
    assert_eq!(context.principal().actor.kind(), "key");
    assert!(
        w.admit(&with(&key).header("host", "acme.notes.example"))
            .await
            .is_ok()
    );
    // Alice is a member of both, so that only the key's own tenant is left to refuse her.
    let both = Membership::new(w.globex.id, w.alice, SystemRole::Owner.name());
    w.tenancy
        .admin(tenancy_core::testing::service())
        .put_membership(&both)
        .await
        .unwrap();
    let elsewhere = with(&key).header("host", "globex.notes.example");
    assert_eq!(
        w.refused(&elsewhere).await,
        (404, "credential-of-another-tenant")
    );
    let entry = w.last_audit();
    assert_eq!(
        entry.actor.unwrap().to_string(),
        format!("key:{}", key.record().id)
    );
}

#[tokio::test]
async fn keys_and_tokens_live_side_by_side() {
    let w = world().await;
    let key = issue(&w, alices(&w)).await;
    assert!(w.admit(&with(&key)).await.is_ok());
    assert!(w.admit(&w.alice_at("acme.notes.example")).await.is_ok());
    let strange = FakeRequest::new("/").bearer("acmelive_token");
    assert_eq!(w.refused(&strange).await, (401, "credential-unknown-kind"));
}

#[tokio::test]
async fn every_bad_key_gets_the_same_answer_and_no_difference_is_visible_outside() {
    let w = world().await;
    let admin = w
        .tenancy
        .keys()
        .unwrap()
        .by(tenancy_core::testing::service());
    let good = issue(&w, alices(&w)).await;
    let foreign = KeyFormat::new("acme", Environment::Test).unwrap();
    let elsewhere = World::over(|directory, builder| {
        builder.keys(tenancy_core::key::ApiKeys::new(
            foreign,
            hasher(),
            directory,
        ))
    })
    .await;
    let of_test = issue(&elsewhere, alices(&elsewhere)).await;
    let unknown_world = world().await;
    let unknown = issue(&unknown_world, alices(&unknown_world)).await;
    let revoked = issue(&w, alices(&w)).await;
    admin.revoke(w.acme.id, revoked.record().id).await.unwrap();
    let disabled = issue(&w, alices(&w)).await;
    admin
        .disable(w.acme.id, disabled.record().id)
        .await
        .unwrap();
    let rotated = issue(&w, alices(&w)).await;
    let _new = admin
        .rotate(w.acme.id, rotated.record().id, std::time::Duration::ZERO)
        .await
        .unwrap();
    let office = issue(&w, alices(&w).network("192.0.2.0/24".parse().unwrap())).await;
    let soon = tenancy_core::Clock::now(&*w.clock) + std::time::Duration::from_secs(1);
    let expired = issue(&w, alices(&w).expires_at(soon)).await;
    w.clock.advance(std::time::Duration::from_secs(1));
    // The id of one key with the secret of another, and a checksum that fits.
    let (own, other) = (good.expose(), revoked.expose());
    let mut forged = format!("{}{}", &own[..own.len() - 49], &other[other.len() - 49..]);
    let body = forged.len() - 6;
    let sum = checksum(&forged[..body]);
    forged.replace_range(body.., &sum);
    let mut typo = own.to_owned();
    typo.replace_range(40..41, if &own[40..41] == "x" { "y" } else { "x" });

    let mut answers = Vec::new();
    for (text, from, reason) in [
        ("acme_", None, "key-malformed"),
        (&own[..own.len() - 1], None, "key-malformed"),
        (&format!("{own}0"), None, "key-malformed"),
        (&typo, None, "key-checksum"),
        (of_test.expose(), None, "key-environment"),
        (unknown.expose(), None, "key-unknown"),
        (&forged, None, "key-secret"),
        (revoked.expose(), None, "key-revoked"),
        (disabled.expose(), None, "key-disabled"),
        (rotated.expose(), None, "key-rotated"),
        (expired.expose(), None, "key-expired"),
        (office.expose(), Some(ip("198.51.100.1")), "key-network"),
        (office.expose(), None, "key-network-unknown"),
    ] {
        let mut request = FakeRequest::new("/notes").bearer(text);
        if let Some(from) = from {
            request = request.peer(from);
        }
        let refusal = w.admit(&request).await.unwrap_err();
        assert_eq!(refusal.reason(), reason);
        assert_eq!(refusal.kind(), RefusalKind::Unauthenticated);
        assert_eq!(w.last_audit().reason.as_deref(), Some(reason));
        answers.push((
            refusal.problem().to_json(),
            refusal.problem().www_authenticate().map(str::to_owned),
        ));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(w.admit(&with(&good)).await.is_ok());
}

/// CRC-32 in base62, written again from its definition.
pub(super) fn checksum(text: &str) -> String {
    let mut crc = u32::MAX;
    for byte in text.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    let mut rest = !crc;
    let mut digits = Vec::new();
    for _ in 0..6 {
        let digit = u8::try_from(rest % 62).unwrap();
        digits.push(char::from(match digit {
            0..=9 => b'0' + digit,
            10..=35 => b'A' + digit - 10,
            _ => b'a' + digit - 36,
        }));
        rest /= 62;
    }
    digits.iter().rev().collect()
}

#[tokio::test]
async fn the_environment_is_stored_and_compared_never_trusted_from_the_string() {
    let w = world().await;
    let key = issue(&w, alices(&w)).await;
    // A row that another deployment wrote into this one's table: the text says live.
    let mut record = key.record().clone();
    let other = issue(&w, alices(&w)).await;
    record.id = other.record().id;
    record.verifier = other.record().verifier.clone();
    record.environment = Environment::Test;
    let imposed = World::over(with_keys).await;
    (record.tenant, record.creator) = (imposed.acme.id, imposed.alice);
    imposed.directory.insert_key(&record).await.unwrap();
    assert_eq!(
        imposed.refused(&with(&other)).await,
        (401, "key-environment")
    );
}

#[tokio::test]
async fn bad_texts_ask_the_directory_nothing() {
    let w = world().await;
    let key = issue(&w, alices(&w)).await;
    let (asked, text) = (w.directory.questions(), key.expose());
    for text in [
        text[..50].to_owned(),
        text.replace("live", "test"),
        text.replace("acme_live", "acme_live_live"),
        format!("acme_{}", "x".repeat(5000)),
    ] {
        assert_eq!(w.refused(&FakeRequest::new("/").bearer(&text)).await.0, 401);
    }
    assert_eq!(w.directory.questions(), asked);
}

#[tokio::test]
async fn the_header_of_keys_takes_keys_only_and_never_beside_another_credential() {
    let w = World::over(|directory, builder| {
        let tokens = with_keys(directory.clone(), builder);
        tokens.keys(api_keys(directory).header("X-Api-Key"))
    })
    .await;
    let key = issue(&w, alices(&w)).await;
    let token = w.token(w.alice, json!({}));
    let plain = FakeRequest::new("/").header("host", "acme.notes.example");
    let keyed = plain.clone().header("x-api-key", key.expose());
    assert!(w.admit(&keyed).await.is_ok());
    assert!(
        w.admit(&with(&key)).await.is_ok(),
        "the other field still counts"
    );
    for (request, reason) in [
        (keyed.clone().bearer(key.expose()), "credential-repeated"),
        (keyed.clone().bearer(&token), "credential-repeated"),
        (
            keyed.clone().header("authorization", "Basic x"),
            "credential-repeated",
        ),
        (
            keyed.header("x-api-key", key.expose()),
            "credential-repeated",
        ),
        (
            plain.clone().header("x-api-key", &token),
            "credential-malformed",
        ),
        (
            plain.clone().header("x-api-key", ""),
            "credential-malformed",
        ),
        (
            plain.clone().header("x-api-key", b"\xff"),
            "credential-not-text",
        ),
        (plain.clone(), "credential-absent"),
    ] {
        assert_eq!(w.refused(&request).await, (401, reason));
    }
    let without = super::world().await;
    let key = issue(&without, alices(&without)).await;
    let ignored = plain.header("x-api-key", key.expose());
    assert_eq!(without.refused(&ignored).await, (401, "credential-absent"));
}

#[tokio::test]
async fn an_allow_list_sees_the_caller_behind_trusted_proxies_and_no_header_of_strangers() {
    let w = World::over(|directory, builder| {
        let rules =
            tenancy_core::Identification::new().trusted_proxies(["10.0.0.0/8".parse().unwrap()]);
        with_keys(directory, builder).identification(rules)
    })
    .await;
    let key = issue(&w, alices(&w).network("192.0.2.0/24".parse().unwrap())).await;
    let from = |peer: &str| with(&key).peer(ip(peer));
    let forwarded = |peer: &str, chain: &str| from(peer).header("x-forwarded-for", chain);
    assert!(w.admit(&from("192.0.2.9")).await.is_ok());
    assert!(
        w.admit(&from("::ffff:192.0.2.9")).await.is_ok(),
        "IPv4-mapped IPv6"
    );
    assert!(w.admit(&forwarded("10.0.0.1", "192.0.2.9")).await.is_ok());
    assert!(
        w.admit(&forwarded("10.0.0.1", "::ffff:192.0.2.9, 10.0.0.2"))
            .await
            .is_ok()
    );
    for request in [
        from("198.51.100.1"),
        from("10.0.0.1"),
        forwarded("198.51.100.1", "192.0.2.9"),
        forwarded("10.0.0.1", "192.0.2.9, 198.51.100.1"),
    ] {
        assert_eq!(w.refused(&request).await, (401, "key-network"));
    }
    assert_eq!(w.refused(&with(&key)).await, (401, "key-network-unknown"));
}

/// M10: the proxy's own address is not the caller's, whatever can't be read.
#[tokio::test]
async fn a_key_of_the_proxies_network_does_not_admit_whoever_sends_what_can_not_be_read() {
    let w = World::over(|directory, builder| {
        let rules =
            tenancy_core::Identification::new().trusted_proxies(["10.0.0.0/8".parse().unwrap()]);
        with_keys(directory, builder).identification(rules)
    })
    .await;
    let key = issue(&w, alices(&w).network("10.0.0.0/8".parse().unwrap())).await;
    let forwarded = |lines: &[&str]| {
        let request = with(&key).peer(ip("10.0.0.1"));
        let add = |request: FakeRequest, line: &&str| request.header("x-forwarded-for", line);
        lines.iter().fold(request, add)
    };
    for lines in [
        &["junk"][..],
        &["10.9.9.9, junk"],
        &["10.9.9.9", "junk"],
        &["10.9.9.9:port"],
    ] {
        let refused = w.refused(&forwarded(lines)).await;
        assert_eq!(refused, (401, "key-network-unknown"), "{lines:?}");
    }
    for lines in [
        &["198.51.100.1:4711"][..],
        &["10.9.9.9", "198.51.100.1"],
        &["198.51.100.1", "10.9.9.9"],
    ] {
        let refused = w.refused(&forwarded(lines)).await;
        assert_eq!(refused, (401, "key-network"), "{lines:?}");
    }
    let inside = forwarded(&["198.51.100.1, 10.9.9.9", "10.0.0.2"]);
    assert_eq!(w.refused(&inside).await, (401, "key-network"));
    let w_direct = with(&key).peer(ip("10.0.0.1"));
    assert!(w.admit(&w_direct).await.is_ok(), "the proxy itself");
}

/// M18.
#[tokio::test]
async fn a_field_of_keys_that_names_tenants_too_is_a_configuration_error() {
    let w = world().await;
    for (header, use_of_it) in [
        ("X-Organization-Id", "a hint at the tenant"),
        ("x-project-id", "the project"),
        ("cookie", "cookies"),
        ("authorization", "credentials"),
        ("host", "the host of a request"),
    ] {
        let rules = tenancy_core::Identification::new()
            .header("x-organization-id")
            .project_header("x-project-id");
        let built = tenancy_core::Tenancy::builder(w.directory.clone())
            .identification(rules)
            .keys(api_keys(w.directory.clone()).header(header))
            .build();
        let error = built.unwrap_err().to_string();
        let name = format!("`{}`", header.to_ascii_lowercase());
        assert!(
            error.contains(&name) && error.contains(use_of_it),
            "{error}"
        );
        assert!(error.contains("a credential"), "{error}");
    }
}

/// Several names of one field, and another scheme.
#[tokio::test]
async fn keys_come_from_every_place_that_they_are_given() {
    let w = World::over(|directory, builder| {
        let keys = api_keys(directory)
            .header("x-api-key")
            .header("x-old-key")
            .source(tenancy_core::CredentialSource::scheme("Token"));
        builder.keys(keys)
    })
    .await;
    let key = issue(&w, alices(&w)).await;
    let plain = FakeRequest::new("/notes");
    for (name, value) in [
        ("authorization", format!("Bearer {}", key.expose())),
        ("authorization", format!("Token {}", key.expose())),
        ("x-api-key", key.expose().to_owned()),
        ("x-old-key", key.expose().to_owned()),
    ] {
        let request = plain.clone().header(name, value);
        assert!(w.admit(&request).await.is_ok(), "{request:?}");
    }
}

#[tokio::test]
async fn a_key_without_a_tenant_route_is_its_principal_alone() {
    let w = world().await;
    let key = issue(&w, alices(&w)).await;
    let admitted = w
        .admit_as(&with(&key), RouteNeeds::central())
        .await
        .unwrap();
    let tenancy_core::Admitted::NoTenant(Some(principal)) = admitted else {
        panic!("no tenant");
    };
    assert_eq!(principal.on_behalf_of, Some(w.alice));
}

#[tokio::test]
async fn no_secret_is_shown_anywhere() {
    let w = world().await;
    let key = issue(&w, alices(&w)).await;
    let admin = w
        .tenancy
        .keys()
        .unwrap()
        .by(tenancy_core::testing::service());
    let context = w.admit(&with(&key)).await.unwrap();
    let bad = format!("{}x", key.expose());
    let refusal = w
        .admit(&FakeRequest::new("/").bearer(&bad))
        .await
        .unwrap_err();
    let id = key.record().id;
    let listed = admin.list(w.acme.id, None, 10).await.unwrap();
    admin.revoke_leaked(key.expose()).await.unwrap();
    let shown = format!(
        "{key:?} {:?} {context:?} {refusal:?} {refusal} {listed:?} {:?} {:?} {admin:?}",
        context.principal(),
        w.audit.entries(),
        w.tenancy,
    );
    let recorded = serde_json::to_string(&w.audit.entries()).unwrap();
    let secret = key.expose().rsplit('_').next().unwrap();
    assert!(recorded.contains(&id.to_string()));
    for part in [&secret[..20], &secret[20..43], key.expose()] {
        assert!(!shown.contains(part) && !recorded.contains(part));
    }
    let digest = format!("{:?}", key.record().verifier.digest().unwrap().as_bytes());
    assert!(!shown.contains(&digest));
}

#[tokio::test]
async fn an_engine_without_keys_says_so() {
    let w = World::new().await;
    let missing: Result<_, ConfigError> = w.tenancy.keys();
    assert!(
        missing
            .unwrap_err()
            .to_string()
            .contains("TenancyBuilder::keys")
    );
    let only_keys = super::world().await;
    assert!(only_keys.tenancy.keys().is_ok());
    let builder = Tenancy::builder(w.directory.clone());
    assert!(builder.keys(api_keys(w.directory.clone())).build().is_ok());
    let builder = Tenancy::builder(w.directory.clone());
    let bad = api_keys(w.directory.clone()).header("authorization");
    assert!(builder.keys(bad).build().is_err());
}
