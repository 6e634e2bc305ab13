//! Some clients read nothing any more: what their neighbours notice, and what the server holds for them.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use crate::{
    command::{Command, Events},
    contender::{Contender, SLUICE, Shape},
    crowd::Crowd,
    finding::Finding,
    plan::Plan,
};

/// Who reads.
const NEIGHBOURS: usize = 500;
/// Who does not: few, then many.
const STALLED: [usize; 2] = [100, 400];

const OF_NEIGHBOURS: u32 = 0;
const OF_STALLED: u32 = 1;

/// Events a second for each of both, and how many each time.
const RATE: f64 = 20.0;
const PACED: u64 = 20;

/// How many for those who stall before that, each time: enough in all that no kernel's buffers hold them, nor the queue that
/// a connection may have.
const BURST: u64 = 4000;
const TIMES: usize = 6;

/// Nothing comes for so long: nothing is on its way.
const QUIET: Duration = Duration::from_millis(200);

/// A server that uses less of a processor than this has done what it had to.
const IDLE: f64 = 0.2;
const LOOK: Duration = Duration::from_millis(50);

/// How long those who stalled may take to hear that they are to come again, once they read.
const HEARING: Duration = Duration::from_secs(20);

pub(crate) fn run(plan: &Plan) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    for stalled in STALLED {
        let [mut times, mut closed, mut grown] = [const { Vec::new() }; 3];
        let (mut before, mut within) = (Vec::new(), Vec::new());
        for _ in 0..plan.rounds {
            let round = round(stalled)?;
            times.push(round.within / round.before);
            before.push(round.before);
            within.push(round.within);
            closed.push((stalled as f64) - round.closed);
            grown.push(round.grown_kib / 1024.0);
        }
        let who = format!("{stalled} stalled readers beside {NEIGHBOURS}");
        let goal = |what: String, at_most: f64, figures| Finding { what, at_most: Some(at_most), figures, unit: "" };
        let shown = |what: &str, figures, unit| Finding { what: what.into(), at_most: None, figures, unit };
        findings.push(goal(format!("{who}: the others' p99 against before"), 1.25, times));
        findings.push(shown("… before", before, " ms"));
        findings.push(shown("… while they stall", within, " ms"));
        findings.push(goal("… of those who stall, not closed in the end".into(), 0.0, closed));
        findings.push(shown("… the server's memory, at most more than before", grown, " MiB"));
    }
    Ok(findings)
}

struct Round {
    before: f64,
    within: f64,
    /// How many were closed.
    closed: f64,
    grown_kib: f64,
}

fn round(stalled: usize) -> Result<Round, String> {
    let mut contender = Contender::start_empty(SLUICE, Shape::OwnChannels(2))?;
    let (reads, stalls) = (contender.place(OF_NEIGHBOURS)?, contender.place(OF_STALLED)?);
    contender.crowd.seat(vec![reads; NEIGHBOURS])?;
    contender.crowd.seat(vec![stalls; stalled])?;
    contender.probe(0..2)?;
    while contender.crowd.turn(QUIET)? {}
    let mut deaf = contender.crowd.split_off(NEIGHBOURS)?;
    // Both have the same load before, when all read, and after, when some do not.
    let paced = Command::Paced { rate: 2.0 * RATE, events: Events { events: 2 * PACED, channels: 2, first: 0 } };
    let burst = Command::Burst(Events { events: BURST, channels: 1, first: OF_STALLED });
    let expected = PACED * NEIGHBOURS as u64;
    let (mut before, mut within) = (latencies()?, latencies()?);
    for _ in 0..TIMES {
        before.add(reading(&mut contender, &mut deaf, paced, expected)?).map_err(|error| error.to_string())?;
    }
    let empty = contender.server.usage()?.resident_kib;
    let mut most = empty;
    for _ in 0..TIMES {
        contender.heard(&[burst], 0)?;
        work_off(&mut contender)?;
        within.add(contender.heard(&[paced], expected)?).map_err(|error| error.to_string())?;
        most = most.max(contender.server.usage()?.resident_kib);
    }
    let closed = told(&mut deaf, stalled)?;
    Ok(Round {
        before: before.value_at_quantile(0.99) as f64 / 1e6,
        within: within.value_at_quantile(0.99) as f64 / 1e6,
        closed,
        grown_kib: most - empty,
    })
}

/// Those who stalled read again: how many were closed.
fn told(deaf: &mut Crowd, all: usize) -> Result<f64, String> {
    deaf.reset();
    let begun = Instant::now();
    while deaf.tally.ended < all as u64 && begun.elapsed() < HEARING {
        deaf.turn(QUIET)?;
    }
    eprintln!(
        "  {} of {all} that stalled are told: {:?}; {} delivered, {} lost",
        deaf.tally.ended, deaf.tally.complaint, deaf.tally.delivered, deaf.tally.lost
    );
    Ok(deaf.tally.ended as f64)
}

fn latencies() -> Result<Histogram<u64>, String> {
    Histogram::new(3).map_err(|error| error.to_string())
}

/// With all of them reading, those who will stall on a thread of their own.
fn reading(
    contender: &mut Contender,
    deaf: &mut Crowd,
    load: Command,
    expected: u64,
) -> Result<Histogram<u64>, String> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let reads = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                deaf.turn(LOOK)?;
            }
            Ok::<_, String>(())
        });
        let heard = contender.heard(&[load], expected);
        over.store(true, Ordering::Relaxed);
        reads.join().map_err(|_| "the thread of those who will stall has panicked")??;
        heard
    })
}

/// Until the server has worked off what it was given.
fn work_off(contender: &mut Contender) -> Result<(), String> {
    loop {
        let before = contender.server.usage()?;
        let begun = Instant::now();
        while begun.elapsed() < LOOK {
            contender.crowd.turn(LOOK)?;
        }
        if contender.server.usage()?.since(&before) < IDLE * begun.elapsed().as_secs_f64() {
            return Ok(());
        }
    }
}
