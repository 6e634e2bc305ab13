//! SpiceDB: built by Go from its module, on databases of the PostgreSQL that runs beside it.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{
    ports::{Failed, on_free},
    process::Process,
};
use crate::{
    cache::Cached,
    command::{root, run_quietly},
};

const VERSION: &str = "1.56.2";
const START: Duration = Duration::from_secs(60);

/// How it is served. 1.54 to 1.57.0 can keep expired grants in their caches, so that these are off.
const FLAGS: [&str; 13] = [
    "--watch-api-heartbeat=100ms",
    "--dispatch-cache-enabled=false",
    "--dispatch-cluster-cache-enabled=false",
    "--skip-release-check",
    "--telemetry-endpoint=",
    "--metrics-enabled=false",
    "--http-enabled=false",
    "--log-format=json",
    // Its own choice, 20, is for more cores than tests and benchmarks have.
    "--datastore-conn-pool-read-max-open=10",
    "--datastore-conn-pool-read-min-open=2",
    "--datastore-conn-pool-write-max-open=10",
    "--datastore-conn-pool-write-min-open=2",
    "--datastore-bootstrap-timeout=30s",
];

/// How SpiceDB speaks to its PostgreSQL: by statements that are parsed once. Its own choice, for the sake of poolers between
/// them, parses each statement each time.
const CONNECTION: &str = "sslmode=disable&default_query_exec_mode=cache_statement";

/// The `spicedb` program.
pub(crate) struct Program(PathBuf);

impl Program {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

/// Has it built by Go, once.
pub(crate) fn get() -> Result<Program, String> {
    let part = Cached {
        title: &format!("SpiceDB {VERSION}"),
        name: &format!("spicedb-{VERSION}"),
        witness: "bin/spicedb",
        how: "go install, takes 4 to 6 minutes the first time (120 MB)",
    };
    part.get(|dir| {
        let module = format!("github.com/authzed/spicedb/cmd/spicedb@v{VERSION}");
        let mut go = Command::new("go");
        go.args(["install", &module]).env("GOBIN", dir.join("bin")).env_remove("GOFLAGS").current_dir(dir);
        run_quietly("go install", &mut go, &dir.join("go.log"))
    })
    .map(|dir| Program(dir.join("bin/spicedb")))
}

/// What one is served with.
pub(crate) struct Settings<'a> {
    /// A name of its own: of its logs.
    pub(crate) name: &'static str,
    /// `postgres://…/database`: a database that is there and empty.
    pub(crate) database: String,
    pub(crate) preshared_key: &'a str,
    /// Whether it holds the gateway's schema from the beginning, or none.
    pub(crate) with_schema: bool,
}

/// A SpiceDB that runs; stopped where it is dropped.
pub(crate) struct SpiceDb {
    process: Process,
    port: u16,
}

impl SpiceDb {
    /// Prepares the database and serves; files go to `dir` (which is there).
    pub(crate) fn start(program: &Program, settings: &Settings<'_>, dir: &Path) -> Result<Self, String> {
        let uri = format!("{}?{CONNECTION}", settings.database);
        let mut migrate = Command::new(&program.0);
        migrate.args(["datastore", "migrate", "head", "--datastore-engine", "postgres", "--skip-release-check"]);
        migrate.args(["--datastore-conn-uri", &uri]).current_dir(dir);
        run_quietly("spicedb datastore migrate", &mut migrate, &dir.join(format!("{}-migrate.log", settings.name)))?;
        let schema = settings.with_schema.then(|| bootstrap_file(dir)).transpose()?;
        on_free(|[port]| Self::start_on(port, program, &uri, settings, schema.as_deref(), dir))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Says what was not as it should be.
    pub(crate) fn stop(&mut self) -> Option<String> {
        self.process.stop()
    }

    fn start_on(
        port: u16,
        program: &Program,
        uri: &str,
        settings: &Settings<'_>,
        schema: Option<&Path>,
        dir: &Path,
    ) -> Result<Self, Failed> {
        let mut serve = Command::new(&program.0);
        serve.args(["serve", "--datastore-engine", "postgres", "--datastore-conn-uri", uri]).args(FLAGS);
        serve.args(["--grpc-preshared-key", settings.preshared_key]);
        serve.args(["--grpc-addr", &format!("127.0.0.1:{port}")]).current_dir(dir);
        if let Some(schema) = schema {
            // A first attempt on another port may have loaded it already.
            serve.arg("--datastore-bootstrap-overwrite").arg("--datastore-bootstrap-files").arg(schema);
        }
        let log = dir.join(format!("{}.log", settings.name));
        let mut spicedb = Self { process: Process::start("SpiceDB", &mut serve, &log)?, port };
        let serving = |log: &str| log.contains("grpc server started serving") && accepts(port);
        spicedb.process.wait_until(START, serving).map_err(Failed::of)?;
        Ok(spicedb)
    }
}

fn accepts(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// The gateway's schema as SpiceDB loads it at its first start: YAML with one block.
fn bootstrap_file(dir: &Path) -> Result<PathBuf, String> {
    let source = root().join("schema/authz/sluice.zed");
    let schema =
        fs::read_to_string(&source).map_err(|error| format!("{} cannot be read: {error}", source.display()))?;
    let path = dir.join("bootstrap.yaml");
    fs::write(&path, bootstrap(&schema)).map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    Ok(path)
}

fn bootstrap(schema: &str) -> String {
    let lines = schema.lines().map(|line| format!("  {line}").trim_end().to_owned() + "\n");
    format!("schema: |-\n{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::bootstrap;

    #[test]
    fn a_schema_becomes_one_block() {
        let schema = "use expiration\n\ndefinition user {}\n";
        assert_eq!(bootstrap(schema), "schema: |-\n  use expiration\n\n  definition user {}\n");
    }
}
