//! Relationships, changed past the gateways.

use std::time::Duration;

use sluice_adapters::spicedb::{SpiceDb, SpiceDbOptions};
use sluice_schema::ids::TenantId;
use sluice_subscriptions::relationships::{ObjectRef, Relationship, Relationships, SCHEMA, SubjectRef, Update};

use crate::{
    harness::MEMBER,
    installation::{Home, required},
};

/// Takes the guardian's access to the member away. It holds when this returns.
pub(crate) async fn revoke_guardian(home: &Home) {
    let tenant: TenantId = home.tenant().parse().unwrap();
    let guardian = Relationship {
        resource: ObjectRef::new("member", &tenant, MEMBER),
        relation: "guardian".into(),
        subject: SubjectRef { object: ObjectRef::new("user", &tenant, "u-guardian"), relation: None },
        expires: None,
    };
    let options = SpiceDbOptions {
        endpoint: required("SLUICE_TEST_SPICEDB"),
        preshared_key: required("SLUICE_TEST_SPICEDB_KEY"),
        ca_file: None,
        deadline: Duration::from_secs(5),
        max_in_flight: 1,
        max_staleness: Duration::ZERO,
    };
    let spicedb = SpiceDb::connect(&options, SCHEMA).await.unwrap();
    spicedb.write(vec![Update::Delete(guardian)]).await.unwrap();
}
