//! The parts while they run.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

use tempfile::TempDir;

use super::{
    Parts, SpiceDbParts,
    env::{self, Env},
    joined,
    kafka::Kafka,
    postgres::Postgres,
    spicedb::{Program, Settings, SpiceDb},
};
use crate::command::announce;

/// What was started, on a temporary directory. Stopped where it is dropped, in reverse order: fields are in that order.
pub(crate) struct Running {
    spicedb: Option<SpiceDbs>,
    kafka: Option<Kafka>,
    postgres: Option<Postgres>,
    env: Env,
    dir: TempDir,
}

/// Two on two databases, so that a test of one schema does not meet another's. Their PostgreSQL is not the gateway's: either
/// may be away without the other, and to SpiceDB's "fully consistent" every commit of its server is news.
struct SpiceDbs {
    program: Program,
    contract: SpiceDb,
    gateway: SpiceDb,
    postgres: Postgres,
    preshared_key: String,
}

impl Running {
    /// Starts what does not run already, and waits until all of it answers.
    pub(crate) fn start(parts: Parts) -> Result<Self, String> {
        announce("start the real parts");
        let begun = Instant::now();
        let dir = directory().map_err(|error| format!("no temporary directory can be made: {error}"))?;
        match start_in(dir.path(), parts) {
            Ok((postgres, kafka, spicedb)) => {
                let mut running = Self { spicedb, kafka, postgres, env: Env::default(), dir };
                running.fill_env();
                println!("the real parts answer, after {:.1} s", begun.elapsed().as_secs_f32());
                Ok(running)
            }
            Err(why) => Err(format!("{why}\nthe logs are in {}", dir.keep().display())),
        }
    }

    /// What the tests are to be told; what runs already they know.
    pub(crate) fn env(&self) -> &Env {
        &self.env
    }

    /// Stops them in reverse order. Says what was not as it should be; then, or where not `all_well`, logs are kept.
    pub(crate) fn stop(mut self, all_well: bool) -> Vec<String> {
        announce("stop the real parts");
        let begun = Instant::now();
        let complaints = self.stop_each();
        println!("stopped, after {:.1} s", begun.elapsed().as_secs_f32());
        if !all_well || !complaints.is_empty() {
            self.dir.disable_cleanup(true);
            println!("their logs are in {}", self.dir.path().display());
        }
        complaints
    }

    fn stop_each(&mut self) -> Vec<String> {
        let spicedb =
            self.spicedb.as_mut().map(|both| [both.contract.stop(), both.gateway.stop(), both.postgres.stop()]);
        let kafka = self.kafka.as_mut().and_then(Kafka::stop);
        let postgres = self.postgres.as_mut().and_then(Postgres::stop);
        spicedb.into_iter().flatten().chain([kafka, postgres]).flatten().collect()
    }

    fn fill_env(&mut self) {
        let env = &mut self.env;
        if let Some(postgres) = &self.postgres {
            env.set(env::POSTGRES_URL, postgres.url("postgres"));
            env.set(env::POSTGRES_DATA, postgres.data().to_string_lossy());
            env.set(env::POSTGRES_BIN, postgres.bin().to_string_lossy());
            env.set(env::POSTGRES_USER, postgres.user().unwrap_or_default());
        }
        if let Some(kafka) = &self.kafka {
            env.set(env::KAFKA, kafka.bootstrap());
            env.set(env::KAFKA_DATA, kafka.data().to_string_lossy());
            env.set(env::KAFKA_PID, kafka.id().to_string());
        }
        if let Some(both) = &self.spicedb {
            env.set(env::SPICEDB, both.gateway.url());
            env.set(env::SPICEDB_PID, both.gateway.id().to_string());
            env.set(env::SPICEDB_CONTRACT, both.contract.url());
            env.set(env::SPICEDB_KEY, &both.preshared_key);
            env.set(env::SPICEDB_POSTGRES_DATA, both.postgres.data().to_string_lossy());
            env.set(env::SPICEDB_POSTGRES_URL, both.postgres.url(GATEWAY));
            env.set(env::SPICEDB_PROGRAM, both.program.path().to_string_lossy());
        }
    }
}

/// The name of the gateway's SpiceDB, and of its database.
const GATEWAY: &str = "spicedb";

type Started = (Option<Postgres>, Option<Kafka>, Option<SpiceDbs>);

/// All beside each other. Where one fails, what had started is stopped as it is dropped.
fn start_in(dir: &Path, parts: Parts) -> Result<Started, String> {
    let Parts { postgres, kafka, spicedb } = parts;
    thread::scope(|scope| {
        let kafka = scope.spawn(|| kafka.map(|jars| Kafka::start(&jars, &below(dir, "kafka")?)).transpose());
        let spicedb = scope.spawn(|| spicedb.map(|parts| SpiceDbs::start(parts, dir)).transpose());
        let postgres = postgres.map(|binaries| Postgres::start(binaries, &below(dir, "postgres")?)).transpose();
        let (kafka, spicedb) = (joined(kafka.join()), joined(spicedb.join()));
        Ok((postgres?, kafka?, spicedb?))
    })
}

impl SpiceDbs {
    fn start(parts: SpiceDbParts, dir: &Path) -> Result<Self, String> {
        let SpiceDbParts { program, postgres } = parts;
        let preshared_key = drawn_key().map_err(|error| format!("no key can be drawn: {error}"))?;
        let postgres = Postgres::start(postgres, &below(dir, "spicedb-postgres")?)?;
        let dir = below(dir, "spicedb")?;
        let start = |name: &'static str, with_schema: bool| {
            postgres.create_database(name)?;
            let settings = Settings { name, database: postgres.url(name), preshared_key: &preshared_key, with_schema };
            SpiceDb::start(&program, &settings, &dir)
        };
        let (gateway, contract) = thread::scope(|scope| {
            let contract = scope.spawn(|| start("spicedb_contract", false));
            (start(GATEWAY, true), joined(contract.join()))
        });
        let (gateway, contract) = (gateway?, contract?);
        Ok(Self { program, contract, gateway, postgres, preshared_key })
    }
}

/// PostgreSQL may run as another user, who has to get through to its own.
fn directory() -> io::Result<TempDir> {
    use std::os::unix::fs::PermissionsExt;
    tempfile::Builder::new().prefix("sluice-services-").permissions(fs::Permissions::from_mode(0o711)).tempdir()
}

fn below(dir: &Path, name: &str) -> Result<PathBuf, String> {
    let path = dir.join(name);
    fs::create_dir(&path).map_err(|error| format!("{} cannot be made: {error}", path.display()))?;
    Ok(path)
}

/// 128 random bits in hex.
fn drawn_key() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
