//! The quickstart runs with nothing installed, and the commands that it prints show what it says.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn alice_is_greeted_and_bob_finds_nothing() {
    let started = Command::new(env!("CARGO_BIN_EXE_quickstart"))
        .env("PORT", "0")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut running = Running(started);
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let mut next_with = |mark: &str| -> String {
        lines
            .by_ref()
            .map(Result::unwrap)
            .find(|line| line.contains(mark))
            .unwrap()
    };
    let address = next_with("http://")
        .split_whitespace()
        .nth(2)
        .unwrap()
        .replace("http://", "");
    let alice = next_with("Bearer");
    let bob = next_with("Bearer");
    assert!(get(&address, &alice).ends_with("Hello from Acme Ltd\n"));
    let refused = get(&address, &bob);
    assert!(refused.starts_with("HTTP/1.1 404"), "{refused}");
    assert!(
        refused.contains("urn:tenancy:problem:tenant-not-found"),
        "{refused}"
    );
}

/// Sends what the printed command sends.
fn get(address: &str, header: &str) -> String {
    let header = header.split('\'').nth(1).unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!("GET / HTTP/1.1\r\nhost: {address}\r\nx-organization-id: acme\r\n");
    write!(stream, "{head}{header}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
