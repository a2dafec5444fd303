//! How later migrations refer to a protected table, and values that stay unique across tenants.

use tenancy_tests::notes::{on_every_server, sqlstate};

use super::{as_tenant, constraints};
use crate::{as_owner, refusal, told};

#[tokio::test]
async fn d25_a_value_stays_unique_across_tenants_where_the_owner_says_so() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE invites (token text CONSTRAINT invites_token UNIQUE, email text UNIQUE);
             COMMENT ON INDEX invites_token IS 'in mails';
             SELECT tenancy.protect('invites', global => '{invites_token}');
             SELECT tenancy.protect('invites')",
        )
        .await?;
        let insert = "INSERT INTO invites VALUES ('secret', 'a@b') ON CONFLICT (token) DO NOTHING RETURNING 'x'";
        assert_eq!(as_tenant(notes, &notes.acme, insert).await?.len(), 1);
        assert_eq!(as_tenant(notes, &notes.globex, insert).await?.len(), 0, "it is taken");
        let other = "INSERT INTO invites VALUES ('other', 'a@b') RETURNING 'x'";
        assert_eq!(as_tenant(notes, &notes.globex, other).await?.len(), 1, "emails are a tenant's");
        let comment = "SELECT obj_description('invites_token'::regclass)";
        let comment = told(notes, comment).await?.unwrap_or_default();
        assert!(comment.starts_with("in mails ") && comment.contains("unique across tenants"), "{comment}");

        let late = refusal(
            as_owner(
                notes,
                "SELECT tenancy.protect('invites', global => '{invites_email_key}')",
            )
            .await,
        );
        assert!(late.contains("has tenant_id in it already"), "{late}");
        let wrong = refusal(as_owner(notes, "SELECT tenancy.protect('invites', global => '{no_such}')").await);
        assert!(wrong.contains("no unique key no_such") && wrong.contains("invites_token"), "{wrong}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d35_a_later_table_refers_by_tenant_and_key() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE par (id int PRIMARY KEY); SELECT tenancy.protect('par');
             CREATE TABLE kid (
                 tenant_id uuid NOT NULL DEFAULT tenancy.current_tenant(), p int,
                 FOREIGN KEY (tenant_id, p) REFERENCES par (tenant_id, id));
             SELECT tenancy.protect('kid')",
        )
        .await?;
        as_tenant(
            notes,
            &notes.globex,
            "INSERT INTO par VALUES (1) RETURNING 'x'",
        )
        .await?;
        let foreign = "INSERT INTO kid (p) VALUES (1) RETURNING 'x'";
        assert_eq!(
            sqlstate(as_tenant(notes, &notes.acme, foreign).await),
            "23503"
        );
        as_tenant(notes, &notes.globex, foreign).await?;
        Ok(())
    })
    .await
}

/// As tools write migrations that know of no tenants.
#[tokio::test]
async fn d35_a_later_table_refers_by_key_alone_where_that_stays_unique() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE par (id uuid PRIMARY KEY DEFAULT gen_random_uuid());
             CREATE TABLE before (p uuid REFERENCES par, tenant_id uuid);
             SELECT tenancy.protect('par', global => '{par_pkey}'), tenancy.protect('before');
             CREATE TABLE kid (p uuid REFERENCES par (id) ON DELETE CASCADE);
             SELECT tenancy.protect('kid'); SELECT tenancy.protect('par')",
        )
        .await?;
        assert_eq!(
            constraints(notes, "par").await?,
            "par_pkey PRIMARY KEY (id)\npar_tenant_id_id_key UNIQUE (tenant_id, id)"
        );
        for (table, action) in [("kid", " ON DELETE CASCADE"), ("before", "")] {
            assert_eq!(
                constraints(notes, table).await?,
                format!("{table}_p_fkey FOREIGN KEY (tenant_id, p) REFERENCES par(tenant_id, id){action}")
            );
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d35_a_later_unique_key_and_what_refers_to_it_are_rebuilt_by_the_next_call()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE par (id int PRIMARY KEY); SELECT tenancy.protect('par');
             ALTER TABLE par ADD code text UNIQUE;
             CREATE TABLE kid (code text REFERENCES par (code));
             SELECT tenancy.protect('kid')",
        )
        .await?;
        assert_eq!(
            constraints(notes, "kid").await?,
            "kid_code_fkey FOREIGN KEY (tenant_id, code) REFERENCES par(tenant_id, code)"
        );
        assert!(
            constraints(notes, "par")
                .await?
                .contains("UNIQUE (tenant_id, code)")
        );
        Ok(())
    })
    .await
}
