//! Looks for secrets in everything that a test process logs, at every level, of every crate.
//!
//! The harness calls [`watch`], and helpers that make a credential tell of it by [`issued`], which
//! watches too, so that no test has to remember either. From then on each line is searched as it is written, whichever
//! thread writes it and whether or not a test still waits for it. A line that holds a secret ends the
//! process: a spawned task can't fail a test, and an aborted test binary can't be overlooked.
//!
//! | found | how |
//! |---|---|
//! | API keys, signed tokens, `Bearer` credentials, private keys, Argon2 hashes, passwords in URLs | by their shape, told or not |
//! | what was [`issued`] | as text, escaped, percent-encoded, in hexadecimal, in base64, as a list of bytes |
//!
//! What was logged shortly before a secret was told is searched as well.
//!
//! ```
//! tenancy_logwatch::watch();
//! tenancy_logwatch::issued("a pepper that only the tests know");
//! tracing::info!("pepper {}", 1);
//! assert!(tenancy_logwatch::seen().lines > 0);
//! ```

mod capture;
mod left_out;
mod line;
mod shapes;
mod told;
mod watched;

pub use capture::{Watch, layer};
pub use line::Line;
pub use watched::{Seen, issued, issued_key, look_away, mark, ours_since, seen, watch};
