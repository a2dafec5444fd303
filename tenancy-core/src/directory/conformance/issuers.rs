//! Issuers that tenants bring along: found, replaced, removed and listed.

use super::{new_tenant, slug};
use crate::{
    Directory, DirectoryStore, IssuerDirectory, IssuerRecord, IssuerStore, StoreErrorKind,
    TenantId, testing::unattributed,
};

/// Runs all that concerns issuers.
pub async fn issuers<D>(directory: &D)
where
    D: Directory + DirectoryStore + IssuerDirectory + IssuerStore,
{
    an_issuer_is_one_tenants(directory).await;
    issuers_are_listed_in_pages(directory).await;
}

fn issuer(name: &str, tenant: TenantId, number: u32) -> IssuerRecord {
    IssuerRecord::new(name, tenant, serde_json::json!({ "number": number }))
}

/// An issuer is found by its exact name, is replaced and removed by its tenant, and taken for others.
pub async fn an_issuer_is_one_tenants<D>(directory: &D)
where
    D: Directory + DirectoryStore + IssuerDirectory + IssuerStore,
{
    let (one, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let name = format!("https://Sso.{}.example/'\"; --ß", slug("i"));
    let record = unattributed();
    for number in 0..2 {
        let put = issuer(&name, one.id, number);
        directory.put_issuer(&put, &unattributed()).await.unwrap();
        let found = directory.find_issuer(&name).await.unwrap();
        assert_eq!(found, Some(put), "the newest configuration");
    }
    for wrong in [name.to_lowercase(), format!("{name}/"), String::new()] {
        assert_eq!(directory.find_issuer(&wrong).await.unwrap(), None);
    }
    let taken = directory
        .put_issuer(&issuer(&name, other.id, 7), &record)
        .await;
    assert_eq!(taken.unwrap_err().kind(), StoreErrorKind::Conflict);
    directory
        .remove_issuer(other.id, &name, &unattributed())
        .await
        .unwrap();
    let kept = directory.find_issuer(&name).await.unwrap();
    assert_eq!(kept, Some(issuer(&name, one.id, 1)));

    let remove = async |name: &str| directory.remove_issuer(one.id, name, &unattributed()).await;
    remove(&name).await.unwrap();
    remove(&name).await.expect("removing what is not there");
    assert_eq!(directory.find_issuer(&name).await.unwrap(), None);
    let put = directory
        .put_issuer(&issuer(&name, other.id, 7), &record)
        .await;
    put.expect("the name is free");

    let nobody = TenantId::new();
    let astray = issuer("https://x.example", nobody, 1);
    let unknown = directory.put_issuer(&astray, &record).await;
    assert_eq!(unknown.unwrap_err().kind(), StoreErrorKind::NotFound);
    let unknown = directory.remove_issuer(nobody, &name, &record).await;
    assert_eq!(unknown.unwrap_err().kind(), StoreErrorKind::NotFound);
    let long = "x".repeat(IssuerRecord::MAX_ISSUER_LEN + 1);
    for wrong in ["", "a\nb", &long] {
        let invalid = directory
            .put_issuer(&issuer(wrong, one.id, 1), &record)
            .await;
        assert_eq!(invalid.unwrap_err().kind(), StoreErrorKind::Invalid);
    }
}

/// A tenant's issuers, by name, in pages.
pub async fn issuers_are_listed_in_pages<D>(directory: &D)
where
    D: Directory + DirectoryStore + IssuerDirectory + IssuerStore,
{
    let (one, other) = (new_tenant(directory).await, new_tenant(directory).await);
    let mut own = Vec::new();
    for number in 0..7 {
        // Upper case stands before lower case, and both before what is not ASCII.
        let letter = ["B", "a", "é", "Z", "b", "A", "z"][usize::try_from(number).unwrap()];
        for tenant in [&one, &other] {
            let put = issuer(
                &format!("https://{letter}.{}", tenant.slug),
                tenant.id,
                number,
            );
            directory.put_issuer(&put, &unattributed()).await.unwrap();
            if tenant.id == one.id {
                own.push(put);
            }
        }
    }
    own.sort_by(|a, b| a.issuer.cmp(&b.issuer));
    let mut found: Vec<IssuerRecord> = Vec::new();
    loop {
        let after = found.last().map(|last| last.issuer.as_str());
        let page = directory.list_issuers(one.id, after, 3).await.unwrap();
        assert!(page.len() <= 3);
        if page.is_empty() {
            break;
        }
        found.extend(page);
    }
    assert_eq!(found, own);
}
