//! A cursor as a client presents it: no text panics, what is read is what was written, and what was altered is refused.
//!
//! An input is a text as it is; and it is the inside of a cursor, which gets the checksum that no guess would hit.

#![no_main]

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;
use sluice_schema::position::Cursor;

fuzz_target!(|input: &[u8]| {
    if let Ok(text) = str::from_utf8(input) {
        read(text);
    }
    read(&URL_SAFE_NO_PAD.encode(input));
    let sealed = [input, &crc32fast::hash(input).to_be_bytes()].concat();
    read(&URL_SAFE_NO_PAD.encode(sealed));
});

fn read(text: &str) {
    let Ok(cursor) = text.parse::<Cursor>() else { return };
    assert_eq!(cursor.to_string().parse(), Ok(cursor), "printed and read again");
    assert!(has_checksum(text), "read without its checksum");
    let altered = alter(text);
    assert!(altered.parse::<Cursor>().is_err(), "altered to {altered} and read");
}

fn has_checksum(text: &str) -> bool {
    let bytes = URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
    bytes.split_last_chunk().is_some_and(|(body, checksum)| crc32fast::hash(body).to_be_bytes() == *checksum)
}

/// Another letter in one place, which the text itself chooses.
fn alter(text: &str) -> String {
    let at = text.bytes().map(usize::from).sum::<usize>() % text.len();
    let letter = if text[at..].starts_with('A') { "B" } else { "A" };
    [&text[..at], letter, &text[at + 1..]].concat()
}
