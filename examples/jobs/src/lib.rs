//! Work outside of a request, in three recipes. Each is a file of its own.
//!
//! | recipe | file |
//! |---|---|
//! | a task that a request starts and does not wait for | [`spawned`] |
//! | a pass through all tenants every night, which goes on where it was stopped | [`nightly`] |
//! | a worker that takes what waits in a queue, of any tenant | [`mails`] |

pub mod mails;
pub mod nightly;
pub mod spawned;

/// What goes wrong in a job.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
