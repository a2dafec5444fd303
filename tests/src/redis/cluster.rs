//! A throw-away Redis Cluster of three masters.

use std::{fs, io, time::Duration};

use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::{
    loss::Loss,
    server::{Kind, RedisServer},
};
use crate::postgres::{Account, Error, free_port};

/// How many slots there are.
const SLOTS: u16 = 16_384;

/// How long a cluster has to agree on something.
const PATIENCE: Duration = Duration::from_secs(60);

/// Three masters on loopback with a third of the slots each, and replicas on request. A node that is started again is the
/// node that it was, without its data. A master that is gone takes only its own slots along
/// (`cluster-require-full-coverage no`).
///
/// ```no_run
/// use tenancy_tests::RedisCluster;
///
/// # async fn test() -> Result<(), tenancy_tests::Error> {
/// let cluster = RedisCluster::start().await?;
/// let urls = cluster.urls();
/// cluster.move_slot(0, 0, 1).await?;
/// # drop(urls);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "it ends when this is dropped"]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
    ids: Vec<String>,
    // In front of the nodes, where answers are to be lost.
    losses: Vec<Loss>,
    is_lossy: bool,
    // What the nodes know of the cluster outlives their processes.
    knowledge: TempDir,
}

impl RedisCluster {
    /// Starts one, and waits until all of it agrees.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there is no Redis here; others if it does not start.
    pub async fn start() -> Result<Self, Error> {
        Self::with(false).await
    }

    /// Starts one on whose ways to clients answers can be lost: see [`lose`](Self::lose).
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub async fn lossy() -> Result<Self, Error> {
        Self::with(true).await
    }

    async fn with(is_lossy: bool) -> Result<Self, Error> {
        let knowledge = tempfile::Builder::new()
            .prefix("tenancy-redis-cluster-")
            .tempdir()
            .map_err(Error::io("cannot create a directory for Redis"))?;
        Account::choose()?.own(knowledge.path())?;
        let mut cluster = Self {
            nodes: Vec::new(),
            ids: Vec::new(),
            losses: Vec::new(),
            is_lossy,
            knowledge,
        };
        let third = SLOTS / 3;
        for (first, last) in [
            (0, third),
            (third + 1, 2 * third),
            (2 * third + 1, SLOTS - 1),
        ] {
            let number = cluster.add().await?;
            let node = cluster.node(number);
            let epoch = (number + 1).to_string();
            node.ask::<()>(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch])
                .await?;
            let (first, last) = (first.to_string(), last.to_string());
            node.ask::<()>(&["CLUSTER", "ADDSLOTSRANGE", &first, &last])
                .await?;
        }
        cluster.join(1).await?;
        cluster.join(2).await?;
        cluster.agrees().await?;
        Ok(cluster)
    }

    /// A URL of each node.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        if self.is_lossy {
            let ports = self.losses.iter().map(Loss::port);
            return ports
                .map(|port| format!("redis://127.0.0.1:{port}"))
                .collect();
        }
        self.nodes.iter().map(RedisServer::url).collect()
    }

    /// Of a [`lossy`](Self::lossy) cluster: loses as many more of the answers of each node to scripts, after these were
    /// run, and their connections with them.
    pub fn lose(&self, count: u64) {
        self.losses.iter().for_each(|loss| loss.lose(count));
    }

    /// The same at one node.
    pub fn lose_at(&self, node: usize, count: u64) {
        self.losses
            .get(node)
            .into_iter()
            .for_each(|loss| loss.lose(count));
    }

    /// Of a [`lossy`](Self::lossy) cluster: the connections that there are say nothing any more, and stay open.
    pub fn silence(&self) {
        self.losses.iter().for_each(Loss::silence);
    }

    /// How many answers were lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.losses.iter().map(Loss::lost).sum()
    }

    /// A node: the masters are 0, 1 and 2, and replicas follow as they were added.
    ///
    /// # Panics
    /// If there is no such node.
    #[allow(clippy::indexing_slicing)]
    pub fn node(&self, number: usize) -> &RedisServer {
        &self.nodes[number]
    }

    /// Which node holds a slot, as the first of these nodes sees it.
    ///
    /// # Errors
    /// An [`Error`] if it does not know one of ours.
    pub async fn holder(&self, slot: u16, seen_by: usize) -> Result<usize, Error> {
        type Range = (u16, u16, Vec<redis::Value>);
        let ranges: Vec<Vec<redis::Value>> = self.node(seen_by).ask(&["CLUSTER", "SLOTS"]).await?;
        for range in ranges {
            let range: Range =
                redis::from_redis_value(redis::Value::Array(range.into_iter().take(3).collect()))
                    .map_err(|error| {
                    Error::io("CLUSTER SLOTS has another form")(io::Error::other(error))
                })?;
            if (range.0..=range.1).contains(&slot) {
                let id = range.2.get(2).and_then(|id| match id {
                    redis::Value::BulkString(id) => std::str::from_utf8(id).ok(),
                    _ => None,
                });
                let ours = self.ids.iter().position(|known| Some(known.as_str()) == id);
                return ours.ok_or_else(nobody);
            }
        }
        Err(nobody())
    }

    /// Moves a slot from a node to another, one key after another, while others use it.
    ///
    /// # Errors
    /// An [`Error`] if a node does not do its part.
    pub async fn move_slot(&self, slot: u16, from: usize, to: usize) -> Result<(), Error> {
        self.begin_move(slot, from, to).await?;
        let (source, target) = (self.node(from), self.node(to));
        let (slot, port) = (slot.to_string(), target.port().to_string());
        loop {
            let ask = ["CLUSTER", "GETKEYSINSLOT", &slot, "500"];
            let keys: Vec<String> = source.ask(&ask).await?;
            if keys.is_empty() {
                break;
            }
            let commands: Vec<_> = keys.iter().map(|key| migrate(key, &port)).collect();
            source.ask_all::<String, _, _>(&commands).await?;
        }
        let end = ["CLUSTER", "SETSLOT", &slot, "NODE", self.id(to)];
        target.ask::<()>(&end).await?;
        source.ask::<()>(&end).await
    }

    /// Declares that a slot is on its way. [`move_slot`](Self::move_slot) does the rest.
    ///
    /// # Errors
    /// An [`Error`] if a node does not do its part.
    pub async fn begin_move(&self, slot: u16, from: usize, to: usize) -> Result<(), Error> {
        let slot = slot.to_string();
        let arrives = ["CLUSTER", "SETSLOT", &slot, "IMPORTING", self.id(from)];
        self.node(to).ask::<()>(&arrives).await?;
        let leaves = ["CLUSTER", "SETSLOT", &slot, "MIGRATING", self.id(to)];
        self.node(from).ask(&leaves).await
    }

    /// Moves one key of a slot that is on its way.
    ///
    /// # Errors
    /// An [`Error`] if it does not come about.
    pub async fn move_key(&self, key: &str, from: usize, to: usize) -> Result<(), Error> {
        let port = self.node(to).port().to_string();
        self.node(from).ask(&migrate(key, &port)).await
    }

    /// Adds a replica of a master, and waits until it has the master's data. Returns its number.
    ///
    /// # Errors
    /// An [`Error`] if it does not come about.
    pub async fn add_replica(&mut self, master: usize) -> Result<usize, Error> {
        let number = self.add().await?;
        self.join(number).await?;
        let id = self.id(master);
        let replica = self.node(number);
        let deadline = Instant::now() + PATIENCE;
        // It has to have heard of the master first.
        while let Err(error) = replica.ask::<()>(&["CLUSTER", "REPLICATE", id]).await {
            wait(deadline, error).await?;
        }
        loop {
            let state: String = replica.ask(&["INFO", "replication"]).await?;
            if state.contains("master_link_status:up") {
                break;
            }
            wait(deadline, late("a replica follows its master")).await?;
        }
        self.agrees().await?;
        Ok(number)
    }

    /// Has a replica take over from its master, which becomes a replica of it.
    ///
    /// # Errors
    /// An [`Error`] if it does not come about.
    pub async fn fail_over_to(&self, replica: usize) -> Result<(), Error> {
        let node = self.node(replica);
        let deadline = Instant::now() + PATIENCE;
        let mut asked: Option<Instant> = None;
        loop {
            let state: String = node.ask(&["INFO", "replication"]).await?;
            if state.contains("role:master") {
                return Ok(());
            }
            // The two nodes give it up after five seconds, and say so nowhere.
            if asked.is_none_or(|asked| asked.elapsed() > Duration::from_secs(6)) {
                node.ask::<()>(&["CLUSTER", "FAILOVER"]).await?;
                asked = Some(Instant::now());
            }
            wait(deadline, late("a replica takes over")).await?;
        }
    }

    /// Waits until every node knows every other, and that all is well.
    ///
    /// # Errors
    /// An [`Error`] if they do not agree.
    pub async fn agrees(&self) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        'nodes: for node in &self.nodes {
            loop {
                let info: String = node.ask(&["CLUSTER", "INFO"]).await?;
                let nodes: String = node.ask(&["CLUSTER", "NODES"]).await?;
                let knows_all = self.ids.iter().all(|id| nodes.contains(id.as_str()));
                let whole = format!("cluster_slots_ok:{SLOTS}");
                if info.contains("cluster_state:ok")
                    && info.contains(&whole)
                    && knows_all
                    && !nodes.contains("fail")
                    && !nodes.contains("handshake")
                {
                    continue 'nodes;
                }
                wait(deadline, late("a cluster agrees")).await?;
            }
        }
        Ok(())
    }

    #[allow(clippy::indexing_slicing)]
    fn id(&self, number: usize) -> &str {
        &self.ids[number]
    }

    /// Starts a node that knows no other.
    async fn add(&mut self) -> Result<usize, Error> {
        let number = self.nodes.len();
        let file = self.knowledge.path().join(format!("node-{number}"));
        let node = RedisServer::run(Kind::Server, |_| {
            // What a start that failed has left.
            let _ = fs::remove_file(&file);
            let bus = free_port()?;
            Ok(format!(
                "cluster-enabled yes\ncluster-config-file {}\ncluster-node-timeout 5000\ncluster-port {bus}\n\
                 cluster-require-full-coverage no\ncluster-replica-validity-factor 0\nrepl-diskless-sync-delay 0",
                file.display()
            ))
        })
        .await?;
        if self.is_lossy {
            let loss = Loss::before(node.port())
                .await
                .map_err(Error::io("cannot stand before Redis"))?;
            let port = loss.port().to_string();
            node.ask::<()>(&["CONFIG", "SET", "cluster-announce-port", &port])
                .await?;
            self.losses.push(loss);
        }
        self.ids.push(node.ask(&["CLUSTER", "MYID"]).await?);
        self.nodes.push(node);
        Ok(number)
    }

    /// Has a node meet the first one.
    async fn join(&self, number: usize) -> Result<(), Error> {
        let first = self.node(0);
        let port = first.port().to_string();
        let bus: Vec<String> = first.ask(&["CONFIG", "GET", "cluster-port"]).await?;
        let bus = bus.get(1).map_or("0", String::as_str);
        let meet = ["CLUSTER", "MEET", "127.0.0.1", &port, bus];
        self.node(number).ask(&meet).await
    }
}

fn migrate<'a>(key: &'a str, port: &'a str) -> [&'a str; 6] {
    ["MIGRATE", "127.0.0.1", port, key, "0", "30000"]
}

/// Waits a little, unless it is too late for that.
pub(super) async fn wait(deadline: Instant, error: Error) -> Result<(), Error> {
    if Instant::now() > deadline {
        return Err(error);
    }
    sleep(Duration::from_millis(20)).await;
    Ok(())
}

pub(super) fn late(what: &str) -> Error {
    let what = format!("it was waited in vain that {what}");
    let source = io::ErrorKind::TimedOut.into();
    Error::Io { what, source }
}

fn nobody() -> Error {
    Error::io("no node of this cluster holds the slot")(io::ErrorKind::NotFound.into())
}
