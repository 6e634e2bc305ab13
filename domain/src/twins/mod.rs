//! In-memory twins of the ports, for tests.

mod keyring;
mod payer;
mod store;

pub use keyring::MemoryKeyring;
pub use payer::{ScriptedPayer, Step, request_input};
pub use store::MemoryStore;
