//! Keys and references are rebuilt with the tenant, and stay what they were.

use sqlx::Executor as _;
use tenancy_tests::notes::{on_every_server, sqlstate};

use super::{as_tenant, constraints};
use crate::{as_owner, refusal, told};

#[tokio::test]
async fn d9_match_full_goes_on_refusing_half_a_reference() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE geo (cc text, rc text, PRIMARY KEY (cc, rc));
             CREATE TABLE addr (cc text, rc text, tenant_id uuid,
                 CONSTRAINT addr_geo FOREIGN KEY (cc, rc) REFERENCES geo MATCH FULL);
             COMMENT ON CONSTRAINT addr_geo ON addr IS 'where';
             SELECT tenancy.protect('geo'), tenancy.protect('addr')",
        )
        .await?;
        let refused = as_tenant(
            notes,
            &notes.acme,
            "INSERT INTO addr (cc) VALUES ('de') RETURNING cc",
        );
        assert_eq!(sqlstate(refused.await), "23514");
        let none = "INSERT INTO addr (cc, rc) VALUES (NULL, NULL) RETURNING 'x'";
        assert_eq!(as_tenant(notes, &notes.acme, none).await?.len(), 1);
        let orphan = "INSERT INTO addr (cc, rc) VALUES ('de', 'by') RETURNING 'x'";
        assert_eq!(sqlstate(as_tenant(notes, &notes.acme, orphan).await), "23503");
        let comment = "SELECT obj_description(oid, 'pg_constraint') FROM pg_constraint WHERE conname = 'addr_geo'";
        assert_eq!(told(notes, comment).await?.as_deref(), Some("where"));
        // A second time changes nothing.
        let before = constraints(notes, "addr").await?;
        as_owner(notes, "SELECT tenancy.protect('addr'), tenancy.protect('geo')").await?;
        assert_eq!(constraints(notes, "addr").await?, before);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d10_what_identifies_rows_for_replication_stays_and_is_published() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE dev (id int, serial text NOT NULL CONSTRAINT dev_serial UNIQUE, n int);
             ALTER TABLE dev REPLICA IDENTITY USING INDEX dev_serial;
             CREATE TABLE pkd (id int PRIMARY KEY, n int)",
        )
        .await?;
        notes
            .as_admin("CREATE PUBLICATION p FOR TABLE dev (serial, n) WHERE (serial <> 'x'), pkd (id)")
            .await?;
        let said = refusal(as_owner(notes, "SELECT tenancy.protect('dev')").await);
        assert!(said.contains("the publication p lists its columns"), "{said}");
        assert!(said.contains("ALTER PUBLICATION p ADD TABLE public.dev (serial, n, tenant_id)"), "{said}");

        // By somebody who owns the publication, it is done.
        notes.as_admin("SELECT tenancy.protect('dev'), tenancy.protect('pkd')").await?;
        notes
            .as_admin(&format!(
                "INSERT INTO dev (tenant_id, serial) VALUES ('{0}', 's'); UPDATE dev SET n = 2;
                 INSERT INTO pkd (tenant_id, id) VALUES ('{0}', 1); UPDATE pkd SET n = 2; DELETE FROM pkd",
                notes.acme.id
            ))
            .await?;
        let state = "SELECT string_agg(concat_ws(' ', tablename, attnames, rowfilter), '; ' ORDER BY tablename)
            FROM pg_publication_tables";
        assert_eq!(
            told(notes, state).await?.as_deref(),
            Some("dev {serial,n,tenant_id} (serial <> 'x'::text); pkd {id,tenant_id}")
        );
        let identity = "SELECT relreplident::text FROM pg_class WHERE relname = 'dev'";
        assert_eq!(told(notes, identity).await?.as_deref(), Some("i"));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d11_what_is_said_of_keys_and_references_is_kept() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        let make = format!(
            "CREATE TABLE par (id int CONSTRAINT par_pkey PRIMARY KEY WITH (fillfactor = 70));
             COMMENT ON INDEX par_pkey IS 'index'; COMMENT ON CONSTRAINT par_pkey ON par IS 'key';
             ALTER TABLE par CLUSTER ON par_pkey;
             CREATE TABLE chi (par_id int, tenant_id uuid,
                 u int CONSTRAINT chi_u UNIQUE NULLS NOT DISTINCT DEFERRABLE INITIALLY DEFERRED);
             INSERT INTO chi VALUES (7, '{}');
             ALTER TABLE chi ADD CONSTRAINT chi_par FOREIGN KEY (par_id) REFERENCES par
                 ON UPDATE CASCADE ON DELETE SET NULL DEFERRABLE NOT VALID;
             SELECT tenancy.protect('chi'), tenancy.protect('par')",
            notes.acme.id
        );
        as_owner(notes, &make).await?;
        assert_eq!(
            constraints(notes, "chi").await?,
            "chi_par FOREIGN KEY (tenant_id, par_id) REFERENCES par(tenant_id, id) ON UPDATE CASCADE \
             ON DELETE SET NULL (par_id) DEFERRABLE NOT VALID\n\
             chi_u UNIQUE NULLS NOT DISTINCT (tenant_id, u) DEFERRABLE INITIALLY DEFERRED"
        );
        let marks = "SELECT concat_ws(' ', c.reloptions, i.indisclustered, obj_description(c.oid, 'pg_class'),
                obj_description(k.oid, 'pg_constraint'))
            FROM pg_class AS c JOIN pg_index AS i ON i.indexrelid = c.oid
            JOIN pg_constraint AS k ON k.conindid = c.oid AND k.contype = 'p' WHERE c.relname = 'par_pkey'";
        assert_eq!(told(notes, marks).await?.as_deref(), Some("{fillfactor=70} t index key"));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d11_a_key_that_is_not_enforced_and_one_over_time_stay_that() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        if notes.database.server().version_num().await? < 180_000 {
            return Ok(());
        }
        notes.as_admin("CREATE EXTENSION btree_gist").await?;
        as_owner(
            notes,
            "CREATE TABLE par (id int PRIMARY KEY);
             CREATE TABLE chi (p int REFERENCES par NOT ENFORCED, tenant_id uuid);
             CREATE TABLE rooms (id int, valid daterange, PRIMARY KEY (id, valid WITHOUT OVERLAPS));
             CREATE TABLE books (r int, valid daterange, tenant_id uuid,
                 FOREIGN KEY (r, PERIOD valid) REFERENCES rooms (id, PERIOD valid));
             SELECT tenancy.protect('par'), tenancy.protect('chi'), tenancy.protect('rooms'),
                 tenancy.protect('books')",
        )
        .await?;
        assert_eq!(
            constraints(notes, "chi").await?,
            "chi_p_fkey FOREIGN KEY (tenant_id, p) REFERENCES par(tenant_id, id) NOT ENFORCED"
        );
        assert_eq!(
            constraints(notes, "books").await?,
            "books_r_valid_fkey FOREIGN KEY (tenant_id, r, PERIOD valid) \
             REFERENCES rooms(tenant_id, id, PERIOD valid)"
        );
        assert_eq!(
            constraints(notes, "rooms").await?,
            "rooms_pkey PRIMARY KEY (tenant_id, id, valid WITHOUT OVERLAPS)"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d12_a_reference_whose_tenants_are_crossed_is_refused_from_either_side()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE doc (id int PRIMARY KEY); SELECT tenancy.protect('doc');
             CREATE TABLE spy (tenant_id uuid, their_tenant uuid, d int, CONSTRAINT crossed
                 FOREIGN KEY (their_tenant, d) REFERENCES doc (tenant_id, id) ON DELETE CASCADE);
             CREATE TABLE late (id int, tenant_id uuid, UNIQUE (tenant_id, id));
             CREATE TABLE spy2 (tenant_id uuid, their_tenant uuid, d int, CONSTRAINT crossed2
                 FOREIGN KEY (their_tenant, d) REFERENCES late (tenant_id, id))",
        )
        .await?;
        let said = refusal(as_owner(notes, "SELECT tenancy.protect('spy')").await);
        assert!(
            said.contains("crossed") && said.contains("DROP CONSTRAINT crossed"),
            "{said}"
        );
        // Here the referring table is protected first, when nothing is wrong yet.
        as_owner(notes, "SELECT tenancy.protect('spy2')").await?;
        let said = refusal(as_owner(notes, "SELECT tenancy.protect('late')").await);
        assert!(said.contains("DROP CONSTRAINT crossed2"), "{said}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d12_an_exclusion_constraint_holds_within_one_tenant_or_is_refused() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE times (during tsrange, EXCLUDE USING gist (during WITH &&))",
        )
        .await?;
        let said = refusal(as_owner(notes, "SELECT tenancy.protect('times')").await);
        assert!(said.contains("CREATE EXTENSION btree_gist"), "{said}");
        notes.as_admin("CREATE EXTENSION btree_gist").await?;
        as_owner(
            notes,
            "CREATE TABLE tells (room int, tenant_id uuid,
                 CONSTRAINT tells_of EXCLUDE USING gist (room WITH =, tenant_id WITH <>));
             CREATE TABLE booked (room int, during tsrange, CONSTRAINT free
                 EXCLUDE USING gist (room WITH =, during WITH &&) WITH (fillfactor = 80) WHERE (room > 0)
                 DEFERRABLE);
             SELECT tenancy.protect('times'), tenancy.protect('booked')",
        )
        .await?;
        assert_eq!(
            constraints(notes, "booked").await?,
            "free EXCLUDE USING gist (tenant_id WITH =, room WITH =, during WITH &&) \
             WITH (fillfactor='80') WHERE ((room > 0)) DEFERRABLE"
        );
        let said = refusal(as_owner(notes, "SELECT tenancy.protect('tells')").await);
        assert!(said.contains("the exclusion constraint tells_of tells of other tenants"), "{said}");

        let book = "INSERT INTO booked VALUES (1, '[2026-01-01, 2026-01-02)') RETURNING 'x'";
        for tenant in [&notes.acme, &notes.globex] {
            as_tenant(notes, tenant, book).await?;
            assert_eq!(sqlstate(as_tenant(notes, tenant, book).await), "23P01");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d13_on_delete_never_clears_the_tenant() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE doc (id int PRIMARY KEY); SELECT tenancy.protect('doc');
             CREATE TABLE page (tenant_id uuid, doc int, CONSTRAINT page_doc
                 FOREIGN KEY (tenant_id, doc) REFERENCES doc (tenant_id, id) ON DELETE SET NULL);
             SELECT tenancy.protect('page')",
        )
        .await?;
        for sql in [
            "INSERT INTO doc (id) VALUES (1) RETURNING 'x'",
            "INSERT INTO page (doc) VALUES (1) RETURNING 'x'",
            "DELETE FROM doc RETURNING 'x'",
        ] {
            as_tenant(notes, &notes.acme, sql).await?;
        }
        let left = as_tenant(
            notes,
            &notes.acme,
            "SELECT coalesce(doc::text, 'none') FROM page",
        );
        assert_eq!(left.await?, ["none"]);
        as_owner(
            notes,
            "CREATE TABLE renamed (tenant_id uuid, doc int, CONSTRAINT renamed_doc
                 FOREIGN KEY (tenant_id, doc) REFERENCES doc (tenant_id, id) ON UPDATE SET NULL)",
        )
        .await?;
        let said = refusal(as_owner(notes, "SELECT tenancy.protect('renamed')").await);
        assert!(
            said.contains("ON UPDATE SET would clear the tenant"),
            "{said}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d31_bare_unique_indexes_are_rebuilt_with_all_that_they_say() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE people (email text, name text, n int);
             CREATE UNIQUE INDEX one ON people (lower(email)) WHERE name <> '';
             CREATE UNIQUE INDEX two ON people (name DESC NULLS LAST, email COLLATE \"C\" text_pattern_ops)
                 INCLUDE (n) NULLS NOT DISTINCT WITH (fillfactor = 50);
             COMMENT ON INDEX two IS 'second'; ALTER TABLE people CLUSTER ON two;
             SELECT tenancy.protect('people')",
        )
        .await?;
        let indexes = "SELECT string_agg(concat_ws(' ', pg_get_indexdef(indexrelid), indisclustered, indisvalid,
                obj_description(indexrelid)), E'\\n' ORDER BY indexrelid::regclass::text)
            FROM pg_index WHERE indrelid = 'people'::regclass AND indisunique";
        assert_eq!(
            told(notes, indexes).await?.as_deref(),
            Some(
                "CREATE UNIQUE INDEX one ON public.people USING btree (tenant_id, lower(email)) \
                 WHERE (name <> ''::text) f t\n\
                 CREATE UNIQUE INDEX two ON public.people USING btree (tenant_id, name DESC NULLS LAST, \
                 email COLLATE \"C\" text_pattern_ops) INCLUDE (n) NULLS NOT DISTINCT WITH (fillfactor='50') \
                 t t second"
            )
        );
        let insert = "INSERT INTO people (email, name) VALUES ('a', 'b') RETURNING 'x'";
        for tenant in [&notes.acme, &notes.globex] {
            as_tenant(notes, tenant, insert).await?;
            assert_eq!(sqlstate(as_tenant(notes, tenant, insert).await), "23505");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d31_a_partitioned_tables_index_stays_unique_in_its_partitions() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE ev (n int, k text) PARTITION BY RANGE (n);
             CREATE TABLE ev_low PARTITION OF ev FOR VALUES FROM (0) TO (10);
             CREATE UNIQUE INDEX ev_u ON ev (n, lower(k)) WHERE k <> '';
             ALTER INDEX ev_low_n_lower_idx RENAME TO \"low's own\";
             COMMENT ON INDEX ev_u IS 'once'; COMMENT ON INDEX \"low's own\" IS 'its part';
             CREATE UNIQUE INDEX low_k ON ev_low (k);
             SELECT tenancy.protect('ev')",
        )
        .await?;
        let indexes = "SELECT string_agg(concat_ws(' ', indexrelid::regclass, indisvalid, obj_description(indexrelid),
                (SELECT attname FROM pg_attribute WHERE attrelid = indrelid AND attnum = indkey[0])), E'\\n'
                ORDER BY indexrelid::regclass::text)
            FROM pg_index WHERE indrelid IN ('ev'::regclass, 'ev_low'::regclass) AND indisunique";
        assert_eq!(
            told(notes, indexes).await?.as_deref(),
            Some("\"low's own\" t its part tenant_id\nev_u t once tenant_id\nlow_k t tenant_id")
        );
        let insert = "INSERT INTO ev (n, k) VALUES (1, 'a') RETURNING 'x'";
        for tenant in [&notes.acme, &notes.globex] {
            as_tenant(notes, tenant, insert).await?;
            assert_eq!(sqlstate(as_tenant(notes, tenant, insert).await), "23505");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d32_a_reference_to_a_bare_unique_index_is_rebuilt_with_it() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE tags (s text); CREATE UNIQUE INDEX tags_s ON tags (s);
             CREATE TABLE tagged (s text REFERENCES tags (s) ON UPDATE CASCADE, tenant_id uuid);
             SELECT tenancy.protect('tags'), tenancy.protect('tagged')",
        )
        .await?;
        assert_eq!(
            constraints(notes, "tagged").await?,
            "tagged_s_fkey FOREIGN KEY (tenant_id, s) REFERENCES tags(tenant_id, s) ON UPDATE CASCADE"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d32_tables_of_several_owners_are_named_with_the_mend() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        notes
            .as_admin(
                "CREATE TABLE ours (id int PRIMARY KEY); ALTER TABLE ours OWNER TO tenancy_owner;
                 CREATE TABLE theirs (tenant_id uuid, m int REFERENCES ours)",
            )
            .await?;
        for table in ["ours", "theirs"] {
            let said =
                refusal(as_owner(notes, &format!("SELECT tenancy.protect('{table}')")).await);
            assert!(
                said.contains("ALTER TABLE public.theirs OWNER TO tenancy_owner"),
                "{said}"
            );
        }
        notes
            .as_admin("ALTER TABLE theirs OWNER TO tenancy_owner")
            .await?;
        as_owner(
            notes,
            "SELECT tenancy.protect('ours'), tenancy.protect('theirs')",
        )
        .await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d33_the_tenants_own_table_keeps_its_ids_and_a_partner_is_no_way_to_another_tenant()
-> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE root (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text);
             CREATE TABLE member (org uuid NOT NULL REFERENCES root (id), n int UNIQUE);
             CREATE TABLE partner (org uuid REFERENCES root (id), partner uuid REFERENCES root (id));
             SELECT tenancy.protect('root', 'id'), tenancy.protect('member', 'org')",
        )
        .await?;
        let default = "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'root'::regclass";
        assert_eq!(told(notes, default).await?.as_deref(), Some("gen_random_uuid()"));
        let said = refusal(as_owner(notes, "SELECT tenancy.protect('partner', 'org')").await);
        assert!(said.contains("partner_partner_fkey") && said.contains("tenancy.tenants (id)"), "{said}");
        as_owner(
            notes,
            "ALTER TABLE partner DROP CONSTRAINT partner_partner_fkey,
                 ADD FOREIGN KEY (partner) REFERENCES tenancy.tenants (id);
             SELECT tenancy.protect('partner', 'org')",
        )
        .await?;
        notes
            .as_admin(&format!("INSERT INTO root VALUES ('{}'), ('{}')", notes.acme.id, notes.globex.id))
            .await?;
        assert_eq!(as_tenant(notes, &notes.acme, "SELECT id::text FROM root").await?, [notes.acme.id.to_string()]);
        as_tenant(notes, &notes.acme, "INSERT INTO member (n) VALUES (1) RETURNING 'x'").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn d33_pairs_follow_what_columns_are_and_not_their_names() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE parents (id int PRIMARY KEY, org uuid);
             CREATE TABLE children (p int REFERENCES parents, company uuid);
             SELECT tenancy.protect('children', 'company'), tenancy.protect('parents', 'org')",
        )
        .await?;
        assert_eq!(
            constraints(notes, "children").await?,
            "children_p_fkey FOREIGN KEY (company, p) REFERENCES parents(org, id)"
        );
        Ok(())
    })
    .await
}

/// A key of a partition that something refers to.
#[tokio::test]
async fn d27_a_reference_to_a_leaf_partition_is_paired() -> anyhow::Result<()> {
    on_every_server(async |notes| {
        as_owner(
            notes,
            "CREATE TABLE ev (n int PRIMARY KEY) PARTITION BY RANGE (n);
             CREATE TABLE ev_low PARTITION OF ev FOR VALUES FROM (0) TO (10);
             ALTER TABLE ev_low REPLICA IDENTITY USING INDEX ev_low_pkey;
             CREATE TABLE to_leaf (n int REFERENCES ev_low, tenant_id uuid);
             SELECT tenancy.protect('ev'), tenancy.protect('to_leaf')",
        )
        .await?;
        assert_eq!(
            constraints(notes, "to_leaf").await?,
            "to_leaf_n_fkey FOREIGN KEY (tenant_id, n) REFERENCES ev_low(tenant_id, n)"
        );
        let mut admin = notes.database.admin().await?;
        admin.execute("CREATE PUBLICATION p FOR TABLE ev").await?;
        let insert = format!(
            "INSERT INTO ev (tenant_id, n) VALUES ('{}', 1)",
            notes.acme.id
        );
        notes.as_admin(&insert).await?;
        notes.as_admin("DELETE FROM ev").await?;
        Ok(())
    })
    .await
}
