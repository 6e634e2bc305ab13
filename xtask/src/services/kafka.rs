//! Apache Kafka: its jars from Maven's registry, as one node that is broker and controller (KRaft).

mod ask;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{
    ports::{Failed, on_free},
    process::Process,
};
use crate::{cache::Cached, command::run_quietly};

const VERSION: &str = "4.1.1";
const START: Duration = Duration::from_secs(90);
/// 16 bytes in base64url, as Kafka wants a cluster's id.
const CLUSTER: &str = "c2x1aWNlLXRlc3Qta2Fmaw";

/// The directory of its jars.
pub(crate) struct Jars(PathBuf);

/// Has its jars by Maven, once.
pub(crate) fn get() -> Result<Jars, String> {
    let part = Cached {
        title: &format!("Kafka {VERSION}"),
        name: &format!("kafka-{VERSION}"),
        // Kafka's own jars come with no logger: without one it fails without a word.
        witness: "libs/slf4j-simple-1.7.36.jar",
        how: "54 MB of jars by Maven, takes 10 to 60 s the first time",
    };
    part.get(|dir| {
        let pom = dir.join("pom.xml");
        fs::write(&pom, POM.replace("VERSION", VERSION))
            .map_err(|error| format!("{} cannot be written: {error}", pom.display()))?;
        let mut mvn = Command::new("mvn");
        mvn.args(["--batch-mode", "--quiet", "dependency:copy-dependencies", "-DincludeScope=runtime"]);
        mvn.arg(format!("-DoutputDirectory={}", dir.join("libs").display())).current_dir(dir);
        run_quietly("mvn", &mut mvn, &dir.join("mvn.log"))
    })
    .map(|dir| Jars(dir.join("libs")))
}

const POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>sluice</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>VERSION</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>VERSION</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"#;

/// A broker that runs; stopped where it is dropped.
pub(crate) struct Kafka {
    process: Process,
    port: u16,
    data: PathBuf,
}

impl Kafka {
    /// Formats a directory below `dir` (which is there) and starts a broker on it.
    pub(crate) fn start(jars: &Jars, dir: &Path) -> Result<Self, String> {
        on_free(|[port, controller]| Self::start_on(jars, &dir.join(port.to_string()), port, controller))
    }

    pub(crate) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where its log is: a directory for each partition of each topic.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Says what was not as it should be.
    pub(crate) fn stop(&mut self) -> Option<String> {
        self.process.stop()
    }

    fn start_on(jars: &Jars, dir: &Path, port: u16, controller: u16) -> Result<Self, Failed> {
        fs::create_dir_all(dir).map_err(|error| format!("{} cannot be made: {error}", dir.display()))?;
        let properties = dir.join("server.properties");
        fs::write(&properties, properties_of(dir, port, controller))
            .map_err(|error| format!("{} cannot be written: {error}", properties.display()))?;
        let mut format = java(jars, "kafka.tools.StorageTool", dir);
        format.args(["format", "--standalone", "--cluster-id", CLUSTER, "--config"]).arg(&properties);
        run_quietly("java", &mut format, &dir.join("format.log"))
            .map_err(|why| format!("Kafka's directory could not be formatted: {why}"))?;
        let log = dir.join("kafka.log");
        let process = Process::start("Kafka", java(jars, "kafka.Kafka", dir).arg(&properties), &log)?;
        let mut kafka = Self { process, port, data: data_of(dir) };
        kafka.process.wait_until(START, |_| ask::answers(port)).map_err(Failed::of)?;
        Ok(kafka)
    }
}

fn java(jars: &Jars, class: &str, dir: &Path) -> Command {
    let mut java = Command::new("java");
    java.args(["-Xmx512m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp"]);
    java.arg(jars.0.join("*")).arg(class).current_dir(dir);
    java
}

fn data_of(dir: &Path) -> PathBuf {
    dir.join("data")
}

fn properties_of(dir: &Path, port: u16, controller: u16) -> String {
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
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
num.partitions=4
",
        data_of(dir).display()
    )
}
