//! What every audit trail of ours is made of, whatever it is kept in: the text of a record, the hash chain of a writer, and
//! the audiences that records name.

mod entry;
mod known;
mod link;
mod walk;

pub(crate) use self::{
    entry::{Entry, Named},
    known::{Key, Known},
    link::{HASH_BYTES, Link, new_writer},
    walk::{Row, Walk},
};
