//! Real Redis for tests: servers that can be stopped, paused and started empty, and that leave nothing behind.

mod binary;
mod process;
mod server;

pub use server::RedisServer;
