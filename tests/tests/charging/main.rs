//! What requests cost: taken once, after the decision and before the handler, and settled when the request
//! has ended, however it ends. The same over both frameworks and real HTTP.

mod endings;
mod once;
mod refusals;
mod service;
mod till;
mod world;
