//! Tokens, by keys that change while the gateway runs: they are read anew from time to time, and at once for a token whose
//! key is not known.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use governor::{
    Quota, RateLimiter, middleware::NoOpMiddleware, nanos::Nanos, state::InMemoryState, state::direct::NotKeyed,
};
use jiff::Timestamp;
use sluice_schema::{error::ClientError, viewer::Viewer};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    refusal::Refusal,
    source::KeySource,
    verifier::{TokenRules, Verifier},
};
use crate::clock::TokioClock;

/// How often in a row unknown keys may have the set read anew. Anybody can name one: no token needs to hold for it.
const READS_IN_A_ROW: NonZeroU32 = NonZeroU32::new(5).expect("is more than 0");

/// After those, once in this time.
const THEN_ONCE_IN: Duration = Duration::from_secs(30);

/// How long a token waits for its key. A source gives up sooner.
const PATIENCE: Duration = Duration::from_secs(10);

/// Says who presents a token.
pub struct Authenticator {
    verifier: Verifier,
    /// Absent where the keys are this process's own.
    rotation: Option<Rotation>,
}

struct Rotation {
    source: Arc<dyn KeySource>,
    every: Duration,
    unknown_keys: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Nanos>>,
    reads: watch::Sender<Reads>,
    wanted: Notify,
}

/// One at a time.
#[derive(Debug, Default)]
struct Reads {
    /// Or about to begin.
    under_way: bool,
    done: u64,
}

impl Authenticator {
    /// By keys that stay.
    pub fn fixed(verifier: Verifier) -> Self {
        Self { verifier, rotation: None }
    }

    /// Reads the keys; [`Self::run`] reads them again.
    ///
    /// # Errors
    /// They can't be read or used: why, in words that repeat nothing of them.
    pub(crate) async fn rotating(
        source: Arc<dyn KeySource>,
        every: Duration,
        rules: TokenRules,
    ) -> Result<Self, String> {
        let verifier = Verifier::from_jwks(&source.read().await?, rules).map_err(|error| error.to_string())?;
        let quota = Quota::with_period(THEN_ONCE_IN).expect("is more than 0").allow_burst(READS_IN_A_ROW);
        let rotation = Rotation {
            source,
            every,
            unknown_keys: RateLimiter::direct_with_clock(quota, TokioClock::start()),
            reads: watch::Sender::default(),
            wanted: Notify::new(),
        };
        Ok(Self { verifier, rotation: Some(rotation) })
    }

    /// Who presents this token (without the word "Bearer"). Any fault is `UNAUTHENTICATED`, and always the same text.
    ///
    /// # Errors
    /// The token does not hold.
    pub async fn authenticate(&self, token: &str) -> Result<Viewer, ClientError> {
        let read = match (self.verifier.read(token, Timestamp::now()), &self.rotation) {
            (Err(Refusal::UnknownKey), Some(rotation)) if rotation.read_anew().await => {
                self.verifier.read(token, Timestamp::now())
            }
            (read, _) => read,
        };
        read.map_err(Refusal::to_client)
    }

    /// Keeps the keys as they are published, until `token` is cancelled. After an error those known stay in force.
    pub async fn run(self: Arc<Self>, token: CancellationToken) {
        let Some(rotation) = &self.rotation else { return token.cancelled().await };
        let mut ticks = interval_at(Instant::now() + rotation.every, rotation.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = rotation.wanted.notified() => {}
                () = token.cancelled() => return,
            }
            tokio::select! {
                () = rotation.read(&self.verifier) => {}
                () = token.cancelled() => return,
            }
        }
    }
}

impl Rotation {
    async fn read(&self, verifier: &Verifier) {
        self.reads.send_modify(|reads| reads.under_way = true);
        let read = self.source.read().await;
        let outcome = match read.and_then(|jwks| verifier.replace_keys(&jwks).map_err(|error| error.to_string())) {
            Ok(()) => "read",
            Err(why) => {
                tracing::warn!(why, "the keys of tokens can't be read anew: those that were known stay in force");
                "failed"
            }
        };
        metrics::counter!("sluice_token_keys_reads_total", "outcome" => outcome).increment(1);
        self.reads.send_modify(|reads| *reads = Reads { under_way: false, done: reads.done + 1 });
    }

    /// Has the keys read, or waits for who does already; whether that was done.
    async fn read_anew(&self) -> bool {
        let mut reads = self.reads.subscribe();
        let mut awaited = None;
        let begins = self.reads.send_if_modified(|reads| {
            let begins = !reads.under_way && self.unknown_keys.check().is_ok();
            reads.under_way |= begins;
            awaited = reads.under_way.then_some(reads.done + 1);
            begins
        });
        let Some(awaited) = awaited else { return false };
        if begins {
            self.wanted.notify_one();
        }
        timeout(PATIENCE, reads.wait_for(|reads| reads.done >= awaited)).await.is_ok()
    }
}

#[cfg(test)]
#[path = "authenticator_tests.rs"]
mod tests;
