//! Mistakes that a gateway could make, put between it and whatever answers its checks: the checker has to find each.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use sluice_subscriptions::relationships::{Check, Relationships};

use crate::installation::answered_by;

type Real = Arc<dyn Relationships>;

/// What stands between the gateways and what answers their checks.
pub(crate) type Between = fn(Real) -> Real;

/// What was decided for the first of a batch goes for all of it.
pub(crate) fn the_heads_decision_is_reused(real: Real) -> Real {
    answered_by(real, |checks, checked| {
        for number in 1..checks.len() {
            let same = |first: &Check| first.permission == checks[number].permission;
            let head = checks.iter().position(same).unwrap_or(number);
            (checked.allowed[number], checked.until[number]) = (checked.allowed[head], checked.until[head]);
        }
    })
}

/// What was answered once is answered again, whatever was written since.
pub(crate) fn the_revision_is_ignored(real: Real) -> Real {
    let before: Mutex<HashMap<Check, bool>> = Mutex::default();
    answered_by(real, move |checks, checked| {
        let mut before = before.lock().unwrap();
        for (check, allowed) in checks.iter().zip(&mut checked.allowed) {
            *allowed = *before.entry(check.clone()).or_insert(*allowed);
        }
    })
}

/// Nobody is told when a relationship expires.
pub(crate) fn the_timer_is_dropped(real: Real) -> Real {
    answered_by(real, |_, checked| checked.until.fill(None))
}
