//! What is not searched: lines of the tests' own clients, which log the requests they send.
//!
//! Each is a target as it is written, and nothing below it. What servers log is searched.

const LEFT_OUT: &[&str] = &[
    // The client's half of a websocket's handshake: the whole request, with its credential.
    "tungstenite::handshake::client",
];

pub(crate) fn is_left_out(target: &str) -> bool {
    LEFT_OUT.contains(&target)
}
