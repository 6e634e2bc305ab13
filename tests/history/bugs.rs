//! Mistakes that a gateway could make, put between it and whatever answers its checks: the checker has to find each.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
};

use async_trait::async_trait;
use sluice_subscriptions::relationships::{
    Check, Checked, Consistency, Heed, ObjectRef, Relationship, Relationships, RelationshipsError, Revision, Update,
};

type Real = Arc<dyn Relationships>;

/// What stands between the gateways and what answers their checks.
pub(crate) type Between = fn(Real) -> Real;

/// What is done to each answer.
type Mistake = Box<dyn Fn(&[Check], &mut Checked) + Send + Sync>;

struct Mistaken {
    real: Real,
    mistake: Mistake,
}

/// What was decided for the first of a batch goes for all of it.
pub(crate) fn the_heads_decision_is_reused(real: Real) -> Real {
    mistaken(real, |checks, checked| {
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
    mistaken(real, move |checks, checked| {
        let mut before = before.lock().unwrap();
        for (check, allowed) in checks.iter().zip(&mut checked.allowed) {
            *allowed = *before.entry(check.clone()).or_insert(*allowed);
        }
    })
}

/// Nobody is told when a relationship expires.
pub(crate) fn the_timer_is_dropped(real: Real) -> Real {
    mistaken(real, |_, checked| checked.until.fill(None))
}

fn mistaken(real: Real, mistake: impl Fn(&[Check], &mut Checked) + Send + Sync + 'static) -> Real {
    Arc::new(Mistaken { real, mistake: Box::new(mistake) })
}

#[async_trait]
impl Relationships for Mistaken {
    async fn check_many(&self, consistency: Consistency, checks: &[Check]) -> Result<Checked, RelationshipsError> {
        let mut checked = self.real.check_many(consistency, checks).await?;
        (self.mistake)(checks, &mut checked);
        Ok(checked)
    }

    async fn write(&self, updates: Vec<Update>) -> Result<Revision, RelationshipsError> {
        self.real.write(updates).await
    }

    async fn read(&self, resource: &ObjectRef) -> Result<Vec<Relationship>, RelationshipsError> {
        self.real.read(resource).await
    }

    fn follow(&self, heed: Weak<dyn Heed>) {
        self.real.follow(heed);
    }
}
