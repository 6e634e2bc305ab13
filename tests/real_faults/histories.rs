//! What is shown by a gateway that does not hear of changes for a while: it shows nothing by what was, and loses nothing.

use crate::history::{Extent, Play, Trouble};

async fn nothing_is_shown_that_was_taken_away(trouble: Trouble) {
    let played = Play { trouble: Some(trouble), ..Play::new(7) }.play().await;
    println!("{trouble:?}: {:?}", Extent::of(&played.history));
    played.is_right();
}

#[tokio::test]
async fn a_gateway_that_does_not_reach_spicedb_shows_nothing_by_what_was() {
    nothing_is_shown_that_was_taken_away(Trouble::Cut).await;
}

/// Nobody closes the connection; Watch says nothing, and nothing is answered.
#[tokio::test]
async fn nor_does_one_whose_connection_has_gone_silent() {
    nothing_is_shown_that_was_taken_away(Trouble::Silent).await;
}

#[tokio::test]
async fn nor_does_one_that_hears_of_everything_late() {
    nothing_is_shown_that_was_taken_away(Trouble::Slow).await;
}
