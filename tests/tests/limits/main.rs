//! Limits over real HTTP, the same on both frameworks: of addresses before authentication, of tenants after it, and what
//! clients, pages, handlers and operators are told of them.

mod addresses;
mod billing;
mod handlers;
mod keys;
mod leavers;
mod operators;
mod pages;
mod service;
mod world;
