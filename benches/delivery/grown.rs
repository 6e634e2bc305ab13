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

pub(crate) fn run(plan: &Plan) -> Result<Vec<Finding>, String> {
    let (few, many) = (plan.sockets(FEW), plan.sockets(MANY));
    eprintln!("growth: {few} and {many} subscriptions");
    let mut contender = Contender::start_empty(SLUICE, Shape::OwnChannels(many))?;
    contender.seat(0..few)?;
    contender.probe(0..few)?;
    let at_few = costs(plan, &mut contender)?;
    contender.seat(few..many)?;
    contender.probe(few..many)?;
    let at_many = costs(plan, &mut contender)?;
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

/// Microseconds of CPU for each event, without what the server does when nothing happens: pings to all, for one.
fn costs(plan: &Plan, contender: &mut Contender) -> Result<Vec<f64>, String> {
    let events = (RATE * plan.seconds()) as u64;
    let load = Command::Paced { rate: RATE, events: Events { events, channels: 1, first: 0 } };
    let mut costs = Vec::new();
    quiet(contender, Duration::from_secs(1))?;
    for _ in 0..plan.rounds {
        let idle = quiet(contender, Duration::from_secs_f64(plan.seconds()))?;
        let sample = contender.measure(&[load], events)?;
        let cost = (sample.cpu_seconds - idle * sample.took.as_secs_f64()) * 1e6 / events as f64;
        eprintln!("  {cost:.1} µs per event, {idle:.4} s per second when idle, {} lost", sample.lost);
        costs.push(cost);
    }
    Ok(costs)
}

/// CPU seconds per second while nothing is published.
fn quiet(contender: &mut Contender, time: Duration) -> Result<f64, String> {
    let (begun, before) = (Instant::now(), contender.server.usage()?);
    while begun.elapsed() < time {
        contender.crowd.turn(Duration::from_millis(50))?;
    }
    Ok(contender.server.usage()?.since(&before) / begun.elapsed().as_secs_f64())
}
