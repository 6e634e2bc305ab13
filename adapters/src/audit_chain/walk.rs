//! Verifying chains.

use sluice_subscriptions::audit::Verified;

use super::link::Link;

/// `writer, number, prev_hash, hash, body`; the body as bytes, for altered ones need not be text.
pub(crate) type Row = (String, i64, Vec<u8>, Vec<u8>, Vec<u8>);

/// Walks records in the order of writer and number.
pub(crate) struct Walk {
    pub(crate) records: u64,
    writer: String,
    end: Link,
}

impl Default for Walk {
    fn default() -> Self {
        Self { records: 0, writer: String::new(), end: Link::beginning("") }
    }
}

impl Walk {
    /// Where to read on.
    pub(crate) fn place(&self) -> (&str, i64) {
        (&self.writer, self.end.number)
    }

    /// Takes the next records. What was found, where that is the end: one that does not fit, or no more of them.
    pub(crate) fn take(&mut self, rows: Vec<Row>) -> Option<Verified> {
        if rows.is_empty() {
            return Some(Verified::Intact { records: self.records });
        }
        rows.into_iter().find_map(|row| self.step(row).err())
    }

    /// # Errors
    /// The record does not fit: the finding.
    fn step(&mut self, (writer, number, prev_hash, hash, body): Row) -> Result<(), Verified> {
        if writer != self.writer {
            self.end = Link::beginning(&writer);
            self.writer = writer;
        }
        let expected = self.end.number + 1;
        let broken =
            |why: String| Err(Verified::Broken { writer: self.writer.clone(), number: expected.unsigned_abs(), why });
        if number != expected {
            return broken(format!("it is missing; the next one is {number}"));
        }
        if prev_hash != self.end.hash {
            return broken(
                "it does not follow the record before it: one of the two was altered, or others stood between".into(),
            );
        }
        let next = self.end.next(&body);
        if hash != next.hash {
            return broken("its hash is not that of its text: it was altered".into());
        }
        self.end = next;
        self.records += 1;
        Ok(())
    }
}
