//! What every audit trail of ours is made of, whatever it is kept in: the text of a record, the hash chain of a writer, and
//! the audiences that records name.

mod entry;
mod known;
mod link;
mod told;
mod verify;
mod walk;

#[cfg(test)]
pub(crate) use self::walk::{Page, Walk};
pub(crate) use self::{
    entry::{Entry, Named},
    known::{Key, Known},
    link::{HASH_BYTES, Link, new_writer},
    verify::{Member, Source, Wanted, verify},
    walk::Row,
};
