//! Who gets a connection when there are not enough of them: no tenant keeps another waiting for
//! more than a turn, and nothing is lost when callers, connections or runtimes go away.

mod ages;
mod ahead;
mod busy;
mod caps;
mod closing;
mod crowd;
mod hoarders;
mod leavers;
mod options;
mod runtimes;
mod scarce;
mod shares;
mod stress;
mod told;
mod turns;
mod wait;
