//! Drops databases from destructors, which cannot wait for a future.

use std::{
    sync::{OnceLock, mpsc},
    thread,
    time::Duration,
};

use super::{Server, leftovers};

struct Job {
    server: Server,
    database: String,
    done: mpsc::Sender<()>,
}

/// One thread with a runtime of its own: the test's may be ending.
static WORKER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();

/// Drops a database soon. On a server that stays, waits until that has happened.
pub(super) fn drop_database(server: Server, database: String) {
    let wait = server.outlives_tests();
    let (done, finished) = mpsc::channel();
    let worker = WORKER.get_or_init(|| {
        let (sender, jobs) = mpsc::channel();
        thread::spawn(move || work(&jobs));
        sender
    });
    if worker
        .send(Job {
            server,
            database,
            done,
        })
        .is_ok()
        && wait
    {
        let _ = finished.recv_timeout(Duration::from_secs(10));
    }
}

fn work(jobs: &mpsc::Receiver<Job>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    else {
        return;
    };
    for Job {
        server,
        database,
        done,
    } in jobs
    {
        // Nobody is left to tell. The cluster's end, or the next run, removes what stays.
        let _ = runtime.block_on(leftovers::drop_database(&server, &database));
        let _ = done.send(());
    }
}
