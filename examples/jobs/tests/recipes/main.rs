//! The recipes on real PostgreSQL: each works in the tenant that it is for, and in no other.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod world;

use std::sync::Mutex;

use jobs::{Error, mails, nightly, spawned};
use tenancy::{AuditFilter, SystemRole, TenantRecord, testing::service};
use world::on_every_server;

/// Sends to a list, and refuses one recipient.
#[derive(Default)]
struct Outgoing {
    sent: Mutex<Vec<String>>,
    broken: Option<&'static str>,
}

impl mails::Send for Outgoing {
    async fn send(&self, to: &str, body: &str) -> Result<(), Error> {
        if self.broken == Some(to) {
            return Err("the recipient's server does not answer".into());
        }
        self.sent.lock().unwrap().push(format!("{to}: {body}"));
        Ok(())
    }
}

#[tokio::test]
async fn a_task_of_a_request_works_in_the_requests_tenant() -> anyhow::Result<()> {
    on_every_server(async |w| {
        w.write_draft(&w.acme, "now()").await?;
        w.write_draft(&w.globex, "now()").await?;
        w.write_draft(&w.globex, "now()").await?;
        let alice = w.acme.member(SystemRole::Member).await?;
        let context = w.acme.context(alice, SystemRole::Member);
        let db = w.pool.tenant(&context)?;
        spawned::begin_report(db)
            .await?
            .map_err(anyhow::Error::from_boxed)?;
        let reports = w.all("SELECT tenant_id, text FROM reports").await?;
        assert_eq!(reports, [(w.acme.record().id, "acme: 1 drafts".to_owned())]);

        // Who has left meanwhile, or whose tenant was suspended, gets no report.
        let db = w.pool.tenant(&context)?;
        w.acme
            .admin()
            .remove_membership(w.acme.record().id, alice)
            .await?;
        let refused = spawned::begin_report(db).await?;
        assert!(refused.is_err());
        assert_eq!(w.all("SELECT tenant_id, text FROM reports").await?.len(), 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pass_does_its_work_in_each_tenant_and_goes_on_where_it_was_stopped() -> anyhow::Result<()>
{
    on_every_server(async |w| {
        for tenant in [&w.acme, &w.globex] {
            w.write_draft(tenant, "now() - interval '2 years'").await?;
            w.write_draft(tenant, "now()").await?;
        }
        let pass = || nightly::remove_old_drafts(&w.tenancy, &w.pool, &w.system);
        let report = pass().await.map_err(anyhow::Error::from_boxed)?;
        assert_eq!((report.done, report.failures), (2, 0));
        let mut left = w.all("SELECT tenant_id, body FROM drafts").await?;
        left.sort();
        let mut tenants = [w.acme.record().id, w.globex.record().id];
        tenants.sort_unstable();
        assert_eq!(left.iter().map(|(id, _)| *id).collect::<Vec<_>>(), tenants);

        // A pass that was killed has kept its position: the next one begins behind it, and ends it.
        let [first, _] = tenants;
        w.admin(&format!(
            "INSERT INTO job_positions VALUES ('drafts-cleanup', '{first}')"
        ))
        .await?;
        let report = pass().await.map_err(anyhow::Error::from_boxed)?;
        assert_eq!(report.done, 1);
        let report = pass().await.map_err(anyhow::Error::from_boxed)?;
        assert_eq!(report.done, 2);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_worker_sends_each_mail_once_and_what_fails_waits_for_its_turn() -> anyhow::Result<()> {
    on_every_server(async |w| {
        for (tenant, to) in [(&w.acme, "ann"), (&w.globex, "gil"), (&w.acme, "abe")] {
            w.write_mail(tenant, to).await?;
        }
        let sender = Outgoing {
            broken: Some("gil"),
            ..Outgoing::default()
        };
        let run = w.tenancy.begin_job("mail-worker", "a test")?;
        let (mut sent, mut failed) = (0, 0);
        loop {
            match mails::send_next(&run, &w.system, &w.pool, &sender).await {
                Ok(true) => sent += 1,
                Ok(false) => break,
                Err(_) => failed += 1,
            }
        }
        assert_eq!((sent, failed), (2, 1));
        let mut said = sender.sent.lock().unwrap().clone();
        said.sort();
        assert_eq!(said, ["abe: from acme", "ann: from acme"]);

        // After five minutes it is tried again, by whichever worker comes first.
        w.admin("UPDATE mails SET claimed_at = claimed_at - interval '6 minutes'")
            .await?;
        let repaired = Outgoing::default();
        let (one, other) = tokio::join!(
            mails::send_next(&run, &w.system, &w.pool, &repaired),
            mails::send_next(&run, &w.system, &w.pool, &repaired),
        );
        let taken = [one, other].map(|taken| taken.unwrap());
        assert!(taken.contains(&true) && taken.contains(&false), "{taken:?}");
        assert_eq!(*repaired.sent.lock().unwrap(), ["gil: from globex"]);

        // A run adds two entries to the trail, however many mails it sends.
        w.tenancy.audit().flush().await?;
        let of_run = AuditFilter::new().actor(tenancy::Actor::Job("mail-worker".parse()?));
        let admin = w.tenancy.admin(service());
        assert_eq!(admin.list_entries(None, &of_run, None, 10).await?.len(), 2);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_mail_of_a_suspended_tenant_waits() -> anyhow::Result<()> {
    on_every_server(async |w| {
        w.write_mail(&w.acme, "ann").await?;
        let acme: &TenantRecord = w.acme.record();
        w.acme.admin().suspend(acme.id).await?;
        let run = w.tenancy.begin_job("mail-worker", "a test")?;
        let sender = Outgoing::default();
        let refused = mails::send_next(&run, &w.system, &w.pool, &sender).await;
        assert!(refused.is_err());
        w.acme.admin().activate(acme.id).await?;
        w.admin("UPDATE mails SET claimed_at = claimed_at - interval '6 minutes'")
            .await?;
        assert!(
            mails::send_next(&run, &w.system, &w.pool, &sender)
                .await
                .unwrap()
        );
        assert_eq!(*sender.sent.lock().unwrap(), ["ann: from acme"]);
        Ok(())
    })
    .await
}
