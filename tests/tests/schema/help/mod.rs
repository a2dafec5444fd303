//! What a newcomer meets first: accounts of the whole service, several tables at once, the check, and what
//! the owner role may make.

mod accounts;
mod check;
mod create;
mod protect_all;
