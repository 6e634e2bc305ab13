//! What a client says in PostgreSQL's protocol (chapter "Frontend/Backend Protocol" of its manual), as far as statements.

use std::collections::HashMap;

#[derive(Default)]
pub(super) struct Frontend {
    /// The first message has no type.
    started: bool,
    /// By name.
    prepared: HashMap<String, String>,
    /// What was bound since the last Sync.
    bound: Option<String>,
}

impl Frontend {
    /// Takes the first whole message.
    pub(super) fn next(&mut self, said: &mut Vec<u8>) -> Option<Vec<u8>> {
        let kind = usize::from(self.started);
        let length = said.get(kind..kind + 4)?;
        let end = kind + u32::from_be_bytes(length.try_into().ok()?) as usize;
        if said.len() < end {
            return None;
        }
        self.started = true;
        Some(said.drain(..end).collect())
    }

    /// The statement that is run with this message, and committed where there is no transaction around it.
    pub(super) fn runs(&mut self, message: &[u8]) -> Option<String> {
        let mut texts =
            message.get(5..)?.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
        match message[0] {
            b'Q' => texts.next(),
            b'P' => {
                let (name, statement) = (texts.next()?, texts.next()?);
                self.prepared.insert(name, statement);
                None
            }
            b'B' => {
                self.bound = self.prepared.get(&texts.nth(1)?).cloned();
                None
            }
            b'S' => self.bound.take(),
            _ => None,
        }
    }
}
