//! A server of one's own, switched off and on again.

use std::{
    fs,
    path::Path,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use super::{Error, Server, account::Account, cluster, server::binaries};

const PATIENCE: Duration = Duration::from_secs(30);

impl Server {
    /// Stops a [fresh](Self::fresh) server, or a [standby](Self::standby), in good order: clients are
    /// told.
    ///
    /// # Errors
    ///
    /// When it does not stop, or is not this process's own.
    pub async fn stop(&self) -> Result<(), Error> {
        self.signal("INT").await
    }

    /// The same, at once: the server does not even write down what it has in memory.
    ///
    /// # Errors
    ///
    /// As [`stop`](Self::stop).
    pub async fn crash(&self) -> Result<(), Error> {
        self.signal("QUIT").await
    }

    /// Starts it again, at the same port.
    ///
    /// # Errors
    ///
    /// When it does not start, or is not this process's own.
    pub async fn start_again(&self) -> Result<(), Error> {
        let (home, binaries) = (self.home()?.to_owned(), binaries(self.version())?);
        blocking(move || {
            let data = home.join("data");
            cluster::launch(&home, &data, &binaries, Account::choose()?)
        })
        .await
    }

    async fn signal(&self, signal: &'static str) -> Result<(), Error> {
        let data = self.home()?.join("data");
        blocking(move || end(&data, signal)).await
    }
}

fn end(data: &Path, signal: &str) -> Result<(), Error> {
    let file = data.join("postmaster.pid");
    let text = fs::read_to_string(&file).map_err(Error::io("the server does not run"))?;
    let pid = text.lines().next().unwrap_or_default();
    Command::new("kill")
        .arg(format!("-{signal}"))
        .arg(pid)
        .status()
        .map_err(Error::io("cannot run kill"))?;
    let deadline = Instant::now() + PATIENCE;
    while file.exists() {
        if Instant::now() > deadline {
            return Err(Error::Command {
                program: format!("kill -{signal} {pid}"),
                output: "the server goes on".into(),
            });
        }
        sleep(Duration::from_millis(5));
    }
    Ok(())
}

async fn blocking(work: impl FnOnce() -> Result<(), Error> + Send + 'static) -> Result<(), Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(std::io::Error::other)
        .map_err(Error::io("switching a server was interrupted"))?
}
