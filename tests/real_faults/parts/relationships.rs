//! Relationships, changed past the gateways.

use sluice_schema::ids::TenantId;
use sluice_subscriptions::relationships::{ObjectRef, Relationship, Relationships, SCHEMA, SubjectRef, Update};

use crate::{
    harness::MEMBER,
    installation::{Home, another_client},
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
    let spicedb = another_client(SCHEMA).await;
    spicedb.write(vec![Update::Delete(guardian)]).await.unwrap();
}
