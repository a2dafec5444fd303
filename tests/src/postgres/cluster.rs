//! Makes and starts one throw-away cluster in a directory of its own.

use std::{
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use super::{Binaries, Error, account::Account, place};

/// What `cleanup.sh` insists on before it deletes a directory.
pub(super) const PREFIX: &str = "tenancy-pg-";

const PATIENCE: Duration = Duration::from_mins(1);

/// Speed where a real server wants durability, nothing outside the directory that a killed server
/// would leave behind, and everything else as PostgreSQL ships it.
const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
max_connections = 200
max_prepared_transactions = 10
shared_buffers = 64MB
dynamic_shared_memory_type = mmap
max_wal_size = 128MB
min_wal_size = 32MB
fsync = off
synchronous_commit = off
full_page_writes = off
log_min_messages = warning
log_line_prefix = '%m [%p] %q%u@%d '
";

/// What is special about a cluster.
#[derive(Clone, Debug, Default)]
pub(super) struct Special {
    /// Lines of its configuration.
    pub(super) settings: &'static str,
    /// The port of the server that it is a standby of.
    pub(super) standby_of: Option<u16>,
    /// The data of that server, which is at rest. Without, `pg_basebackup` asks for them.
    pub(super) copied_from: Option<PathBuf>,
}

/// Makes an empty directory that only the server's account can look into.
pub(super) fn directory(account: Account) -> Result<PathBuf, Error> {
    let dir = tempfile::Builder::new()
        .prefix(PREFIX)
        .tempdir_in(place::choose())
        .map_err(Error::io(
            "cannot create a directory for a throw-away cluster",
        ))?;
    account.own(dir.path())?;
    Ok(dir.keep())
}

/// Runs `initdb` in `dir`, or copies the primary there, starts the server and returns its port.
pub(super) fn start(
    dir: &Path,
    binaries: &Binaries,
    account: Account,
    special: &Special,
) -> Result<u16, Error> {
    let data = dir.join("data");
    match (special.standby_of, &special.copied_from) {
        (None, _) => initdb(dir, &data, binaries, account)?,
        (Some(primary), None) => back_up(dir, &data, binaries, account, primary)?,
        (Some(_), Some(source)) => copy(source, &data)?,
    }

    // Somebody else may take the free port before the server does.
    let mut tries = 0;
    loop {
        tries += 1;
        let port = free_port()?;
        configure(dir, &data, port, special)?;
        match launch(dir, &data, binaries, account) {
            Err(Error::Startup { log }) if tries < 5 && log.contains("could not bind") => {}
            other => return other.map(|()| port),
        }
    }
}

/// Whether a server listens on this port of the loopback address.
pub(crate) fn answers(port: u16) -> bool {
    TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), Duration::from_secs(2)).is_ok()
}

fn initdb(dir: &Path, data: &Path, binaries: &Binaries, account: Account) -> Result<(), Error> {
    let mut command = program("initdb", dir, binaries, account);
    command
        .args([
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
        ])
        .args(["--no-sync", "--no-instructions"])
        .arg("--pgdata")
        .arg(data);
    run(command, "initdb")
}

fn back_up(
    dir: &Path,
    data: &Path,
    binaries: &Binaries,
    account: Account,
    primary: u16,
) -> Result<(), Error> {
    let mut command = program("pg_basebackup", dir, binaries, account);
    command
        .args(["--host=127.0.0.1", "--username=postgres", "--no-sync"])
        .args(["--checkpoint=fast", "--wal-method=stream"])
        // Writes `standby.signal`.
        .arg("--write-recovery-conf")
        .arg(format!("--port={primary}"))
        .arg("--pgdata")
        .arg(data);
    run(command, "pg_basebackup")
}

/// What `pg_basebackup` does, of a server that is at rest.
fn copy(source: &Path, data: &Path) -> Result<(), Error> {
    let mut command = Command::new("cp");
    command.arg("-a").arg(source).arg(data);
    run(command, "cp")?;
    fs::File::create(data.join("standby.signal"))
        .map(drop)
        .map_err(Error::io("cannot make the copy a standby"))
}

fn run(mut command: Command, program: &str) -> Result<(), Error> {
    let output = command
        .output()
        .map_err(Error::io(format!("cannot run {program}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Command {
        program: program.into(),
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// `postgresql.auto.conf` is read last, so nothing that initdb chose can win.
fn configure(dir: &Path, data: &Path, port: u16, special: &Special) -> Result<(), Error> {
    let mut text = format!("{SETTINGS}{}\n", special.settings);
    // Writing to a string cannot fail.
    let _ = writeln!(text, "port = {port}");
    let _ = writeln!(text, "unix_socket_directories = '{}'", dir.display());
    if let Some(primary) = special.standby_of {
        let _ = writeln!(
            text,
            "primary_conninfo = 'host=127.0.0.1 port={primary} user=postgres'\n\
             wal_retrieve_retry_interval = '200ms'"
        );
    }
    fs::write(data.join("postgresql.auto.conf"), text)
        .map_err(Error::io("cannot write the configuration of the cluster"))
}

/// Starts the server of a directory that is configured, and waits until it lets clients in.
pub(super) fn launch(
    dir: &Path,
    data: &Path,
    binaries: &Binaries,
    account: Account,
) -> Result<(), Error> {
    let log_path = dir.join("server.log");
    let log = fs::File::create(&log_path).map_err(Error::io("cannot create the server's log"))?;
    let errors = log
        .try_clone()
        .map_err(Error::io("cannot share the server's log"))?;
    let mut server = program("postgres", dir, binaries, account)
        .arg("-D")
        .arg(data)
        .stdout(log)
        .stderr(errors)
        // It serves the next test binary too, so a signal to this one is not for it.
        .process_group(0)
        .spawn()
        .map_err(Error::io("cannot run postgres"))?;

    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if is_ready(data) {
            return Ok(());
        }
        if !matches!(server.try_wait(), Ok(None)) {
            break;
        }
        sleep(Duration::from_millis(5));
    }
    let _ = server.kill();
    let _ = server.wait();
    Err(Error::Startup {
        log: fs::read_to_string(log_path).unwrap_or_default(),
    })
}

/// The server itself writes its state into line 8 of this file; no client library needed.
fn is_ready(data: &Path) -> bool {
    fs::read_to_string(data.join("postmaster.pid")).is_ok_and(|text| {
        text.lines()
            .nth(7)
            .is_some_and(|line| matches!(line.trim_end(), "ready" | "standby"))
    })
}

fn program(name: &str, dir: &Path, binaries: &Binaries, account: Account) -> Command {
    let mut command = Command::new(binaries.dir().join(name));
    for variable in [
        "PGDATA",
        "PGPORT",
        "PGHOST",
        "PGUSER",
        "PGOPTIONS",
        "PGDATABASE",
    ] {
        command.env_remove(variable);
    }
    command
        .env("LC_ALL", "C")
        .current_dir(dir)
        .stdin(Stdio::null());
    account.apply(&mut command);
    command
}

pub(crate) fn free_port() -> Result<u16, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(Error::io("cannot find a free port"))
}
