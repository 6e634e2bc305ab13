//! What every audit trail of ours is made of, whatever it is kept in: the text of a record, and the hash chain of a writer.

mod entry;
mod link;
mod walk;

pub(crate) use self::{
    entry::Entry,
    link::{Link, new_writer},
    walk::{Row, Walk},
};
