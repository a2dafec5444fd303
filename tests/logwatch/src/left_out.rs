//! What is not searched: lines of the tests' own clients, which log the requests they send.
//!
//! Each entry is a target as it is written, and nothing below it. A server's lines are never left
//! out here without a word in SECURITY.md.

/// Target and why.
const LEFT_OUT: &[(&str, &str)] = &[
    // The client's half of a websocket's handshake: the whole request, with its credential.
    ("tungstenite::handshake::client", "a client's request"),
];

pub(crate) fn is_left_out(target: &str) -> bool {
    LEFT_OUT.iter().any(|(left_out, _)| *left_out == target)
}
