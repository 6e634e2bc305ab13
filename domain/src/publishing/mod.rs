//! Events that other systems publish: which of them may enter, and how they enter once.

mod incoming;
mod publisher;
mod types;

pub use incoming::{Incoming, Refusal};
pub use publisher::{PublishError, Published, Publisher};
pub use types::is_foreign;
