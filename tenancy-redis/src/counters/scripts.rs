//! The scripts. Each is put together from parts in Lua, and runs as one.

use std::sync::LazyLock;

use crate::script::Script;

macro_rules! script {
    ($last:literal) => {
        LazyLock::new(|| {
            Script::new(concat!(
                include_str!("common.lua"),
                include_str!("rate.lua"),
                include_str!("period.lua"),
                include_str!("several.lua"),
                include_str!($last)
            ))
        })
    };
}

/// The same for takes of rates and periods alone, which is less to run.
static TAKE_PLAIN: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("common.lua"),
        include_str!("rate.lua"),
        include_str!("period.lua"),
        include_str!("take.lua")
    ))
});

static TAKE: LazyLock<Script> = script!("take.lua");
pub(super) static SETTLE: LazyLock<Script> = script!("settle.lua");
pub(super) static RENEW: LazyLock<Script> = script!("renew.lua");
pub(super) static GIVE_BACK: LazyLock<Script> = script!("give_back.lua");
pub(super) static STANDINGS: LazyLock<Script> = script!("standings.lua");

/// The script that takes; `several` says whether of something that several have at once.
pub(super) fn taking(several: bool) -> &'static Script {
    if several { &TAKE } else { &TAKE_PLAIN }
}
