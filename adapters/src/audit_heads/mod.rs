//! Signed heads: where each writer's chain was, told now and then by a signature, and kept apart from the trail.
//!
//! A hash chain shows what was altered or taken out of it, and nothing of what was cut off at its end, removed as a whole, or
//! computed anew. A signed head does: whoever can write to the trail has not the key, and whoever has cut it has not
//! the file that says how long it was. [`signer`] signs, [`file`] keeps, [`trusted`] reads and believes, and the walk along the
//! chains (`audit_chain::walk`) compares.

mod file;
mod key;
mod line;
mod signer;
#[cfg(test)]
mod tests;
mod trusted;

use tokio::sync::watch;

pub use self::{
    file::HeadsFileError,
    key::{KeyError, PublicKey, SigningKey},
    line::BadHead,
    signer::{HeadSigner, Signed},
    trusted::{Coverage, HeadsError, TrustedHeads},
};
use crate::audit_chain::Link;

/// Where one writer's chain is: its durable end, as that moves on.
#[derive(Debug, Clone)]
pub struct ChainEnd {
    pub(crate) writer: String,
    pub(crate) end: watch::Receiver<Link>,
}

impl ChainEnd {
    pub(crate) fn new(writer: String, end: watch::Receiver<Link>) -> Self {
        Self { writer, end }
    }

    fn now(&self) -> Link {
        *self.end.borrow()
    }
}
