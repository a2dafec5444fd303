//! Who gets a connection when there are not enough of them: no tenant keeps another waiting for
//! more than a turn, and nothing is lost when callers, connections or runtimes go away.

mod ages;
mod caps;
mod closing;
mod leavers;
mod options;
mod runtimes;
mod scarce;
mod turns;
mod wait;
