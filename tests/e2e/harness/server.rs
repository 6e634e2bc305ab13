//! The process.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{ExitStatus, Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tokio::process::{Child, Command};

use super::{DEADLINE, Viewer, soon};
use crate::installation::Home;

/// How a server is started.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Tells it from the other processes of its installation.
    pub(crate) name: &'static str,
    /// Faults, in the syntax of the `fail` crate: `audit.before-commit=pause`. Needs the cargo feature `failpoints`.
    pub(crate) failpoints: Option<String>,
    /// More of the environment, e.g. `("SLUICE__LOG_RETENTION", "1s")`.
    pub(crate) env: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self { name: "sluice", failpoints: None, env: Vec::new() }
    }
}

impl Options {
    pub(crate) fn failpoints(faults: &str) -> Self {
        Self { failpoints: Some(faults.into()), ..Self::default() }
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }
}

/// A running `sluice serve`. Dropping it kills it; its directory goes with it.
pub(crate) struct Server {
    child: Child,
    /// There until it is handed back.
    home: Option<Home>,
    name: &'static str,
    ready: Value,
    pub(crate) http: reqwest::Client,
}

impl Server {
    /// On an empty data directory and a free port. Returns once it accepts connections.
    pub(crate) async fn start(options: Options) -> Self {
        Self::start_in(Home::new().await, options).await
    }

    /// On the data directory of an earlier one: `home` is what [`Self::kill`] and [`Self::terminate`] return. On the real
    /// parts also beside one that runs, with another name.
    pub(crate) async fn start_in(home: Home, options: Options) -> Self {
        let name = options.name;
        Self::try_start_in(home, options).await.unwrap_or_else(|(home, status)| {
            let log = fs::read_to_string(log_file(home.path(), name)).unwrap_or_default();
            panic!("sluice ended with {status} before it was ready:\n{log}")
        })
    }

    /// As [`Self::start_in`]; gives the directory back where the process ended before it was ready.
    pub(crate) async fn try_start_in(home: Home, options: Options) -> Result<Self, (Home, ExitStatus)> {
        let ready_file = ready_file(home.path(), options.name);
        let _ = fs::remove_file(&ready_file);
        let mut child = spawn(&home, &options);
        match soon("the ready file", wait_until_ready(&mut child, &ready_file)).await {
            Ok(ready) => Ok(Self { child, home: Some(home), name: options.name, ready, http: reqwest::Client::new() }),
            Err(status) => Err((home, status)),
        }
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) async fn kill(mut self) -> Home {
        self.child.kill().await.unwrap();
        self.home.take().expect("it is handed back once")
    }

    /// SIGTERM, and waits until it has ended by itself, with success.
    pub(crate) async fn terminate(mut self) -> Home {
        self.signal_term().await;
        let status = self.ended().await;
        assert!(status.success(), "ended with {status}:\n{}", self.log());
        self.home.take().expect("it is handed back once")
    }

    /// Only sends SIGTERM; [`Self::ended`] waits for the end.
    pub(crate) async fn signal_term(&self) {
        let status = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status().await.unwrap();
        assert!(status.success());
    }

    /// Waits until the process has ended, whatever ended it (a failpoint's abort, too).
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        self.ended_in(DEADLINE).await
    }

    /// As [`Self::ended`], for what only looks from time to time.
    pub(crate) async fn ended_in(&mut self, patience: Duration) -> ExitStatus {
        let ended = tokio::time::timeout(patience, self.child.wait()).await;
        ended.unwrap_or_else(|_| panic!("waited {patience:?} for the end of {}", self.name)).unwrap()
    }

    /// Waits for the end, then gives the directory back, to start again in it.
    pub(crate) async fn crashed(mut self) -> Home {
        let status = self.ended().await;
        assert!(!status.success(), "it ended in order, and was to crash");
        self.home.take().expect("it is handed back once")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    pub(crate) fn home(&self) -> &Home {
        self.home.as_ref().expect("it is there until it is handed back")
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.home().data_dir()
    }

    /// All that it logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(log_file(self.home().path(), self.name)).unwrap_or_default()
    }

    /// All that it wrote to stdout so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(out_file(self.home().path(), self.name)).unwrap_or_default()
    }

    /// A demo person: "member", "guardian", "nurse", "billing" or "stranger".
    pub(crate) fn viewer(&self, person: &str) -> Viewer<'_> {
        Viewer::new(self, self.token(person))
    }

    /// Somebody with any token.
    pub(crate) fn with_token<'s>(&'s self, token: &'s str) -> Viewer<'s> {
        Viewer::new(self, token)
    }

    pub(crate) fn token(&self, person: &str) -> &str {
        self.ready["viewers"][person]["token"].as_str().unwrap_or_else(|| panic!("no demo person {person}"))
    }

    /// `http://127.0.0.1:PORT` and a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.ready["url"].as_str().unwrap())
    }

    pub(crate) fn subscriptions_url(&self) -> &str {
        self.ready["subscriptions"].as_str().unwrap()
    }

    /// What a GET answers: the status and the text.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let response = soon(path, self.http.get(self.url(path)).send()).await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// GraphQL over HTTP by a demo person: the response, `data`, `errors` and `extensions`.
    pub(crate) async fn graphql(&self, person: &str, query: &str, variables: Value) -> Value {
        self.viewer(person).graphql(query, variables).await
    }

    /// A long poll by a demo person: `{"events": […], "cursor": "…"}`, or `{"errors": […]}`.
    pub(crate) async fn poll(&self, person: &str, channel: &str, after: Option<&str>, wait: Duration) -> Value {
        self.viewer(person).poll(channel, after, wait).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() && self.home.is_some() {
            eprintln!("--- the log of {} ---\n{}------------------------", self.name, self.log());
        }
    }
}

/// Runs the binary to its end with other arguments, on an installation; with more of the environment.
pub(crate) async fn run(arguments: &[&str], home: &Home, environment: &[(&str, &str)]) -> Output {
    let mut command = binary(home);
    command.envs(environment.iter().copied());
    command.args(arguments).arg("--data-dir").arg(home.data_dir()).stdin(Stdio::null());
    soon("the end of the command", command.output()).await.unwrap()
}

fn spawn(home: &Home, options: &Options) -> Child {
    let file = |path| File::options().create(true).append(true).open(path).unwrap();
    let (log, out) = (file(log_file(home.path(), options.name)), file(out_file(home.path(), options.name)));
    let mut command = binary(home);
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    command.arg("--data-dir").arg(home.data_dir()).arg("--ready-file").arg(ready_file(home.path(), options.name));
    command.envs(options.failpoints.iter().map(|faults| ("FAILPOINTS", faults)));
    command.envs(options.env.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(out).stderr(log);
    command.spawn().expect("the binary is built")
}

/// Without what the environment of the tests sets.
fn binary(home: &Home) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    let inherited = std::env::vars_os().map(|(name, _)| name);
    for name in inherited.filter(|name| name.to_string_lossy().starts_with("SLUICE")) {
        command.env_remove(name);
    }
    command.env_remove("FAILPOINTS").env("SLUICE__ELIGIBILITY__CLEARINGHOUSE__LATENCY", "none");
    command.envs(home.environment().iter().map(|(name, value)| (name, value)));
    command.current_dir(home.path()).kill_on_drop(true);
    command
}

/// Looks for the file again and again: it is how scripts wait, and what the file is for.
async fn wait_until_ready(child: &mut Child, ready_file: &Path) -> Result<Value, ExitStatus> {
    let mut look = tokio::time::interval(Duration::from_millis(10));
    loop {
        look.tick().await;
        if let Ok(text) = fs::read(ready_file) {
            return Ok(serde_json::from_slice(&text).expect("the ready file appears whole"));
        }
        if let Some(status) = child.try_wait().unwrap() {
            return Err(status);
        }
    }
}

fn ready_file(home: &Path, name: &str) -> PathBuf {
    home.join(format!("{name}.ready.json"))
}

fn log_file(home: &Path, name: &str) -> PathBuf {
    home.join(format!("{name}.log"))
}

fn out_file(home: &Path, name: &str) -> PathBuf {
    home.join(format!("{name}.out"))
}
