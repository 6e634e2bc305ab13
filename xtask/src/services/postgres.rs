//! PostgreSQL: the binaries of this machine, as a server of our own on an own port and directory.

mod binaries;
mod user;

use std::{
    fmt::Write as _,
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

pub(crate) use binaries::{Binaries, get};
use user::OsUser;

use super::ports::{Failed, on_free};
use crate::command::{last_lines, run_quietly};

/// Its superuser, who needs no password: only 127.0.0.1 is listened on.
const SUPERUSER: &str = "postgres";

/// What differs from PostgreSQL's defaults. `fsync` stays on: benchmarks run on it.
const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
track_commit_timestamp = on
max_connections = 400
autovacuum_naptime = 1s
";

/// A server that runs; stopped where it is dropped. Tests may restart it with `pg_ctl`.
pub(crate) struct Postgres {
    binaries: Binaries,
    user: Option<OsUser>,
    dir: PathBuf,
    port: u16,
    stopped: bool,
}

impl Postgres {
    /// Makes a cluster in `dir` (which is there) and starts it.
    pub(crate) fn start(binaries: Binaries, dir: &Path) -> Result<Self, String> {
        let user = user::needed()?;
        let mut server = Self { binaries, user, dir: dir.to_owned(), port: 0, stopped: true };
        server.hand_over()?;
        server.init()?;
        on_free(|[port]| server.start_on(port))?;
        Ok(server)
    }

    /// Where its files are; `postmaster.pid` is among them.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub(crate) fn bin(&self) -> &Path {
        self.binaries.dir()
    }

    /// The user of this machine that it runs as, where that is another.
    pub(crate) fn user(&self) -> Option<&str> {
        self.user.as_ref().map(OsUser::name)
    }

    /// `postgres://…/database`, as its superuser.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://{SUPERUSER}@127.0.0.1:{}/{database}", self.port)
    }

    pub(crate) fn create_database(&self, name: &str) -> Result<(), String> {
        let mut command = self.command("createdb");
        command.args(["--host=127.0.0.1", "--username", SUPERUSER, "--port"]).arg(self.port.to_string()).arg(name);
        run_quietly("createdb", &mut command, &self.log("createdb"))
    }

    /// A fast shutdown, whoever started the postmaster last. Says what was not as it should be.
    pub(crate) fn stop(&mut self) -> Option<String> {
        self.stopped = true;
        let fast = self.pg_ctl(&["stop", "--mode=fast", "--wait", "--timeout=30"], "pg_stop").err()?;
        let immediate = self.pg_ctl(&["stop", "--mode=immediate", "--wait", "--timeout=30"], "pg_kill");
        Some(match immediate {
            Ok(()) => format!("PostgreSQL had to be stopped at once: {fast}"),
            Err(_) => format!("PostgreSQL could not be stopped: {fast}"),
        })
    }

    /// As another user it needs a directory of its own.
    fn hand_over(&self) -> Result<(), String> {
        let Some(user) = &self.user else { return Ok(()) };
        let changed = std::os::unix::fs::chown(&self.dir, Some(user.uid()), Some(user.gid()));
        changed.map_err(|error| format!("{} cannot be given to {}: {error}", self.dir.display(), user.name()))
    }

    fn init(&self) -> Result<(), String> {
        let mut initdb = self.command("initdb");
        initdb.arg("--pgdata").arg(self.data()).args(["--auth=trust", "--username", SUPERUSER]);
        initdb.args(["--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]);
        run_quietly("initdb", &mut initdb, &self.log("initdb"))
    }

    fn start_on(&mut self, port: u16) -> Result<(), Failed> {
        let path = self.data().join("postgresql.auto.conf");
        let mut settings = SETTINGS.to_owned();
        let _ = writeln!(settings, "port = {port}");
        fs::write(&path, settings).map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        let log = self.log("postgres");
        let started = self.pg_ctl(&["start", "--wait", "--timeout=60", "--log", &log.to_string_lossy()], "pg_start");
        if let Err(why) = started {
            return Err(Failed::of(format!("PostgreSQL did not start: {why}{}", last_lines(&log))));
        }
        self.port = port;
        self.stopped = false;
        Ok(())
    }

    /// Runs to its end whatever comes: a start that is cut off would leave a server that nobody stops.
    fn pg_ctl(&self, args: &[&str], log: &str) -> Result<(), String> {
        let mut command = self.command("pg_ctl");
        command.args(args).arg("--pgdata").arg(self.data());
        super::process::run_undisturbed("pg_ctl", &mut command, &self.log(log))
    }

    /// One of its programs, as its user, in a directory that this user may see.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.dir().join(program));
        command.current_dir(&self.dir).env("LC_ALL", "C");
        if let Some(user) = &self.user {
            command.uid(user.uid()).gid(user.gid());
        }
        command
    }

    fn log(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.log"))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if !self.stopped {
            let _ = self.stop();
        }
    }
}
