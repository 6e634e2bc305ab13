//! Through Kafka: another service's event, from its production to the client, beside what a bare producer and consumer take,
//! and beside what is appended meanwhile. On the real parts only, which bring a broker.

use std::{
    collections::HashMap,
    sync::mpsc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
};
use tempfile::TempDir;

use crate::{
    clock,
    command::{Command, Events},
    conn::What,
    contender::{Contender, NODE, STORED, Shape},
    enrollment,
    finding::Finding,
    gateway::TENANT,
    installation::{Home, on_real_parts, required},
    plan::Plan,
    sample,
    tally::Tally,
};

/// Members whose coverage changes, and as many whose checks are answered.
const MEMBERS: u32 = 100;
const PARTITIONS: i32 = 4;

/// The first rate that is tried, how it grows, and what of it is too much: events that are this late, milliseconds.
const FIRST_RATE: f64 = 100.0;
const GROWTH: f64 = 1.5;
const TOO_LATE: f64 = 200.0;
/// No faster than this, however much would get through.
const LAST_RATE: f64 = 6000.0;

/// How many are appended each second meanwhile.
const APPENDED: f64 = 50.0;

/// The bare pair may be this much faster, milliseconds of the p99.
const MORE: f64 = 3.0;

/// How long nothing may arrive until the rest counts as lost.
const STALL: Duration = Duration::from_secs(5);

pub(crate) fn run(plan: &Plan) -> Result<Vec<Finding>, String> {
    if !on_real_parts() {
        eprintln!("kafka: left out, it needs --real");
        return Ok(Vec::new());
    }
    let mut findings = on(plan, "embedded parts", false)?;
    findings.extend(on(plan, "PostgreSQL, Kafka, SpiceDB", true)?);
    Ok(findings)
}

fn on(plan: &Plan, parts: &str, real: bool) -> Result<Vec<Finding>, String> {
    eprintln!("kafka: {parts}");
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let (topic, bare) = (unique("coverage"), unique("bare"));
    runtime.block_on(enrollment::make_topics(&client(), PARTITIONS, &[&topic, &bare]))?;
    let (mut contender, _home) = start(&runtime, &topic, real)?;
    let mut feeder = Feeder::new(&topic)?;
    // The first ones wait for a group of consumers to form.
    feeder = measure(&mut contender, feeder, FIRST_RATE, 1.0)?.2;
    let (back, saturation) = saturate(&mut contender, feeder)?;
    feeder = back;
    let rate = (saturation / 2.0).floor();
    eprintln!("  {saturation:.0} events/s get through, so {rate:.0} are produced");
    let mut figures: [Vec<f64>; 9] = Default::default();
    let mut pair = Pair::start(&bare)?;
    let mut node = if plan.takes("node") { Some(Node::start(&unique_topic(&runtime, "node")?)?) } else { None };
    for _ in 0..plan.rounds {
        let alone = pair.measure(rate, plan.long_seconds())?;
        let (through, appended, back) = measure(&mut contender, feeder, rate, plan.long_seconds())?;
        feeder = back;
        let p99 = (through.at(0.99), alone.at(0.99));
        let node = node.as_mut().map(|node| node.measure(rate, plan.long_seconds())).transpose()?.unwrap_or_default();
        let all = [
            alone.at(0.5),
            p99.1,
            through.at(0.5),
            p99.0,
            p99.0 - p99.1,
            appended.at(0.5),
            appended.at(0.99),
            node.at(0.5),
            node.at(0.99),
        ];
        eprintln!(
            "  bare {:.2} / {:.2}, through {:.2} / {:.2}, appended {:.2} / {:.2}, node {:.2} / {:.2} ms (p50 / p99); {} through, {} repeated",
            all[0], all[1], all[2], all[3], all[5], all[6], all[7], all[8], through.delivered, through.repeated
        );
        figures.iter_mut().zip(all).for_each(|(figures, one)| figures.push(one));
    }
    Ok(findings(parts, rate, figures))
}

fn findings(parts: &str, rate: f64, figures: [Vec<f64>; 9]) -> Vec<Finding> {
    let whats = [
        format!("through Kafka ({parts}), {rate:.0} events/s: a bare producer and consumer, p50"),
        "… p99".into(),
        "… produced → client, p50".into(),
        "… p99".into(),
        "… p99 beyond that of the bare pair".into(),
        "… appended → client meanwhile, p50".into(),
        "… p99".into(),
        "… instead, node with kafkajs: produced → client, p50".into(),
        "… p99".into(),
    ];
    let goals = [None, None, None, None, Some(MORE), None, None, None, None];
    let all = whats.into_iter().zip(goals).zip(figures);
    all.map(|((what, at_most), figures)| Finding { what, at_most, figures, unit: " ms" }).collect()
}

fn start(runtime: &tokio::runtime::Runtime, topic: &str, real: bool) -> Result<(Contender, Option<Home>), String> {
    let directory = || tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).map_err(|error| error.to_string());
    let (own, home) = (directory()?, directory()?);
    let file = configure(&own, topic)?;
    let home = if real { Some(runtime.block_on(Home::in_directory(home))) } else { None };
    let mut environment = match &home {
        Some(home) => home.environment().to_vec(),
        None => vec![("SLUICE__KAFKA__BROKERS".to_owned(), required("SLUICE_TEST_KAFKA"))],
    };
    environment.push(("SLUICE_BENCH_CONFIG".into(), file));
    let shape = Shape::OwnChannels(2 * MEMBERS);
    let mut contender = Contender::start_in(own, STORED, shape, &environment)?;
    let mut seats = (0..2 * MEMBERS).map(|number| contender.place(number)).collect::<Result<Vec<_>, _>>()?;
    for seat in seats.iter_mut().take(MEMBERS as usize) {
        seat.what = What::Coverage;
    }
    contender.crowd.seat(seats)?;
    for conn in contender.crowd.conns.iter_mut().skip(MEMBERS as usize) {
        conn.apart = true;
    }
    contender.probe(MEMBERS..2 * MEMBERS)?;
    Ok((contender, home))
}

fn configure(directory: &TempDir, topic: &str) -> Result<String, String> {
    let file = directory.path().join("sluice.toml");
    std::fs::write(&file, enrollment::mapping(topic, TENANT)).map_err(|error| error.to_string())?;
    Ok(file.display().to_string())
}

fn unique_topic(runtime: &tokio::runtime::Runtime, name: &str) -> Result<String, String> {
    let name = unique(name);
    runtime.block_on(enrollment::make_topics(&client(), PARTITIONS, &[&name])).map(|()| name)
}

fn unique(name: &str) -> String {
    format!("bench-{:x}-{name}", fastrand::u64(..))
}

fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", required("SLUICE_TEST_KAFKA")).set("socket.nagle.disable", "true");
    config
}

/// The other service.
struct Feeder {
    topic: String,
    producer: ThreadedProducer<DefaultProducerContext>,
    /// The last number of each member.
    last: HashMap<u32, u64>,
    sent: u64,
}

impl Feeder {
    fn new(topic: &str) -> Result<Self, String> {
        let mut config = client();
        // As Sluice's own producer is set.
        config.set("linger.ms", "0").set("acks", "all").set("enable.idempotence", "true");
        let producer = config.create().map_err(|error| error.to_string())?;
        Ok(Self { topic: topic.into(), producer, last: HashMap::new(), sent: 0 })
    }

    /// An open loop.
    fn produce(mut self, rate: f64, count: u64) -> JoinHandle<Result<Self, String>> {
        std::thread::spawn(move || {
            let begin = clock::now();
            for number in 0..count {
                let due = begin + (number as f64 * 1e9 / rate) as u64;
                clock::sleep_until(due);
                self.send(due)?;
            }
            self.producer.flush(STALL).map_err(|error| error.to_string())?;
            Ok(self)
        })
    }

    fn send(&mut self, due: u64) -> Result<(), String> {
        let channel = u32::try_from(self.sent % u64::from(MEMBERS)).unwrap_or_default();
        self.sent += 1;
        let last = self.last.entry(channel).or_default();
        *last += 1;
        let id = sample::check_id(&sample::Event { channel, seq: *last, due });
        let (member, plan, termination) = (sample::member(channel), sample::PLAN, sample::TERMINATION);
        let data = format!(
            r#"{{"coverageId":"{id}","memberId":"{member}","status":"COVERAGE_STATUS_TERMINATED","planName":"{plan}","terminationDate":"{termination}"}}"#
        );
        // What is due at once has the same number in each channel.
        let unique = format!("{member}/{id}");
        let record = BaseRecord::to(&self.topic).key(&member).payload(&data).headers(enrollment::headers(&unique));
        self.producer.send(record).map_err(|(error, _)| error.to_string())
    }
}

/// The most events a second that do not pile up.
fn saturate(contender: &mut Contender, mut feeder: Feeder) -> Result<(Feeder, f64), String> {
    let (mut rate, mut kept_up) = (FIRST_RATE, FIRST_RATE);
    let mut late = 0;
    while rate < LAST_RATE && late < 2 {
        let (through, _, back) = measure(contender, feeder, rate, 2.0)?;
        feeder = back;
        if through.at(0.99) > TOO_LATE {
            // Once may be somebody else's fault.
            late += 1;
        } else {
            (kept_up, late) = (rate, 0);
            rate *= GROWTH;
        }
    }
    Ok((feeder, kept_up))
}

/// Both loads at once; what came of the produced, and of the appended.
fn measure(
    contender: &mut Contender,
    feeder: Feeder,
    rate: f64,
    seconds: f64,
) -> Result<(Tally, Tally, Feeder), String> {
    let (produced, appended) = ((rate * seconds) as u64, (APPENDED * seconds) as u64);
    contender.crowd.reset();
    let events = Events { events: appended, channels: MEMBERS, first: MEMBERS };
    contender.server.tell(&Command::Paced { rate: APPENDED, events })?;
    let producing = feeder.produce(rate, produced);
    until_all(contender, produced, appended)?;
    contender.server.answer(STALL)?;
    let crowd = &mut contender.crowd;
    Ok((std::mem::take(&mut crowd.tally), std::mem::take(&mut crowd.apart), joined(producing)?))
}

fn joined(producing: JoinHandle<Result<Feeder, String>>) -> Result<Feeder, String> {
    producing.join().map_err(|_| "the producer panicked".to_owned())?
}

fn until_all(contender: &mut Contender, produced: u64, appended: u64) -> Result<(), String> {
    let mut progress = (Instant::now(), 0);
    let crowd = &mut contender.crowd;
    while crowd.tally.delivered < produced || crowd.apart.delivered < appended {
        crowd.turn(Duration::from_millis(10))?;
        if crowd.delivered() > progress.1 {
            progress = (Instant::now(), crowd.delivered());
        }
        if progress.0.elapsed() > STALL {
            let complaint = crowd.tally.complaint.as_deref().unwrap_or_default();
            return Err(format!("{} of {produced} events came through Kafka {complaint}", crowd.tally.delivered));
        }
    }
    Ok(())
}

/// Kafka to sockets as a team without Rust would write it. Nothing is stored, decided or recorded.
struct Node {
    contender: Contender,
    feeder: Option<Feeder>,
}

impl Node {
    fn start(topic: &str) -> Result<Self, String> {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).map_err(|error| error.to_string())?;
        let environment = [("KAFKA_BROKERS", required("SLUICE_TEST_KAFKA")), ("KAFKA_TOPIC", topic.to_owned())];
        let environment = environment.map(|(name, value)| (name.to_owned(), value));
        let mut contender = Contender::start_in(directory, NODE, Shape::OwnChannels(MEMBERS), &environment)?;
        let mut seats = (0..MEMBERS).map(|number| contender.place(number)).collect::<Result<Vec<_>, _>>()?;
        seats.iter_mut().for_each(|seat| seat.what = What::Coverage);
        contender.crowd.seat(seats)?;
        let mut node = Self { contender, feeder: Some(Feeder::new(topic)?) };
        // Its group of consumers forms, and its code is compiled.
        node.measure(FIRST_RATE, 2.0)?;
        Ok(node)
    }

    fn measure(&mut self, rate: f64, seconds: f64) -> Result<Tally, String> {
        let count = (rate * seconds) as u64;
        let feeder = self.feeder.take().ok_or("the producer is gone")?;
        self.contender.crowd.reset();
        let producing = feeder.produce(rate, count);
        until_all(&mut self.contender, count, 0)?;
        self.feeder = Some(joined(producing)?);
        Ok(std::mem::take(&mut self.contender.crowd.tally))
    }
}

/// A producer and a consumer with nothing between them but the broker.
struct Pair {
    feeder: Option<Feeder>,
    arrivals: mpsc::Receiver<(u64, u64)>,
}

impl Pair {
    fn start(topic: &str) -> Result<Self, String> {
        let mut config = client();
        // As Sluice's own consumer is set.
        config.set("group.id", topic).set("enable.auto.commit", "false").set("fetch.wait.max.ms", "100");
        let consumer: BaseConsumer = config.create().map_err(|error| error.to_string())?;
        let mut partitions = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            let added = partitions.add_partition_offset(topic, partition, Offset::Beginning);
            added.map_err(|error| error.to_string())?;
        }
        consumer.assign(&partitions).map_err(|error| error.to_string())?;
        let (arrived, arrivals) = mpsc::channel();
        std::thread::spawn(move || {
            loop {
                let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
                let now = clock::now();
                let id = message.payload().and_then(|data| data.windows(4).position(|at| at == b"\"ec-"));
                let read = id.and_then(|at| sample::read_check_id(&message.payload()?[at + 1..]));
                if let Some((_, due)) = read
                    && arrived.send((due, now)).is_err()
                {
                    return;
                }
            }
        });
        let mut pair = Self { feeder: Some(Feeder::new(topic)?), arrivals };
        // The first ones wait for metadata.
        pair.measure(100.0, 0.5)?;
        Ok(pair)
    }

    fn measure(&mut self, rate: f64, seconds: f64) -> Result<Tally, String> {
        let count = (rate * seconds) as u64;
        let feeder = self.feeder.take().ok_or("the producer is gone")?;
        let producing = feeder.produce(rate, count);
        let mut tally = Tally::default();
        for _ in 0..count {
            let (due, now) = self.arrivals.recv_timeout(STALL).map_err(|_| "the bare consumer hears nothing")?;
            tally.arrived(due, now, 0);
        }
        self.feeder = Some(joined(producing)?);
        Ok(tally)
    }
}
