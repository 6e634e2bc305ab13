//! A SpiceDB of a test's own, in memory, that may be stopped and killed.

use std::process::Stdio;

use tokio::{
    net::TcpListener,
    process::{Child, Command},
};

use super::options;
use crate::{paused, services};
use sluice_adapters::spicedb::{SpiceDb, SpiceDbOptions};

pub(super) const KEY: &str = "own-key";

pub(super) struct OwnServer {
    process: Child,
    port: u16,
}

impl OwnServer {
    pub(super) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With more flags than a test's server needs.
    pub(super) async fn start_with(flags: &[&str]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        Self::start_at(port, flags).await
    }

    /// Waits until it answers.
    async fn start_at(port: u16, flags: &[&str]) -> Self {
        let address = format!("127.0.0.1:{port}");
        let process = Command::new(services::spicedb_program())
            .args(["serve", "--datastore-engine", "memory", "--grpc-preshared-key", KEY, "--grpc-addr", &address])
            .args(["--dispatch-cache-enabled=false", "--dispatch-cluster-cache-enabled=false", "--skip-release-check"])
            .args(["--telemetry-endpoint", "", "--metrics-enabled=false"])
            .args(flags)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (mut server, schema) = (Self { process, port }, "definition user {}");
        while SpiceDb::connect(&server.options(), schema).await.is_err() {
            assert!(server.process.try_wait().unwrap().is_none(), "spicedb ended at its start");
        }
        server
    }

    pub(super) fn options(&self) -> SpiceDbOptions {
        options(&format!("http://127.0.0.1:{}", self.port), KEY)
    }

    /// Kills it and starts another at the same address.
    pub(super) async fn restart(mut self) -> Self {
        self.process.kill().await.unwrap();
        Self::start_at(self.port, &[]).await
    }

    pub(super) async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }

    /// `STOP` or `CONT`.
    pub(super) fn pause(&self) {
        paused::pause(&self.process.id().unwrap().to_string());
    }

    pub(super) fn go_on(&self) {
        assert!(paused::go_on(&self.process.id().unwrap().to_string()));
    }
}
