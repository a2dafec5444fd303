//! Real Redis for tests: servers, clusters and sentinels, that can be stopped, paused and started empty, and that leave
//! nothing behind.

mod binary;
mod client;
mod cluster;
mod loss;
mod process;
mod sentinel;
mod server;

pub use client::patient_client;
pub use cluster::RedisCluster;
pub use sentinel::RedisSentinels;
pub use server::RedisServer;
