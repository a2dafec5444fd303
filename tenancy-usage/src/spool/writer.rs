//! The thread that writes: what was recorded, as one group, until the disk has it.

use std::{
    fs::File,
    io::{self, Write as _},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{Inner, buffer::Group, format, lock};
use crate::{EventError, EventErrorKind};

/// The pauses after the disk took nothing.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The file that is written.
struct Open {
    number: u64,
    file: File,
    length: u64,
    /// How many of its bytes the disk has for sure.
    kept: u64,
}

/// Runs until the buffer is closed and empty.
pub(super) fn run(inner: &Arc<Inner>) {
    let mut open = None;
    while let Some(group) = inner.buffer.next(inner.commit_each) {
        commit(inner, &mut open, group);
        inner.buffer.freed();
    }
    if let Some(open) = open {
        seal(inner, open);
    }
    inner.written.send_replace(true);
}

/// Writes a group, again and again until the disk has it or there is no time.
fn commit(inner: &Inner, open: &mut Option<Open>, mut group: Group) {
    let mut pause = SHORTEST_PAUSE;
    loop {
        let Err(error) = write(inner, open, &group.bytes) else {
            *lock(&inner.disk_fault) = None;
            group.tell(&Ok(()));
            return;
        };
        // What the disk has of this group is not known. It is written again, to another file.
        if let Some(open) = open.take() {
            abandon(inner, &open);
        }
        if lock(&inner.disk_fault).replace(error.to_string()).is_none() {
            tracing::error!(%error, "the disk does not take usage, which is kept in memory as long as there is room");
        }
        group.tell(&Err(not_written(&error)));
        if !inner.buffer.join(&mut group, pause) {
            group.tell(&Err(not_written(&error)));
            inner
                .counts
                .dropped
                .fetch_add(group.events, Ordering::Relaxed);
            tracing::error!(%error, events = group.events, "usage is lost that the disk has not taken");
            return;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn write(inner: &Inner, open: &mut Option<Open>, bytes: &[u8]) -> io::Result<()> {
    if bytes.is_empty() && open.is_none() {
        return Ok(());
    }
    let to = match open {
        Some(open) => open,
        None => open.insert(begin(inner)?),
    };
    if !inner.directory.has(to.number) {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "a file of the usage spool was removed while it was written",
        ));
    }
    if to.length == 0 {
        to.file.write_all(format::HEADER)?;
        to.length += length(format::HEADER);
    }
    to.file.write_all(bytes)?;
    to.file.sync_data()?;
    to.length += length(bytes);
    to.kept = to.length;
    inner.segments.has(to.number, to.kept);
    if to.length >= inner.segment_bytes
        && let Some(full) = open.take()
    {
        seal(inner, full);
    }
    Ok(())
}

fn begin(inner: &Inner) -> io::Result<Open> {
    let number = inner.segments.number();
    let file = inner.directory.create(number)?;
    inner.segments.begin(number);
    Ok(Open {
        number,
        file,
        length: 0,
        kept: 0,
    })
}

/// Takes away what a failed write has left, so that tries do not add up to more than the spool may have. The disk that
/// fails may refuse that too.
fn abandon(inner: &Inner, open: &Open) {
    let Open {
        number, file, kept, ..
    } = open;
    if *kept == 0 && inner.directory.remove(*number).is_ok() {
        inner.segments.done(*number, true);
        return;
    }
    let cut = file.set_len(*kept).and_then(|()| file.sync_data());
    if let Err(error) = cut {
        tracing::warn!(%error, number, "what was written in vain stays in a file of the usage spool");
    }
    inner.segments.seal(*number);
}

/// Says in a file that it is complete. Without that it is read as well, but its end may be torn.
fn seal(inner: &Inner, mut open: Open) {
    let written = open.file.write_all(&format::FOOTER);
    if let Err(error) = written.and_then(|()| open.file.sync_data()) {
        tracing::warn!(%error, "a file of the usage spool has no end");
    }
    inner.segments.seal(open.number);
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn not_written(error: &io::Error) -> EventError {
    EventError::new(
        EventErrorKind::NotWritten,
        format!(
            "the disk did not take the event, and whether it will count is not known: {error}; record it again with the same \
             id"
        ),
    )
}
