//! A gateway in this process, as people run it, and what to it belongs: one member of whom much is told.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};
use sluice::{
    app::{App, Ports, listen},
    auth::{Issuer, TokenRules},
    config::{Config, Sources, Telemetry},
    telemetry,
};
use sluice_schema::{
    ids::{TenantId, UserId},
    viewer::PurposeOfUse,
};
use sluice_subscriptions::relationships::{ObjectRef, Relationship, SubjectRef, Update};

use crate::installation::Home;

/// Of whom events are told all the time.
pub(crate) const MEMBER: &str = "m-hot";

/// Who manages access at her organization.
const MANAGER: &str = "u-manager";

pub(crate) struct House {
    pub(crate) ports: Arc<Ports>,
    pub(crate) tenant: TenantId,
    /// Nothing is left of it when this is dropped.
    _home: Home,
    issuer: Issuer,
    http: reqwest::Client,
    address: std::net::SocketAddr,
    manager: String,
}

const REVOKE: &str = "mutation($input: RevokeAccessInput!) { revokeAccess(input: $input) { granted } }";

impl House {
    pub(crate) async fn open() -> Result<Self, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let home = Home::new().await;
        let flags = vec![("data_dir", home.data_dir().display().to_string())];
        let environment = home.environment().iter().cloned().collect();
        let config = Config::load(&Sources { file: None, environment, flags }).map_err(|error| text(&error))?;
        let config = Config { telemetry: Telemetry { log_filter: "warn".into(), ..Telemetry::default() }, ..config };
        let metrics = telemetry::start(&config.telemetry).map_err(|error| text(&error))?;
        let app = Box::pin(App::build(config, metrics)).await.map_err(|error| text(&error))?;
        let listener = listen(([127, 0, 0, 1], 0).into()).map_err(|error| text(&error))?;
        let address = listener.local_addr().map_err(|error| text(&error))?;
        let ports = Arc::new(app.ports());
        tokio::spawn(app.run(listener, std::future::pending()));
        let issuer =
            Issuer::open(&home.data_dir(), TokenRules::new("sluice", "sluice")).map_err(|error| text(&error))?;
        let http = reqwest::Client::builder().no_proxy().build().map_err(|error| text(&error))?;
        let tenant = home.tenant().parse().map_err(|error| text(&error))?;
        let mut house = Self { ports, tenant, _home: home, issuer, http, address, manager: String::new() };
        house.manager = house.token(MANAGER, PurposeOfUse::Operations)?;
        let clinic = house.object("organization", "clinic");
        house
            .write(vec![
                house.relates(MEMBER, "organization", clinic.clone(), None),
                Update::Touch(relationship(clinic, "access_manager", house.object("user", MANAGER), None)),
            ])
            .await?;
        Ok(house)
    }

    pub(crate) fn subscriptions(&self) -> String {
        format!("ws://{}/graphql", self.address)
    }

    pub(crate) fn token(&self, user: &str, purpose: PurposeOfUse) -> Result<String, String> {
        let user: UserId = user.parse().map_err(|_| "not a user's id")?;
        let token = self.issuer.issue(&user, &self.tenant, purpose, Duration::from_secs(3600));
        token.map_err(|error| error.to_string())
    }

    pub(crate) fn object(&self, object_type: &str, id: &str) -> ObjectRef {
        ObjectRef::new(object_type, &self.tenant, id)
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
        self.ports.relationships.write(updates).await.map(drop).map_err(|error| error.to_string())
    }

    /// `revokeAccess`, by who may.
    pub(crate) async fn revoke(&self, user: &str) -> Result<(), String> {
        let input = json!({ "memberId": MEMBER, "relation": "FAMILY_COVERAGE", "userId": user });
        let body = json!({ "query": REVOKE, "variables": { "input": input } });
        let request = self.http.post(format!("http://{}/graphql", self.address)).bearer_auth(&self.manager).json(&body);
        let answer = async { request.send().await?.json::<Value>().await };
        let answer = answer.await.map_err(|error| error.to_string())?;
        if answer["data"]["revokeAccess"]["granted"] == false { Ok(()) } else { Err(answer.to_string()) }
    }

    /// A counter of the process's.
    pub(crate) async fn counted(&self, line: &str) -> Result<u64, String> {
        let metrics = self.http.get(format!("http://{}/metrics", self.address)).send();
        let text = async { metrics.await?.text().await }.await.map_err(|error| error.to_string())?;
        let values = text.lines().filter(|found| found.starts_with(line));
        Ok(values.filter_map(|found| found.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64)
    }
}

fn relationship(resource: ObjectRef, relation: &str, object: ObjectRef, expires: Option<Timestamp>) -> Relationship {
    Relationship { resource, relation: relation.into(), subject: SubjectRef { object, relation: None }, expires }
}
