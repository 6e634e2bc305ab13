//! The contract of [`EventStore`], run against every implementation.
//!
//! `event_store_contract!(open)` makes a test of each function here, where `async fn open() -> (Arc<dyn EventStore>, T)`
//! gives an empty store and whatever must live as long as it.

#![allow(clippy::unwrap_used, reason = "a test suite")]

mod appending;
mod reading;
mod world;

pub use self::{appending::*, reading::*};

/// Makes a `#[tokio::test]` of every test of the contract.
#[macro_export]
macro_rules! event_store_contract {
    ($open:path) => {
        $crate::event_store_contract!(@tests $open:
            many_writers_get_dense_seqs,
            a_routing_key_keeps_its_partition,
            one_append_is_one_run_of_places,
            an_append_sees_the_version_it_expects_or_writes_nothing,
            of_many_with_the_same_expectation_one_wins,
            a_repeated_request_answers_as_the_first_did,
            a_repeat_is_told_before_a_conflict,
            the_same_key_with_another_input_is_refused,
            a_refused_append_leaves_its_key_unused,
            keys_of_two_scopes_are_two,
            concurrent_repeats_write_once,
            append_many_decides_each_on_its_own,
            an_event_that_could_not_be_passed_on_is_refused,
            heads_cover_what_was_answered,
            a_stream_loads_as_it_was_written,
            current_is_the_last_whole_state,
            current_answers_in_the_order_asked,
            a_list_is_paged_newest_id_first,
            a_list_is_of_one_type_and_routing_key,
            tenants_with_equal_ids_never_meet,
        );
    };
    (@tests $open:path: $($test:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let (store, _kept) = $open().await;
                $crate::store::contract::$test(store).await;
            }
        )+
    };
}

#[cfg(test)]
mod twin {
    use std::sync::Arc;

    use crate::{store::EventStore, twins::MemoryStore};

    async fn open() -> (Arc<dyn EventStore>, ()) {
        (Arc::new(MemoryStore::default()), ())
    }

    event_store_contract!(open);
}
