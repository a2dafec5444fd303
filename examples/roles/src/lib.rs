//! Three tables of permissions and roles. Each service has a registry, which the application declares, and some roles that
//! a tenant may define for itself. What they come to is written down as a table, which a test holds them to.

pub mod crawler;
pub mod repositories;
pub mod scraper;
pub mod table;
