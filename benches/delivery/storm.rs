//! Thousands of clients are cut off and come again at once, while events go on for them and for others.

use std::{
    sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{
    command::{Answer, Command, Events},
    contender::{Contender, STORED, Shape},
    crowd::Crowd,
    finding::Finding,
    plan::Plan,
    tally::Tally,
};

/// Who is cut off.
const CUT: u32 = 5000;
/// Who is not, and hears how the others come again: on a thread of their own, for to close 5,000 sockets keeps one busy.
const LIVE: u32 = 5000;

/// Events a second, spread evenly over all.
const RATE: f64 = 500.0;

/// How long after the load has begun they are cut off.
const CALM: Duration = Duration::from_millis(500);

/// How long a storm is not over after all have subscribed again: they are still given what they missed.
const AFTERMATH: Duration = Duration::from_millis(250);

/// Long enough that a repeat would show.
const QUIET: Duration = Duration::from_millis(1500);

/// How long the storm and what it left may take.
const LIMIT: Duration = Duration::from_secs(60);

const TURN: Duration = Duration::from_millis(5);

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
    contender.crowd.conns.iter_mut().for_each(|conn| conn.follows = true);
    contender.probe(0..cut + live)?;
    let mut unsteady = contender.crowd.split_off(live as usize)?;
    let mut storms = Storms::default();
    for _ in 0..plan.rounds {
        let calm = load(&mut contender, &mut unsteady, plan, false)?;
        let storm = load(&mut contender, &mut unsteady, plan, true)?;
        storms.add(&calm, &storm);
    }
    Ok(storms.findings(cut))
}

struct Load {
    /// What the live clients were told before, in and after the storm.
    live: Vec<Tally>,
    cut: Tally,
    lost: u64,
    /// Until each had subscribed again.
    seated: Duration,
}

impl Load {
    fn sum(&self, figure: impl Fn(&Tally) -> u64) -> u64 {
        self.live.iter().chain([&self.cut]).map(figure).sum()
    }
}

/// What the two threads tell each other.
#[derive(Default)]
struct Progress {
    /// 0 before the storm, 1 in it, 2 after it.
    phase: AtomicU8,
    /// What those who were cut off have got.
    delivered: AtomicU64,
    over: AtomicBool,
}

/// Some seconds of events, in which those who are `unsteady` are cut off.
fn load(contender: &mut Contender, unsteady: &mut Crowd, plan: &Plan, cuts: bool) -> Result<Load, String> {
    let events = (RATE * 2.0 * plan.long_seconds()) as u64;
    let channels = contender.shape.channels();
    contender.crowd.reset();
    unsteady.reset();
    contender.server.tell(&Command::Paced { rate: RATE, events: Events { events, channels, first: 0 } })?;
    let progress = Progress::default();
    let (live, seated) = thread::scope(|scope| {
        let storming = scope.spawn(|| storm(unsteady, cuts, &progress));
        let live = steady(contender, cuts, &progress);
        progress.over.store(true, Ordering::Relaxed);
        let seated = storming.join().map_err(|_| "the thread of those who are cut off has panicked")??;
        Ok::<_, String>((live?, seated))
    })?;
    let load = Load { live, cut: std::mem::take(&mut unsteady.tally), lost: 0, seated };
    Ok(Load { lost: events.saturating_sub(load.sum(|tally| tally.delivered - tally.repeated)), ..load })
}

/// Those who are never cut off, until nobody is told anything more.
fn steady(contender: &mut Contender, cuts: bool, progress: &Progress) -> Result<Vec<Tally>, String> {
    let mut told = Vec::new();
    let (begun, mut moved, mut delivered, mut published) = (Instant::now(), Instant::now(), 0, false);
    let last_phase = if cuts { 2 } else { 0 };
    loop {
        contender.crowd.turn(TURN)?;
        let phase = progress.phase.load(Ordering::Relaxed);
        if usize::from(phase) > told.len() {
            told.push(std::mem::take(&mut contender.crowd.tally));
        }
        published |= matches!(contender.server.said()?, Some(Answer::Done { .. }));
        let now = told.iter().map(|tally| tally.delivered).sum::<u64>() + contender.crowd.delivered();
        let now = now + progress.delivered.load(Ordering::Relaxed);
        if std::mem::replace(&mut delivered, now) < now {
            moved = Instant::now();
        }
        if published && phase == last_phase && moved.elapsed() > QUIET || begun.elapsed() > LIMIT {
            told.push(std::mem::take(&mut contender.crowd.tally));
            return Ok(told);
        }
    }
}

/// Those who are cut off; how long it took until all had subscribed again.
fn storm(unsteady: &mut Crowd, cuts: bool, progress: &Progress) -> Result<Duration, String> {
    let (begun, mut cut_at, mut seated) = (Instant::now(), None, None);
    while !progress.over.load(Ordering::Relaxed) {
        unsteady.turn(TURN)?;
        progress.delivered.store(unsteady.delivered(), Ordering::Relaxed);
        if cuts && cut_at.is_none() && begun.elapsed() > CALM {
            progress.phase.store(1, Ordering::Relaxed);
            cut_at = Some(Instant::now());
            unsteady.cut();
        }
        if let (Some(cut_at), true) = (cut_at, unsteady.is_seated()) {
            let took = *seated.get_or_insert_with(|| cut_at.elapsed());
            if cut_at.elapsed() > took + AFTERMATH {
                progress.phase.store(2, Ordering::Relaxed);
            }
        }
    }
    Ok(seated.unwrap_or_default())
}

impl Storms {
    fn add(&mut self, calm: &Load, storm: &Load) {
        let both = |figure: fn(&Tally) -> u64| (calm.sum(figure) + storm.sum(figure)) as f64;
        let [.., quiet] = calm.live.as_slice() else { return };
        let [_, stormy, ..] = storm.live.as_slice() else { return };
        self.lost.push((calm.lost + storm.lost) as f64);
        self.repeated.push(both(|tally| tally.repeated));
        self.wrong.push(both(|tally| tally.wrong));
        let (before, within) = (quiet.at(0.99), stormy.at(0.99));
        self.before.push(before);
        self.within.push(within);
        self.times.push(within / before);
        self.seated.push(storm.seated.as_secs_f64() * 1e3);
        self.latest.push(storm.cut.at(1.0));
        eprintln!(
            "  live p50 {:.2} p99 {before:.2} ms, in the storm p50 {:.2} p99 {within:.2} ms of {}; lost {}, repeated {}, all there again in {:?}{}",
            quiet.at(0.5),
            stormy.at(0.5),
            stormy.delivered,
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
