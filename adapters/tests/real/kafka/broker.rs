//! A broker of a test's own, to be paused and killed.

use std::{
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};
use tempfile::TempDir;

use crate::paused;

const START: Duration = Duration::from_secs(90);

pub(super) struct Broker {
    process: Child,
    port: u16,
    directory: TempDir,
}

impl Broker {
    pub(super) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        // Held together, so that they differ.
        let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [port, controller] = free.each_ref().map(|listener| listener.local_addr().unwrap().port());
        drop(free);
        let properties = directory.path().join("server.properties");
        fs::write(&properties, properties_of(&directory.path().join("data"), port, controller)).unwrap();
        let mut format = java("kafka.tools.StorageTool", directory.path());
        format.args(["format", "--standalone", "--cluster-id", "c2x1aWNlLXRlc3Qta2Fmaw", "--config"]).arg(&properties);
        assert!(format.status().unwrap().success());
        let broker = Self { process: run(directory.path()), port, directory };
        broker.wait();
        broker
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Stops it as a crash would, and starts it on the same files.
    pub(super) fn kill_and_restart(&mut self) {
        self.kill();
        self.process = run(self.directory.path());
        self.wait();
    }

    pub(super) fn pause(&self) {
        paused::pause(&self.process.id().to_string());
    }

    pub(super) fn go_on(&self) {
        assert!(paused::go_on(&self.process.id().to_string()));
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn wait(&self) {
        let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", self.address()).create().unwrap();
        let until = Instant::now() + START;
        while client.fetch_metadata(None, Duration::from_secs(1)).is_err() {
            assert!(Instant::now() < until, "the broker does not start: see {}", self.directory.path().display());
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

fn run(directory: &Path) -> Child {
    java("kafka.Kafka", directory).arg(directory.join("server.properties")).spawn().unwrap()
}

fn java(class: &str, directory: &Path) -> Command {
    let log = fs::File::options().create(true).append(true).open(directory.join("log")).unwrap();
    let mut java = Command::new("java");
    java.args(["-Xmx384m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp"]);
    java.arg(jars().join("*")).arg(class).current_dir(directory);
    java.stdout(Stdio::null()).stderr(log);
    java
}

/// Those that `cargo xtask test` got, or what the environment names.
fn jars() -> PathBuf {
    if let Some(jars) = env::var_os("SLUICE_TEST_KAFKA_JARS") {
        return jars.into();
    }
    let services = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/services");
    let mut found = fs::read_dir(services).into_iter().flatten().flatten().map(|entry| entry.path().join("libs"));
    found
        .find(|jars| jars.join("slf4j-simple-1.7.36.jar").exists())
        .expect("Kafka's jars are not there: run these tests with `cargo xtask test`, or set SLUICE_TEST_KAFKA_JARS")
}

fn properties_of(data: &Path, port: u16, controller: u16) -> String {
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
auto.create.topics.enable=false
",
        data.display()
    )
}
