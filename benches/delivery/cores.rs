//! How much more two cores deliver than one, where the server has enough to do: each subscriber a class of its own.

use crate::{
    contender::{ONE_CORE, SLUICE_OWN, Shape},
    finding::Finding,
    plan::{Plan, bursts},
    report::find,
    scenarios::{Group, compare},
};

const SOCKETS: u32 = 1000;

/// Events of a burst, each of which is decided, rendered and written for each socket by itself.
const EVENTS: u64 = 40;

pub(crate) fn run(plan: &Plan) -> Result<(Vec<Group>, Vec<Finding>), String> {
    let title = format!("Cores: {SOCKETS} sockets on one channel, each a class of its own");
    let load: crate::scenarios::Load<'_> =
        ("burst", format!("bursts of {EVENTS} events"), Box::new(|_| bursts(EVENTS, 1, 1)));
    let kinds = [SLUICE_OWN, ONE_CORE];
    let groups = compare(plan, "cores", &title, Shape::OneChannel(SOCKETS), &kinds, &[load])?;
    let row = |name| find(&groups, "cores/burst", name);
    let Some((two, one)) = row(SLUICE_OWN.name).zip(row(ONE_CORE.name)) else { return Ok((groups, Vec::new())) };
    let rates = |row: &crate::scenarios::Row| -> Vec<f64> {
        row.samples.iter().map(|sample| sample.delivered as f64 / sample.took.as_secs_f64() / 1e3).collect()
    };
    let (one, two) = (rates(one), rates(two));
    let times = one.iter().zip(&two).map(|(one, two)| two / one).collect();
    let told = |what: &str, figures, unit| Finding { what: what.into(), at_most: None, figures, unit };
    let findings = vec![
        told("deliveries a second, each its own class, one core", one, " thousand"),
        told("… two cores, of which the clients take their part", two, " thousand"),
        told("… two against one", times, ""),
    ];
    Ok((groups, findings))
}
