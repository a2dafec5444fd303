//! What one client does: a request of some tenant after the other, each answer checked.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use serde::de::DeserializeOwned;
use tenancy_tests::{Answer, Client, Random};
use uuid::Uuid;

use crate::{
    crowd::{Account, Crowd, Standing},
    report::{Side, Tally},
    service::NOT_FOUND,
};

pub(crate) struct Worker {
    crowd: Arc<Crowd>,
    side: Side,
    address: SocketAddr,
    random: Random,
    client: Option<Client>,
    tally: Tally,
}

/// What a request is for.
#[derive(Debug)]
enum Deed {
    List,
    ReadOwn(Uuid),
    /// Of a note that another tenant has, as long as the run lasts.
    ReadForeign(Uuid),
    DeleteForeign(Uuid),
    Add(String),
    Delete(Uuid, String),
}

impl Deed {
    fn request(&self, fields: &str) -> Vec<u8> {
        let (method, target, body) = match self {
            Self::List => ("GET", "/notes".to_owned(), ""),
            Self::ReadOwn(id) | Self::ReadForeign(id) => ("GET", format!("/notes/{id}"), ""),
            Self::Delete(id, _) | Self::DeleteForeign(id) => ("DELETE", format!("/notes/{id}"), ""),
            Self::Add(body) => ("POST", "/notes".to_owned(), body.as_str()),
        };
        let length = body.len();
        let text =
            format!("{method} {target} HTTP/1.1\r\n{fields}content-length: {length}\r\n\r\n{body}");
        text.into_bytes()
    }
}

impl Worker {
    pub(crate) fn new(crowd: &Arc<Crowd>, side: Side, address: SocketAddr, random: Random) -> Self {
        Self {
            crowd: Arc::clone(crowd),
            side,
            address,
            random,
            client: None,
            tally: Tally::default(),
        }
    }

    pub(crate) async fn work(mut self, until: Instant) -> Tally {
        let crowd = Arc::clone(&self.crowd);
        // A library that is broken need not be asked thousands of times.
        while Instant::now() < until && self.tally.faults.len() < 3 {
            let account = match self.random.below(8) {
                0 => crowd.at(crowd.in_question.load(Ordering::Relaxed)),
                _ => crowd.any(&mut self.random),
            };
            let deed = self.choose(account);
            if let Err(error) = self.request(account, &deed).await {
                let fault = format!("{}, {deed:?}: {error:#}", account.is.slug);
                self.tally.fault(self.side, fault);
            }
        }
        self.tally
    }

    fn choose(&mut self, account: &Account) -> Deed {
        let random = &mut self.random;
        let own = *random.one_of(&account.is.notes).unwrap();
        match random.below(100) {
            0..40 => Deed::List,
            40..60 => Deed::ReadOwn(own),
            choice @ 60..70 => loop {
                let other = self.crowd.any(random);
                if other.is.tenant != account.is.tenant {
                    let id = *random.one_of(&other.is.notes).unwrap();
                    break match choice {
                        60..67 => Deed::ReadForeign(id),
                        _ => Deed::DeleteForeign(id),
                    };
                }
            },
            70..86 => Deed::Add(self.side.body(&account.is.slug, random.below(u64::MAX))),
            _ => {
                let mut rows = account.rows(self.side);
                match rows.kept.pop_first() {
                    Some((id, body)) => {
                        rows.in_doubt.insert(id, body.clone());
                        Deed::Delete(id, body)
                    }
                    None => Deed::ReadOwn(own),
                }
            }
        }
    }

    async fn request(&mut self, account: &Account, deed: &Deed) -> anyhow::Result<()> {
        let bytes = deed.request(&account.fields);
        if self.random.below(32) == 0 {
            if let Deed::Add(body) = deed {
                account.rows(self.side).unanswered.insert(body.clone());
            }
            return self.hang_up(&bytes).await;
        }
        let mut client = match self.client.take() {
            Some(client) => client,
            None => Client::connect(self.address).await?,
        };
        let (before, start) = (account.standing(), Instant::now());
        let asking = tokio::time::timeout(Duration::from_secs(20), client.ask(&bytes));
        let answer = asking.await??;
        let (after, took) = (account.standing(), start.elapsed());
        let checked = self.check(account, deed, &answer, [before, after], took);
        // actix-web closes the connection of a request whose body it has not read.
        self.client = (!answer.closes).then_some(client);
        checked
    }

    fn check(
        &mut self,
        account: &Account,
        deed: &Deed,
        answer: &Answer<'_>,
        [before, after]: [Standing; 2],
        took: Duration,
    ) -> anyhow::Result<()> {
        if self.side == Side::Tenancy && answer.status == 403 {
            let body = String::from_utf8_lossy(answer.body);
            let explained = body.contains("urn:tenancy:problem:tenant-suspended")
                && !Standing::must_serve(before, after);
            anyhow::ensure!(explained, "refused: {body}");
            if let Deed::Delete(id, body) = deed {
                let mut rows = account.rows(self.side);
                rows.in_doubt.remove(id);
                rows.kept.insert(*id, body.clone());
            }
            self.tally.refused += 1;
            return Ok(());
        }
        let asleep = self.side == Side::Tenancy && Standing::must_refuse(before, after);
        anyhow::ensure!(!asleep, "served while suspended");
        self.tally.answered(self.side, took);
        match deed {
            Deed::List => {
                let rows: Vec<(Uuid, String)> = read(answer.status, answer.body)?;
                let foreign: Vec<_> = rows
                    .iter()
                    .filter(|(_, body)| !account.owns(body))
                    .collect();
                anyhow::ensure!(foreign.is_empty(), "saw {foreign:?}");
                let sees = |id| rows.iter().any(|(seen, _)| seen == id);
                anyhow::ensure!(account.is.notes.iter().all(sees), "saw only {rows:?}");
            }
            Deed::ReadOwn(_) => {
                let body: String = read(answer.status, answer.body)?;
                anyhow::ensure!(account.owns(&body), "saw {body}");
            }
            Deed::ReadForeign(_) | Deed::DeleteForeign(_) => {
                let said = (answer.status, String::from_utf8_lossy(answer.body));
                anyhow::ensure!(said == (404, format!("\"{NOT_FOUND}\"").into()), "{said:?}");
                self.tally.foreign += 1;
            }
            Deed::Add(body) => {
                let id = read(answer.status, answer.body)?;
                account.rows(self.side).kept.insert(id, body.clone());
                self.tally.written += 1;
            }
            Deed::Delete(id, _) => {
                let gone: bool = read(answer.status, answer.body)?;
                anyhow::ensure!(gone, "not there");
                let mut rows = account.rows(self.side);
                rows.in_doubt.remove(id);
                rows.deleted.insert(*id);
                self.tally.deleted += 1;
            }
        }
        Ok(())
    }

    /// Closes the connection with a request half sent, or sent and not answered yet.
    async fn hang_up(&mut self, request: &[u8]) -> anyhow::Result<()> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => Client::connect(self.address).await?,
        };
        if self.random.below(4) == 0 {
            let half = self.random.below(request.len() as u64);
            client.send(&request[..usize::try_from(half)?]).await?;
        } else {
            client.send(request).await?;
            tokio::time::sleep(Duration::from_micros(self.random.below(20_000))).await;
        }
        self.tally.hung_up += 1;
        Ok(())
    }
}

fn read<T: DeserializeOwned>(status: u16, body: &[u8]) -> anyhow::Result<T> {
    let text = String::from_utf8_lossy(body);
    anyhow::ensure!(status == 200, "{status} {text}");
    Ok(serde_json::from_str(&text)?)
}
