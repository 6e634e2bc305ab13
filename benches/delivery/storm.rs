//! Thousands of clients are cut off and come again at once, while events go on for them and for others.

use std::time::{Duration, Instant};

use crate::{
    command::{Answer, Command, Events},
    contender::{Contender, STORED, Shape},
    finding::Finding,
    plan::Plan,
    tally::Tally,
};

/// Who is cut off.
const CUT: u32 = 5000;
/// Who is not, and hears how the others come again.
const LIVE: u32 = 500;

/// Events a second, spread evenly over all.
const RATE: f64 = 500.0;

/// How long after the load has begun they are cut off.
const CALM: Duration = Duration::from_millis(500);

/// How long the storm and what it left may take.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Storms {
    lost: Vec<f64>,
    repeated: Vec<f64>,
    wrong: Vec<f64>,
    /// The live clients' p99 in the storm against before.
    times: Vec<f64>,
    before: Vec<f64>,
    within: Vec<f64>,
    seated: Vec<f64>,
    latest: Vec<f64>,
}

pub(crate) fn run(plan: &Plan) -> Result<Vec<Finding>, String> {
    let (cut, live) = (plan.sockets(CUT), plan.sockets(LIVE));
    let mut contender = Contender::start_empty(STORED, Shape::OwnChannels(cut + live))?;
    contender.seat(0..cut + live)?;
    for (number, conn) in (0..).zip(&mut contender.crowd.conns) {
        conn.follows = true;
        conn.apart = number >= live;
    }
    contender.probe(0..cut + live)?;
    let mut storms = Storms::default();
    for _ in 0..plan.rounds {
        let calm = load(&mut contender, plan, 0..0)?;
        let storm = load(&mut contender, plan, live..live + cut)?;
        storms.add(&calm, &storm);
    }
    Ok(storms.findings(cut))
}

struct Load {
    live: Tally,
    cut: Tally,
    lost: u64,
    /// Until each had subscribed again.
    seated: Duration,
}

/// Some seconds of events, in which these clients are cut off.
fn load(contender: &mut Contender, plan: &Plan, whom: std::ops::Range<u32>) -> Result<Load, String> {
    let events = (RATE * 2.0 * plan.long_seconds()) as u64;
    let channels = contender.shape.channels();
    contender.crowd.reset();
    contender.server.tell(&Command::Paced { rate: RATE, events: Events { events, channels, first: 0 } })?;
    let (begun, mut cut_at, mut seated) = (Instant::now(), None, None);
    let (mut published, mut progress) = (false, Instant::now());
    loop {
        let before = contender.crowd.delivered();
        contender.crowd.turn(Duration::from_millis(5))?;
        if !whom.is_empty() && cut_at.is_none() && begun.elapsed() > CALM {
            contender.crowd.cut(whom.clone().map(|number| number as usize));
            cut_at = Some(Instant::now());
        }
        if contender.crowd.is_seated() {
            seated = seated.or_else(|| cut_at.map(|at| at.elapsed()));
        }
        published |= matches!(contender.server.said()?, Some(Answer::Done { .. }));
        if contender.crowd.delivered() > before {
            progress = Instant::now();
        }
        // Long enough that a repeat would show.
        let over = published && contender.crowd.is_seated() && progress.elapsed() > Duration::from_millis(1500);
        if over || begun.elapsed() > LIMIT {
            break;
        }
    }
    let (live, cut) = (std::mem::take(&mut contender.crowd.tally), std::mem::take(&mut contender.crowd.apart));
    let fresh = live.delivered + cut.delivered - live.repeated - cut.repeated;
    Ok(Load { lost: events.saturating_sub(fresh), live, cut, seated: seated.unwrap_or_default() })
}

impl Storms {
    fn add(&mut self, calm: &Load, storm: &Load) {
        let both = |figure: fn(&Tally) -> u64| {
            [calm, storm].iter().map(|load| figure(&load.live) + figure(&load.cut)).sum::<u64>() as f64
        };
        self.lost.push((calm.lost + storm.lost) as f64);
        self.repeated.push(both(|tally| tally.repeated));
        self.wrong.push(both(|tally| tally.wrong));
        let (before, within) = (calm.live.at(0.99), storm.live.at(0.99));
        self.before.push(before);
        self.within.push(within);
        self.times.push(within / before);
        self.seated.push(storm.seated.as_secs_f64() * 1e3);
        self.latest.push(storm.cut.at(1.0));
        eprintln!(
            "  live p50 {:.2} p99 {before:.2} ms, in the storm p50 {:.2} p99 {within:.2} ms; lost {}, repeated {}, all there again in {:?}{}",
            calm.live.at(0.5),
            storm.live.at(0.5),
            calm.lost + storm.lost,
            both(|tally| tally.repeated),
            storm.seated,
            storm.cut.complaint.as_deref().map(|what| format!("; {what}")).unwrap_or_default(),
        );
    }

    fn findings(self, cut: u32) -> Vec<Finding> {
        let goal = |what: &str, at_most: f64, figures: Vec<f64>, unit| Finding {
            what: what.into(),
            at_most: Some(at_most),
            figures,
            unit,
        };
        let told = |what: &str, figures: Vec<f64>| Finding { what: what.into(), at_most: None, figures, unit: " ms" };
        vec![
            goal(&format!("resume storm, {cut} clients: events lost"), 0.0, self.lost, ""),
            goal("… twice or out of order", 0.0, self.repeated, ""),
            goal("… with other content", 0.0, self.wrong, ""),
            goal("… live clients' p99 against before", 2.0, self.times, ""),
            told("… live clients' p99 before", self.before),
            told("… live clients' p99 in the storm", self.within),
            told("… until all had subscribed again", self.seated),
            told("… the latest event of one who resumed, due → arrival", self.latest),
        ]
    }
}
