//! The statement log: what it tells of statements, what it never shows, and what it flags.

mod attribution;
mod endings;
mod outside;
mod past;
mod shapes;
mod sinks;
mod slow;
mod world;
