//! Relationships, read and changed past the gateways.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use sluice_adapters::spicedb::{SpiceDb, SpiceDbOptions};
use sluice_subscriptions::relationships::{
    Check, Checked, Consistency, Heed, ObjectRef, Relationship, Relationships, RelationshipsError, Revision, Update,
};

use super::required;

/// Another client of the SpiceDB that the gateways ask, of the version that has this schema.
pub(crate) async fn another_client(schema: &str) -> SpiceDb {
    let options = SpiceDbOptions {
        endpoint: required("SLUICE_TEST_SPICEDB"),
        preshared_key: required("SLUICE_TEST_SPICEDB_KEY"),
        ca_file: None,
        deadline: Duration::from_secs(5),
        max_in_flight: 1,
        max_staleness: Duration::ZERO,
    };
    SpiceDb::connect(&options, schema).await.unwrap()
}

/// What is done with each answer to these checks.
type Hook = Box<dyn Fn(&[Check], &mut Checked) + Send + Sync>;

/// Others' relationships, whose answers pass through a hook.
struct Hooked {
    real: Arc<dyn Relationships>,
    hook: Hook,
}

/// Answers what `real` does, after `hook` has seen it, and changed it where it likes.
pub(crate) fn answered_by(
    real: Arc<dyn Relationships>,
    hook: impl Fn(&[Check], &mut Checked) + Send + Sync + 'static,
) -> Arc<dyn Relationships> {
    Arc::new(Hooked { real, hook: Box::new(hook) })
}

#[async_trait]
impl Relationships for Hooked {
    async fn check_many(&self, consistency: Consistency, checks: &[Check]) -> Result<Checked, RelationshipsError> {
        let mut checked = self.real.check_many(consistency, checks).await?;
        (self.hook)(checks, &mut checked);
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
