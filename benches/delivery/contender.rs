//! One server of a scenario, with its clients.

use std::{
    path::Path,
    process::Command as Process,
    sync::Arc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use sluice::auth::{Issuer, TokenRules};
use sluice_schema::viewer::PurposeOfUse;
use tempfile::TempDir;

use crate::{
    command::{Answer, Command, Events},
    conn::{Seat, What},
    crowd::Crowd,
    gateway::{TENANT, own_user, staff_user},
    server::Server,
};

/// How long nothing may arrive, once everything was published, until the rest counts as lost.
const STALL: Duration = Duration::from_millis(1500);

/// The share of a processor below which a server has nothing to do.
const IDLE: f64 = 0.1;

/// How long one load may take.
const LIMIT: Duration = Duration::from_secs(40);

/// How many channels are probed at once: a server that hands every event to everybody would lose some of more.
const PROBED: u32 = 1000;

/// A server, and how it is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kind {
    /// As it is named on the command line and in the report.
    pub(crate) name: &'static str,
    /// The arguments of the role.
    arguments: &'static [&'static str],
    /// How many classes its subscribers fall into; 0: each its own.
    pub(crate) classes: u32,
}

const fn bare(name: &'static str, arguments: &'static [&'static str]) -> Kind {
    Kind { name, arguments, classes: 1 }
}

pub(crate) const RAW: Kind = bare("raw", &["raw"]);
pub(crate) const RAW_TASK: Kind = bare("raw-task", &["raw-task"]);
pub(crate) const SMALL_TASK: Kind = bare("raw-task-small", &["raw-task-small"]);
pub(crate) const FAST_TASK: Kind = bare("fastwebsockets", &["fastwebsockets"]);
pub(crate) const YAWC_TASK: Kind = bare("yawc", &["yawc"]);
pub(crate) const BARE_TASK: Kind = bare("bare-task", &["bare-task"]);
pub(crate) const FLOOR: Kind = bare("floor", &["floor"]);
pub(crate) const NAIVE: Kind = bare("naive", &["naive"]);
pub(crate) const NODE: Kind = bare("node", &["node"]);
pub(crate) const SLUICE: Kind = bare("sluice", &["sluice"]);
pub(crate) const SLUICE_4: Kind = Kind { name: "sluice-4", arguments: &["sluice"], classes: 4 };
pub(crate) const SLUICE_OWN: Kind = Kind { name: "sluice-own", arguments: &["sluice"], classes: 0 };
/// On the first processor alone, as a machine that has no other.
pub(crate) const ONE_CORE: Kind = Kind { name: "sluice-own-one-core", arguments: &["sluice", "one-core"], classes: 0 };
pub(crate) const NO_ACCESS: Kind = bare("sluice-no-access", &["sluice", "no-access"]);
/// Events through the store and its disk, where the others have them in memory.
pub(crate) const STORED: Kind = bare("sluice-stored", &["sluice", "stored"]);
pub(crate) const NO_AUDIT: Kind = bare("sluice-no-audit", &["sluice", "no-audit"]);

impl Kind {
    fn is_sluice(&self) -> bool {
        self.arguments.first() == Some(&"sluice")
    }
}

/// Who subscribes to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// All to the first member's channel, each as another user.
    OneChannel(u32),
    /// Each to her own.
    OwnChannels(u32),
}

impl Shape {
    pub(crate) fn sockets(self) -> u32 {
        match self {
            Self::OneChannel(sockets) | Self::OwnChannels(sockets) => sockets,
        }
    }

    pub(crate) fn channels(self) -> u32 {
        match self {
            Self::OneChannel(_) => 1,
            Self::OwnChannels(sockets) => sockets,
        }
    }

    /// How many deliveries these events are.
    pub(crate) fn deliveries(self, events: u64) -> u64 {
        events * u64::from(self.sockets()) / u64::from(self.channels())
    }
}

pub(crate) struct Contender {
    pub(crate) kind: Kind,
    pub(crate) shape: Shape,
    pub(crate) server: Server,
    pub(crate) crowd: Crowd,
    /// Before the first client came.
    pub(crate) empty_kib: f64,
    issuer: Option<Issuer>,
    /// What a server stores. Dropped behind the server.
    _directory: TempDir,
}

/// What one load showed.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) expected: u64,
    pub(crate) delivered: u64,
    /// Those that were left out, and those that never came.
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    pub(crate) wrong: u64,
    pub(crate) cpu_seconds: f64,
    pub(crate) took: Duration,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Bytes of a message.
    pub(crate) bytes: f64,
    pub(crate) late_us: u64,
}

impl Sample {
    /// Microseconds of the server's CPU for each delivery that arrived.
    pub(crate) fn cost(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.delivered.max(1) as f64
    }
}

impl Contender {
    /// Starts the server, and seats its clients, all of whom have heard of an event then.
    pub(crate) fn start(kind: Kind, shape: Shape) -> Result<Self, String> {
        let mut contender = Self::start_empty(kind, shape)?;
        contender.seat(0..shape.sockets())?;
        contender.probe(0..shape.channels())?;
        Ok(contender)
    }

    /// Starts the server alone.
    pub(crate) fn start_empty(kind: Kind, shape: Shape) -> Result<Self, String> {
        // Beside the build, on a disk: /tmp may be memory, where a commit costs nothing.
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).map_err(|error| error.to_string())?;
        Self::start_in(directory, kind, shape, &[])
    }

    /// In a directory, with more in its environment.
    pub(crate) fn start_in(
        directory: TempDir,
        kind: Kind,
        shape: Shape,
        environment: &[(String, String)],
    ) -> Result<Self, String> {
        let data = directory.path().join("data");
        let log = directory.path().join("log.txt");
        let mut process = process(kind, &data)?;
        process.envs(environment.iter().map(|(name, value)| (name, value)));
        let started = Server::start(process, &log).and_then(|mut server| {
            let staff = if shape.channels() == 1 { shape.sockets() } else { 0 };
            server.tell(&Command::Prepare { members: shape.channels(), staff })?;
            server.answer(LIMIT)?;
            Ok(server)
        });
        let server = started.map_err(|why| format!("{}: {why}: {}", kind.name, last_line(&log)))?;
        let issuer = match kind.is_sluice() {
            true => Some(Issuer::open(&data, TokenRules::new("sluice", "sluice")).map_err(|error| error.to_string())?),
            false => None,
        };
        let crowd = Crowd::of(server.address)?;
        let empty_kib = server.usage()?.resident_kib;
        Ok(Self { kind, shape, server, crowd, empty_kib, issuer, _directory: directory })
    }

    /// Connects these of its clients.
    pub(crate) fn seat(&mut self, numbers: std::ops::Range<u32>) -> Result<(), String> {
        let seats = numbers.map(|number| self.place(number)).collect::<Result<Vec<_>, _>>()?;
        self.crowd.seat(seats).map_err(|why| format!("{}: {why}", self.kind.name))
    }

    pub(crate) fn place(&self, number: u32) -> Result<Seat, String> {
        let class = match self.kind.classes {
            0 => number,
            classes => number % classes,
        };
        let (channel, user, purpose) = match self.shape {
            Shape::OneChannel(_) => (0, staff_user(number), PurposeOfUse::Payment),
            Shape::OwnChannels(_) => (number, own_user(number), PurposeOfUse::PatientRequest),
        };
        let token: Arc<str> = match &self.issuer {
            Some(issuer) => {
                let user = user.parse().map_err(|_| "not a user's id")?;
                let tenant = TENANT.parse().map_err(|_| "not a tenant's id")?;
                let token = issuer.issue(&user, &tenant, purpose, Duration::from_secs(3600));
                token.map_err(|error| error.to_string())?.into()
            }
            None => "".into(),
        };
        Ok(Seat { channel, class, token, what: What::Check })
    }

    /// Sends events until each client of these channels has heard of one: a subscription is live a moment after it was
    /// asked for.
    pub(crate) fn probe(&mut self, channels: std::ops::Range<u32>) -> Result<(), String> {
        let begun = Instant::now();
        for first in channels.clone().step_by(PROBED as usize) {
            let some = first..channels.end.min(first + PROBED);
            while self.crowd.conns.iter().any(|conn| some.contains(&conn.seat.channel) && conn.last == 0) {
                let probes = Events { events: some.len() as u64, channels: some.end - some.start, first };
                self.load(&[Command::Burst(probes)], self.shape.deliveries(probes.events), Duration::from_millis(700))?;
                if begun.elapsed() > LIMIT {
                    let complaint = self.crowd.tally.complaint.clone().unwrap_or_default();
                    return Err(format!("{}: some clients hear nothing: {complaint}", self.kind.name));
                }
            }
        }
        Ok(())
    }

    /// Has events sent, and counts what arrives and what it costs.
    pub(crate) fn measure(&mut self, commands: &[Command], events: u64) -> Result<Sample, String> {
        let expected = self.shape.deliveries(events);
        let before = self.server.usage()?;
        let begun = Instant::now();
        let late_us = self.load(commands, expected, STALL)?;
        let (took, after) = (begun.elapsed(), self.server.usage()?);
        let tally = &self.crowd.tally;
        Ok(Sample {
            expected,
            delivered: tally.delivered,
            lost: expected.saturating_sub(tally.delivered - tally.repeated.min(tally.delivered)),
            repeated: tally.repeated,
            wrong: tally.wrong,
            cpu_seconds: after.since(&before),
            took,
            p50_ms: tally.at(0.5),
            p99_ms: tally.at(0.99),
            bytes: tally.bytes as f64 / tally.delivered.max(1) as f64,
            late_us,
        })
    }

    /// The same, where only the latencies are asked for, in nanoseconds.
    pub(crate) fn heard(&mut self, commands: &[Command], expected: u64) -> Result<Histogram<u64>, String> {
        self.load(commands, expected, STALL)?;
        match self.crowd.delivered() == expected {
            true => Ok(std::mem::take(&mut self.crowd.tally).latency),
            false => Err(format!("{}: {} of {expected} arrived", self.kind.name, self.crowd.delivered())),
        }
    }

    /// Until all has arrived, or nothing does any more.
    fn load(&mut self, commands: &[Command], expected: u64, stall: Duration) -> Result<u64, String> {
        self.crowd.reset();
        let (begun, mut late) = (Instant::now(), 0);
        let (mut progress, mut seen, mut used) = (Instant::now(), 0, self.server.usage()?);
        for command in commands {
            self.server.tell(command)?;
        }
        let mut waiting = commands.len();
        while waiting > 0 || self.crowd.delivered() < expected {
            self.crowd.turn(Duration::from_millis(10)).map_err(|why| format!("{}: {why}", self.kind.name))?;
            while let Some(answer) = self.server.said().map_err(|why| format!("{}: {why}", self.kind.name))? {
                waiting -= 1;
                if let Answer::Done { late_us } = answer {
                    late = late.max(late_us);
                }
                (progress, used) = (Instant::now(), self.server.usage()?);
            }
            if self.crowd.delivered() > seen {
                (progress, seen) = (Instant::now(), self.crowd.delivered());
            }
            if waiting == 0 && progress.elapsed() > stall {
                // One that works has not lost anything yet.
                let usage = self.server.usage()?;
                if usage.since(&used) < IDLE * progress.elapsed().as_secs_f64() {
                    break;
                }
                (progress, used) = (Instant::now(), usage);
            }
            if begun.elapsed() > LIMIT {
                break;
            }
        }
        Ok(late)
    }

    /// Answers pings while others are measured.
    pub(crate) fn attend(&mut self) -> Result<(), String> {
        self.crowd.turn(Duration::ZERO).map(drop)
    }
}

fn process(kind: Kind, data: &Path) -> Result<Process, String> {
    if kind == NODE {
        return crate::node::process();
    }
    // This very program, also where a build has put another one in its place since.
    let mut process = Process::new("/proc/self/exe");
    process.arg("serve").args(kind.arguments).env("SLUICE_BENCH_DATA", data);
    Ok(process)
}

fn last_line(log: &Path) -> String {
    let log = std::fs::read_to_string(log).unwrap_or_default();
    log.lines().next_back().unwrap_or("(it logged nothing)").to_owned()
}
