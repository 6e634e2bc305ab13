//! A record of a topic, taken out of the client's hands.

use rdkafka::message::{BorrowedMessage, Headers, Message};

/// The largest value that is looked into, in bytes.
pub(super) const MAX_VALUE: usize = 1 << 20;

#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// Unix milliseconds.
    pub(super) timestamp: Option<i64>,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Record {
    pub(super) fn of(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().into_iter().flat_map(Headers::iter);
        Self {
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp().to_millis(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers.map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect(),
        }
    }

    pub(super) fn value(&self) -> &[u8] {
        self.value.as_deref().unwrap_or_default()
    }

    /// The header's value; two of one name are none, for nobody could say which counts.
    pub(super) fn header(&self, name: &str) -> Option<&[u8]> {
        let mut found = self.headers.iter().filter(|(key, _)| key == name);
        let (_, value) = found.next()?;
        if found.next().is_some() { None } else { value.as_deref() }
    }
}
