//! What an event of one channel costs while more and more subscribe to others.

use std::time::{Duration, Instant};

use crate::{
    command::{Command, Events},
    contender::{Contender, SLUICE, Shape},
    finding::Finding,
    plan::Plan,
};

const FEW: u32 = 1000;
const MANY: u32 = 20_000;

/// Events a second, of the first channel alone.
const RATE: f64 = 500.0;

/// How long pings are counted to see what one costs.
const PINGS: Duration = Duration::from_secs(8);
/// Fewer tell nothing.
const ENOUGH: u64 = 500;

/// One load: what the server used, and how many pings it sent meanwhile.
struct Used {
    seconds: f64,
    pings: u64,
}

pub(crate) fn run(plan: &Plan) -> Result<Vec<Finding>, String> {
    let (few, many) = (plan.sockets(FEW), plan.sockets(MANY));
    let mut contender = Contender::start_empty(SLUICE, Shape::OwnChannels(many))?;
    contender.seat(0..few)?;
    contender.probe(0..few)?;
    let at_few = loads(plan, &mut contender)?;
    contender.seat(few..many)?;
    contender.probe(few..many)?;
    let at_many = loads(plan, &mut contender)?;
    // So few that they are no matter, where it is to be quick.
    let ping = if plan.quick { 0.0 } else { cost_of_ping(&mut contender)? };
    let cost = |used: &Used| (used.seconds - used.pings as f64 * ping) * 1e6 / events(plan) as f64;
    let (at_few, at_many): (Vec<_>, Vec<_>) = (at_few.iter().map(cost).collect(), at_many.iter().map(cost).collect());
    eprintln!("  {:.1} µs a ping; µs per event: {at_few:.1?}, then {at_many:.1?}", ping * 1e6);
    let ratio = at_few.iter().zip(&at_many).map(|(few, many)| many / few).collect();
    let told = |sockets: u32, figures: Vec<f64>| Finding {
        what: format!("work per event of one channel, {sockets} sockets subscribed to others"),
        at_most: None,
        figures,
        unit: " µs",
    };
    let what = format!("work per event with {many} others against {few}");
    Ok(vec![told(few, at_few), told(many, at_many), Finding { what, at_most: Some(1.1), figures: ratio, unit: "" }])
}

fn events(plan: &Plan) -> u64 {
    (RATE * plan.long_seconds()) as u64
}

fn loads(plan: &Plan, contender: &mut Contender) -> Result<Vec<Used>, String> {
    let load = Command::Paced { rate: RATE, events: Events { events: events(plan), channels: 1, first: 0 } };
    quiet(contender, Duration::from_secs(1))?;
    let mut all = Vec::new();
    for _ in 0..plan.rounds {
        let sample = contender.measure(&[load], events(plan))?;
        all.push(Used { seconds: sample.cpu_seconds, pings: contender.crowd.tally.pings });
    }
    Ok(all)
}

/// Seconds, of one ping and its answer: what else a server with nothing to send does.
fn cost_of_ping(contender: &mut Contender) -> Result<f64, String> {
    contender.crowd.reset();
    let before = contender.server.usage()?;
    quiet(contender, PINGS)?;
    let pings = contender.crowd.tally.pings;
    let used = contender.server.usage()?.since(&before);
    Ok(if pings < ENOUGH { 0.0 } else { used / pings as f64 })
}

fn quiet(contender: &mut Contender, time: Duration) -> Result<(), String> {
    let begun = Instant::now();
    while begun.elapsed() < time {
        contender.crowd.turn(Duration::from_millis(50))?;
    }
    Ok(())
}
