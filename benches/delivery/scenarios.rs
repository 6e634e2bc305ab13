//! The loads that servers are held against each other by.

use std::time::{Duration, Instant};

use crate::{
    clock,
    contender::{
        BARE_TASK, Contender, FAST_TASK, FLOOR, Kind, NAIVE, NO_ACCESS, NO_AUDIT, NODE, RAW, RAW_TASK, SLUICE,
        SLUICE_4, SLUICE_OWN, SMALL_TASK, STORED, Sample, Shape, YAWC_TASK,
    },
    plan::{Plan, bursts},
};

/// How long nothing happens before memory is looked at.
const REST: Duration = Duration::from_secs(2);

/// The same load on several servers, round by round.
pub(crate) struct Group {
    /// E.g. `fan-out-1k/paced`.
    pub(crate) key: String,
    pub(crate) title: String,
    pub(crate) rows: Vec<Row>,
}

pub(crate) struct Row {
    pub(crate) kind: Kind,
    pub(crate) sockets: u32,
    /// Of the process before its clients came, KiB.
    pub(crate) empty_kib: f64,
    /// With all of them subscribed, and each having heard of an event.
    pub(crate) idle_kib: f64,
    /// One for each round.
    pub(crate) samples: Vec<Sample>,
}

impl Row {
    pub(crate) fn per_socket_kib(&self) -> f64 {
        (self.idle_kib - self.empty_kib) / f64::from(self.sockets)
    }
}

/// A load: how a server of this kind is told of it, and how many events that is.
pub(crate) type Load<'p> = (&'static str, String, Box<dyn Fn(Kind) -> (Vec<crate::command::Command>, u64) + 'p>);

pub(crate) fn fan_out(plan: &Plan, name: &'static str, sockets: u32) -> Result<Vec<Group>, String> {
    let kinds: &[Kind] = match sockets {
        1000 => &[
            RAW, SLUICE, SLUICE_4, SLUICE_OWN, STORED, NO_ACCESS, NO_AUDIT, FLOOR, RAW_TASK, SMALL_TASK, FAST_TASK,
            YAWC_TASK, BARE_TASK, NAIVE, NODE,
        ],
        _ => &[RAW, SLUICE, SLUICE_4, FLOOR],
    };
    let sockets = plan.sockets(sockets);
    // Far from what any of them can't do.
    let rate = 10_000.0 / f64::from(sockets);
    let many = 100_000 / u64::from(sockets);
    let loads: [Load<'_>; 2] = [
        ("paced", format!("{rate:.0} events/s"), Box::new(move |_| plan.paced(rate, 1))),
        (
            "burst",
            format!("bursts of {many} events"),
            Box::new(move |kind| match kind.classes {
                // A rendering and a record for each subscriber.
                0 => bursts(many / 5, 1, 1),
                _ => bursts(many, 1, 1),
            }),
        ),
    ];
    compare(
        plan,
        name,
        &format!("Fan-out: {sockets} sockets on one channel"),
        Shape::OneChannel(sockets),
        kinds,
        &loads,
    )
}

pub(crate) fn own_channel(plan: &Plan, name: &'static str, sockets: u32) -> Result<Vec<Group>, String> {
    let kinds: &[Kind] = match sockets {
        // In threes, where there are no more descriptors; the first three are held against each other.
        5000 => &[SLUICE, NODE, NAIVE, RAW, STORED, NO_ACCESS, NO_AUDIT, RAW_TASK],
        // Naive would take two minutes.
        _ => &[RAW, SLUICE, NODE],
    };
    let many = sockets > 5000;
    let sockets = plan.sockets(sockets);
    let mut loads: Vec<Load<'_>> = vec![
        ("paced", "400 events/s, spread evenly".into(), Box::new(move |_| plan.paced(400.0, sockets))),
        (
            "burst",
            "an event to each at once".into(),
            Box::new(move |kind| bursts(sockets.into(), sockets, if kind == NAIVE || many { 1 } else { 3 })),
        ),
    ];
    if many {
        loads.retain(|(load, ..)| *load == "burst");
    }
    let title = format!("Own channels: {sockets} sockets, each on its own");
    compare(plan, name, &title, Shape::OwnChannels(sockets), kinds, &loads)
}

/// Side by side, if there are descriptors for all of them at once, and else one after the other.
pub(crate) fn compare(
    plan: &Plan,
    name: &str,
    title: &str,
    shape: Shape,
    kinds: &[Kind],
    loads: &[Load<'_>],
) -> Result<Vec<Group>, String> {
    let kinds: Vec<Kind> = kinds.iter().copied().filter(|kind| plan.takes(kind.name)).collect();
    let together = (plan.descriptors / shape.sockets().max(1)).max(1) as usize;
    let mut groups: Vec<Group> = loads
        .iter()
        .map(|(key, load, _)| Group {
            key: format!("{name}/{key}"),
            title: format!("{title}, {load}"),
            rows: Vec::new(),
        })
        .collect();
    for some in kinds.chunks(together) {
        let mut contenders = Vec::new();
        for kind in some {
            eprintln!("{name}: starting {}", kind.name);
            contenders.push(Contender::start(*kind, shape)?);
            attend(&mut contenders)?;
        }
        rounds(plan, &mut contenders, loads, &mut groups)?;
    }
    Ok(groups)
}

fn rounds(plan: &Plan, contenders: &mut [Contender], loads: &[Load<'_>], groups: &mut [Group]) -> Result<(), String> {
    rest(contenders)?;
    for contender in contenders.iter() {
        let idle_kib = contender.server.usage()?.resident_kib;
        groups.iter_mut().for_each(|group| {
            group.rows.push(Row {
                kind: contender.kind,
                sockets: contender.shape.sockets(),
                empty_kib: contender.empty_kib,
                idle_kib,
                samples: Vec::new(),
            });
        });
    }
    for round in 0..plan.rounds {
        for index in 0..contenders.len() {
            for ((key, _, load), group) in loads.iter().zip(groups.iter_mut()) {
                let contender = &mut contenders[index];
                let (commands, events) = load(contender.kind);
                let sample = contender.measure(&commands, events)?;
                say(round, key, contender, &sample);
                let row = group.rows.len() - contenders.len() + index;
                group.rows[row].samples.push(sample);
                attend(contenders)?;
            }
        }
    }
    Ok(())
}

fn say(round: usize, load: &str, contender: &Contender, sample: &Sample) {
    eprintln!(
        "  round {} {load} {}: {:.2} µs, {} of {} in {:.2} s, repeated {}, wrong {}, p50 {:.2} p99 {:.2} ms, late {} µs, {:.0} bytes{}",
        round + 1,
        contender.kind.name,
        sample.cost(),
        sample.delivered,
        sample.expected,
        sample.took.as_secs_f64(),
        sample.repeated,
        sample.wrong,
        sample.p50_ms,
        sample.p99_ms,
        sample.late_us,
        sample.bytes,
        contender.crowd.tally.complaint.as_deref().map(|what| format!("; {what}")).unwrap_or_default(),
    );
}

/// Allocators give back what is free a moment later.
fn rest(contenders: &mut [Contender]) -> Result<(), String> {
    let begun = Instant::now();
    while begun.elapsed() < REST {
        attend(contenders)?;
        clock::sleep_until(clock::now() + 10_000_000);
    }
    Ok(())
}

fn attend(contenders: &mut [Contender]) -> Result<(), String> {
    contenders.iter_mut().try_for_each(Contender::attend)
}
