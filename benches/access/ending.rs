//! How long a stream goes on after it should not.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use sluice_subscriptions::relationships::{Relationships, SCHEMA, Update};

use crate::{
    house::House,
    installation::another_client,
    report::Report,
    watcher::{Ended, Watcher},
};

/// Who watch at a time: each gets every event.
const TOGETHER: usize = 10;

async fn watchers(house: &House, what: &str, group: usize, until: Option<Timestamp>) -> Result<Vec<Watcher>, String> {
    let users: Vec<_> = (0..TOGETHER).map(|number| format!("u-{what}-{group}-{number}")).collect();
    house.write(users.iter().map(|user| house.family(user, until)).collect()).await?;
    let mut watchers = Vec::new();
    for user in users {
        watchers.push(Watcher::begin(house, user).await?);
    }
    for watcher in &mut watchers {
        watcher.is_served().await?;
    }
    Ok(watchers)
}

/// By `revokeAccess`: from its answer on.
pub(crate) async fn revoked_through_sluice(house: &House, count: usize, report: &mut Report) -> Result<(), String> {
    let (mut events, mut errors) = (Vec::new(), Vec::new());
    for group in 0..count / TOGETHER {
        for watcher in watchers(house, "sluice", group, None).await? {
            house.revoke(&watcher.user).await?;
            note(&mut events, &mut errors, Instant::now(), &watcher.ended().await?);
        }
    }
    report.since("revokeAccess answered → last event at the client", 20.0, events);
    report.since("… → PERMISSION_REVOKED at the client", f64::NAN, errors);
    Ok(())
}

/// By another client of SpiceDB: from its answer on.
pub(crate) async fn revoked_in_spicedb(house: &House, count: usize, report: &mut Report) -> Result<(), String> {
    let spicedb = another_client(SCHEMA).await;
    let (mut events, mut errors) = (Vec::new(), Vec::new());
    for group in 0..count / TOGETHER {
        for watcher in watchers(house, "spicedb", group, None).await? {
            let Update::Touch(family) = house.family(&watcher.user, None) else { continue };
            spicedb.write(vec![Update::Delete(family)]).await.map_err(|error| error.to_string())?;
            note(&mut events, &mut errors, Instant::now(), &watcher.ended().await?);
        }
    }
    report.since("deleted in SpiceDB → last event at the client", 250.0, events);
    report.since("… → PERMISSION_REVOKED at the client", f64::NAN, errors);
    Ok(())
}

/// By a grant's end: from its instant on, by the clock.
pub(crate) async fn expired(house: &House, count: usize, report: &mut Report) -> Result<(), String> {
    let (mut events, mut errors) = (Vec::new(), Vec::new());
    for group in 0..count / TOGETHER {
        let until = Timestamp::now() + SignedDuration::from_millis(1500);
        for watcher in watchers(house, "until", group, Some(until)).await? {
            let ended = watcher.ended().await?;
            events.push(late(ended.last_event.clock, until));
            errors.push(late(ended.error.clock, until));
        }
    }
    report.since("a grant's end → last event at the client", 50.0, events);
    report.since("… → PERMISSION_REVOKED at the client", f64::NAN, errors);
    Ok(())
}

fn note(events: &mut Vec<f64>, errors: &mut Vec<f64>, answered: Instant, ended: &Ended) {
    let after = |at: Instant| at.checked_duration_since(answered).unwrap_or_default().as_secs_f64() * 1000.0;
    events.push(after(ended.last_event.instant));
    errors.push(after(ended.error.instant));
}

/// In milliseconds; what came before is 0.
fn late(at: Timestamp, until: Timestamp) -> f64 {
    at.duration_since(until).as_secs_f64().max(0.0) * 1000.0
}
