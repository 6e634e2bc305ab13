//! The relay: copies the store's log to the topic, in the order of its seqs.
//!
//! Of each partition a first occurrence of a seq stands behind that of the one before it; a relay that starts again, and two
//! at once, repeat events, which readers drop. It holds no state but the checkpoint, and that may be too low at any time.

mod checkpoint;
mod flight;
mod outbox;
mod session;
mod start;

use std::{sync::Arc, time::Duration};

use sluice_schema::position::ReadVector;
use sluice_subscriptions::log::{Checkpoints, EventLog};
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use self::session::Session;
use super::{
    client::KafkaOptions,
    error::{OpenError, sentence},
};

/// The pause after a first failure; it doubles up to the cap.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How soon a source is asked again that did not give what its heads promise, or that is away.
const SOURCE_PAUSE: Duration = Duration::from_millis(20);

/// What ends a relay. Everything else it waits out.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// It is not the one that the store was relayed to: a new epoch may begin in it.
    #[error("the topic {topic} was made anew, or has lost what was relayed to it: {why}")]
    MadeAnew { topic: String, why: String },
    /// Whose events these are can't be told here.
    #[error(
        "the topic {topic} is not this store's ({why}): name a topic of its own in `kafka.topic`, or delete this one if nobody \
         needs it"
    )]
    NotOurs { topic: String, why: String },
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Copies all of `source` to the topic that `kafka` names. Two at once do no harm, they only repeat each other.
pub struct Relay {
    pub source: Arc<dyn EventLog>,
    pub checkpoints: Arc<dyn Checkpoints>,
    pub kafka: KafkaOptions,
    /// The installation's key for the records' keys.
    pub key: [u8; 32],
}

/// Why a session is over.
#[derive(Debug)]
enum Ended {
    /// For good.
    Error(RelayError),
    /// For now; the text is for the log.
    Failed(String),
}

impl From<OpenError> for Ended {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Unreachable { why, .. } => Self::Failed(why),
            error => Self::Error(error.into()),
        }
    }
}

impl From<&rdkafka::error::KafkaError> for Ended {
    fn from(error: &rdkafka::error::KafkaError) -> Self {
        Self::Failed(sentence(error))
    }
}

impl Relay {
    /// Names its checkpoint: for each partition the last seq that Kafka confirmed.
    pub const CHECKPOINT: &'static str = "relay";

    /// Runs until shutdown, through every outage of the source and of Kafka. Dropping it loses nothing: what was not
    /// confirmed is sent again by the next one.
    ///
    /// # Errors
    /// The topic is another one than before, or the settings can't be used.
    pub async fn run(&self, shutdown: CancellationToken) -> Result<(), RelayError> {
        let loaded = tokio::select! {
            loaded = self.load_checkpoint() => loaded,
            () = shutdown.cancelled() => return Ok(()),
        };
        let confirmed = watch::Sender::new(loaded);
        let result = tokio::select! {
            ended = self.run_sessions(&confirmed) => Err(ended),
            never = self.keep_checkpoint(confirmed.subscribe()) => match never {},
            () = shutdown.cancelled() => Ok(()),
        };
        self.save_last_checkpoint(&confirmed).await;
        result
    }

    /// One session after the other, each from the last confirmed seq on.
    async fn run_sessions(&self, confirmed: &watch::Sender<ReadVector>) -> RelayError {
        let mut pause = FIRST_PAUSE;
        loop {
            let before = confirmed.borrow().clone();
            let ended = match Session::start(self, confirmed).await {
                Ok(session) => Box::pin(session.run()).await,
                Err(ended) => ended,
            };
            match ended {
                Ended::Error(error) => return error,
                Ended::Failed(why) => tracing::warn!(topic = self.kafka.topic, why, "the relay starts again"),
            }
            if *confirmed.borrow() != before {
                pause = FIRST_PAUSE;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn made_anew(&self, why: &str) -> Ended {
        Ended::Error(RelayError::MadeAnew { topic: self.kafka.topic.clone(), why: why.into() })
    }

    fn not_ours(&self, why: &str) -> Ended {
        Ended::Error(RelayError::NotOurs { topic: self.kafka.topic.clone(), why: why.into() })
    }
}
