//! A gateway in this process, as people run it, and what to it belongs: one member of whom much is told.

use jiff::Timestamp;
use serde_json::json;
use sluice::{app::Altered, config::Telemetry, telemetry};
use sluice_schema::viewer::PurposeOfUse;
use sluice_subscriptions::relationships::{ObjectRef, Relationship, SubjectRef, Update};

use crate::installation::{Gateway, GatewayOptions, Home};

/// Of whom events are told all the time.
pub(crate) const MEMBER: &str = "m-hot";

/// Who manages access at her organization.
const MANAGER: &str = "u-manager";

pub(crate) struct House {
    pub(crate) gateway: Gateway,
    manager: String,
    /// Nothing is left of it when this is dropped.
    _home: Home,
}

const REVOKE: &str = "mutation($input: RevokeAccessInput!) { revokeAccess(input: $input) { granted } }";

impl House {
    pub(crate) async fn open() -> Result<Self, String> {
        let home = Home::new().await;
        let telemetry = Telemetry { log_filter: "warn".into(), ..Telemetry::default() };
        let metrics = telemetry::start(&telemetry).map_err(|error| error.to_string())?;
        let gateway = {
            let (environment, altered) = (Vec::new(), Altered::default());
            Gateway::open(&home, GatewayOptions { node: "bench", environment, metrics, altered }).await
        };
        let manager = gateway.token(MANAGER, PurposeOfUse::Operations);
        let house = Self { gateway, manager, _home: home };
        let clinic = house.object("organization", "clinic");
        house
            .write(vec![
                house.relates(MEMBER, "organization", clinic.clone(), None),
                Update::Touch(relationship(clinic, "access_manager", house.object("user", MANAGER), None)),
            ])
            .await?;
        Ok(house)
    }

    pub(crate) async fn close(self) {
        self.gateway.close().await;
    }

    pub(crate) fn object(&self, object_type: &str, id: &str) -> ObjectRef {
        ObjectRef::new(object_type, &self.gateway.tenant, id)
    }

    pub(crate) fn relates(&self, member: &str, relation: &str, to: ObjectRef, until: Option<Timestamp>) -> Update {
        Update::Touch(relationship(self.object("member", member), relation, to, until))
    }

    /// Makes somebody family of the member.
    pub(crate) fn family(&self, user: &str, until: Option<Timestamp>) -> Update {
        self.relates(MEMBER, "family_coverage", self.object("user", user), until)
    }

    /// Past the mutations.
    pub(crate) async fn write(&self, updates: Vec<Update>) -> Result<(), String> {
        self.gateway.ports.relationships.write(updates).await.map(drop).map_err(|error| error.to_string())
    }

    /// `revokeAccess`, by who may.
    pub(crate) async fn revoke(&self, user: &str) -> Result<(), String> {
        let input = json!({ "memberId": MEMBER, "relation": "FAMILY_COVERAGE", "userId": user });
        let answer = self.gateway.graphql(&self.manager, REVOKE, json!({ "input": input })).await;
        if answer["data"]["revokeAccess"]["granted"] == false { Ok(()) } else { Err(answer.to_string()) }
    }

    /// A counter of the process's.
    pub(crate) async fn counted(&self, line: &str) -> u64 {
        let text = self.gateway.get(&self.manager, "/metrics").await;
        let values = text.lines().filter(|found| found.starts_with(line));
        values.filter_map(|found| found.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
    }
}

fn relationship(resource: ObjectRef, relation: &str, object: ObjectRef, expires: Option<Timestamp>) -> Relationship {
    Relationship { resource, relation: relation.into(), subject: SubjectRef { object, relation: None }, expires }
}
