//! The contracts of [`EventLog`] and [`Checkpoints`], run against every implementation and its hostile twin.
//!
//! `event_log_contract!(open)` makes a test of each function of [`events`], where `async fn open() -> impl Fixture`;
//! `checkpoints_contract!(open)` of those of [`checkpoints`], where `async fn open() -> (Arc<dyn Checkpoints>, T)` gives none
//! and whatever must live as long as they do.

#![allow(clippy::unwrap_used, reason = "a test suite")]

pub mod checkpoints;
pub mod events;

use std::sync::Arc;

use async_trait::async_trait;
use sluice_schema::position::Position;

use super::EventLog;

/// An empty log, and the ways to fill and to empty it that are not part of the port.
#[async_trait]
pub trait Fixture: Send + Sync {
    fn log(&self) -> Arc<dyn EventLog>;

    /// Appends an event of this id to some partition. Different ids come to different partitions.
    async fn append(&self, event_id: &str) -> Position;

    /// Retention passes everything that is in the log now.
    async fn forget(&self);
}

/// Makes a `#[tokio::test]` of every test of the contract of `EventLog`.
#[macro_export]
macro_rules! event_log_contract {
    ($open:path) => {
        $crate::event_log_contract!(@tests $open:
            places_are_dense_and_of_this_epoch,
            events_come_in_the_order_of_their_appends,
            a_reader_resumes_from_any_place,
            a_limit_is_kept,
            nothing_is_behind_the_head,
            heads_never_promise_too_much,
            an_append_wakes_a_waiting_reader,
            partitions_are_independent,
            a_dropped_read_has_no_effect,
            behind_retention_is_a_gap,
        );
    };
    (@tests $open:path: $($test:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                $crate::log::contract::events::$test(&$open().await).await;
            }
        )+
    };
}

/// Makes a `#[tokio::test]` of every test of the contract of `Checkpoints`.
#[macro_export]
macro_rules! checkpoints_contract {
    ($open:path) => {
        $crate::checkpoints_contract!(@tests $open:
            a_checkpoint_is_the_last_that_was_saved,
            workers_have_their_own,
            another_epoch_starts_over,
        );
    };
    (@tests $open:path: $($test:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $test() {
                let (checkpoints, _kept) = $open().await;
                $crate::log::contract::checkpoints::$test(checkpoints.as_ref()).await;
            }
        )+
    };
}

#[cfg(test)]
mod twins;
