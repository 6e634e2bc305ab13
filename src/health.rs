//! `/healthz`, `/readyz`, `/metrics`, and the page at `/`. None of them asks who is there, and none holds anything about
//! anybody.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, RwLock},
};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{Html, IntoResponse},
    routing::get,
};
use serde_json::{Value, json};

use crate::telemetry::Metrics;

const PAGE: &str = include_str!("health.html");

/// How the process is: told by its parts, read by `/readyz`.
#[derive(Debug, Default)]
pub struct Health(RwLock<Parts>);

#[derive(Debug, Default)]
struct Parts {
    accepting: bool,
    degraded: BTreeMap<&'static str, Cow<'static, str>>,
}

/// How one part is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    Sound,
    /// It is away or slow; the process goes on without it where that is safe. Why, for an operator: nothing about
    /// people in it, for anybody may read it.
    Degraded(Cow<'static, str>),
}

impl Health {
    /// Told by a part when its condition changes. A part that never told is sound.
    pub fn report(&self, part: &'static str, condition: Condition) {
        let mut state = self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        match condition {
            Condition::Sound => state.degraded.remove(part),
            Condition::Degraded(why) => state.degraded.insert(part, why),
        };
    }

    /// Whether new connections are taken: from the bound port to the beginning of the drain.
    pub fn accepting(&self, accepting: bool) {
        self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner).accepting = accepting;
    }

    /// The parts that are away.
    pub fn degraded(&self) -> Vec<&'static str> {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner).degraded.keys().copied().collect()
    }

    fn readiness(&self) -> (StatusCode, Value) {
        let state = self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (code, status) = match (state.accepting, state.degraded.is_empty()) {
            (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "not accepting connections"),
            (true, true) => (StatusCode::OK, "ready"),
            (true, false) => (StatusCode::OK, "ready, but degraded"),
        };
        (code, json!({ "status": status, "degraded": state.degraded }))
    }
}

/// The routes. They belong on the same listener as the transports.
pub fn routes(health: Arc<Health>, metrics: Metrics) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(readyz).with_state(health))
        .route("/metrics", get(render).with_state(metrics))
}

async fn readyz(State(health): State<Arc<Health>>) -> impl IntoResponse {
    let (code, body) = health.readiness();
    (code, [(header::CACHE_CONTROL, "no-store")], Json(body))
}

async fn render(State(metrics): State<Metrics>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render())
}

async fn page() -> impl IntoResponse {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";
    ([(header::CONTENT_SECURITY_POLICY, policy), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")], Html(PAGE))
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use tower_service::Service;

    use super::*;

    struct Got {
        code: StatusCode,
        body: String,
    }

    async fn get(health: &Arc<Health>, path: &str) -> Got {
        let mut routes = routes(Arc::clone(health), Metrics::detached());
        let request = axum::extract::Request::get(path).body(axum::body::Body::empty()).unwrap();
        let response = routes.call(request).await.unwrap();
        let code = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        Got { code, body: String::from_utf8(body.into()).unwrap() }
    }

    async fn readiness(health: &Arc<Health>) -> (u16, Value) {
        let got = get(health, "/readyz").await;
        (got.code.as_u16(), serde_json::from_str(&got.body).unwrap())
    }

    #[tokio::test]
    async fn alive_is_alive_whatever_else() {
        let got = get(&Arc::default(), "/healthz").await;
        assert_eq!((got.code.as_u16(), got.body.as_str()), (200, "ok"));
    }

    #[tokio::test]
    async fn ready_from_the_bound_port_to_the_drain() {
        let health = Arc::<Health>::default();
        assert_eq!(readiness(&health).await.0, 503);
        health.accepting(true);
        assert_eq!(readiness(&health).await, (200, json!({ "status": "ready", "degraded": {} })));
        health.accepting(false);
        let drained = json!({ "status": "not accepting connections", "degraded": {} });
        assert_eq!(readiness(&health).await, (503, drained));
    }

    #[tokio::test]
    async fn a_part_that_is_away_is_named_until_it_is_back() {
        let health = Arc::<Health>::default();
        health.accepting(true);
        health.report("audit", Condition::Degraded("the disk is full".into()));
        let degraded = json!({ "status": "ready, but degraded", "degraded": { "audit": "the disk is full" } });
        assert_eq!(readiness(&health).await, (200, degraded));
        health.report("audit", Condition::Sound);
        assert_eq!(readiness(&health).await.1["degraded"], json!({}));
    }

    #[tokio::test]
    async fn metrics_and_the_page_are_there() {
        assert_eq!(get(&Arc::default(), "/metrics").await.code, StatusCode::OK);
        let page = get(&Arc::default(), "/").await;
        assert!(page.body.contains("/graphql") && page.body.contains("/readyz"));
        for outside in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!page.body.contains(outside), "the page loads nothing from elsewhere: {outside}");
        }
    }
}
