//! For the tests of applications: contexts without requests, requests without a server, a
//! directory that fails when it is told to.

mod context;
mod directory;
mod request;

pub use context::ContextBuilder;
pub use directory::SwitchedDirectory;
pub use request::FakeRequest;
