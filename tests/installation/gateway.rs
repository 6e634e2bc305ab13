//! A gateway in this process: the whole of it, over its real sockets, with its ports at hand.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use serde_json::{Value, json};
use sluice::{
    app::{Altered, App, Ports, RunError, listen},
    auth::{Issuer, TokenRules},
    config::{Config, Sources, Telemetry},
    telemetry::Metrics,
};
use sluice_schema::{ids::TenantId, viewer::PurposeOfUse};
use tokio::{sync::oneshot, task::JoinHandle};

use super::Home;

pub(crate) struct Gateway {
    pub(crate) ports: Arc<Ports>,
    pub(crate) tenant: TenantId,
    address: SocketAddr,
    issuer: Issuer,
    http: reqwest::Client,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), RunError>>,
}

/// How it is opened.
pub(crate) struct GatewayOptions {
    /// Its name in the audit trail, which tells it from the other gateways of its installation.
    pub(crate) node: &'static str,
    /// More of the environment than its installation has.
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) metrics: Metrics,
    pub(crate) altered: Altered,
}

impl Gateway {
    /// Nobody is related to anybody.
    pub(crate) async fn open(home: &Home, options: GatewayOptions) -> Self {
        let GatewayOptions { node, environment, metrics, altered } = options;
        let flags = vec![
            ("data_dir", home.data_dir().display().to_string()),
            ("server.node", node.to_owned()),
            ("demo.enabled", "false".to_owned()),
        ];
        let environment = home.environment().iter().cloned().chain(environment).collect();
        let config = Config::load(&Sources { file: None, environment, flags }).unwrap();
        let config = Config { telemetry: Telemetry { log_filter: "warn".into(), ..Telemetry::default() }, ..config };
        let app = Box::pin(App::build_altered(config, metrics, altered)).await.unwrap();
        let listener = listen(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let ports = Arc::new(app.ports());
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(app.run(listener, async { drop(stopped.await) }));
        let issuer = Issuer::open(&home.data_dir(), TokenRules::new("sluice", "sluice")).unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { ports, tenant: home.tenant().parse().unwrap(), address, issuer, http, stop, running }
    }

    pub(crate) fn subscriptions_url(&self) -> String {
        format!("ws://{}/graphql", self.address)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn token(&self, user: &str, purpose: PurposeOfUse) -> String {
        self.issuer.issue(&user.parse().unwrap(), &self.tenant, purpose, Duration::from_secs(3600)).unwrap()
    }

    /// The whole response.
    pub(crate) async fn graphql(&self, token: &str, query: &str, variables: Value) -> Value {
        let body = json!({ "query": query, "variables": variables });
        let request = self.http.post(self.url("/graphql")).bearer_auth(token).json(&body);
        request.send().await.unwrap().json().await.unwrap()
    }

    /// What a GET by somebody answers.
    pub(crate) async fn get(&self, token: &str, path: &str) -> String {
        let request = self.http.get(self.url(path)).bearer_auth(token);
        request.send().await.unwrap().text().await.unwrap()
    }

    /// As by SIGTERM: everything is on record when this returns.
    pub(crate) async fn close(self) {
        drop(self.stop);
        self.running.await.unwrap().unwrap();
    }
}
