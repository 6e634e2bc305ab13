//! Channels and patterns as a client names them: no text panics, what is read is what was written, and a pattern matches
//! what a plain reading of it says.
//!
//! An input is a text of lines, each of them a pattern, a channel, or neither; each is held against each.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_schema::channel::{Channel, ChannelPattern};

/// Each line more is as many pairs more.
const LINES: usize = 6;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = str::from_utf8(input) else { return };
    let patterns: Vec<ChannelPattern> = text.split('\n').take(LINES).filter_map(read).collect();
    for pattern in &patterns {
        patterns.iter().filter_map(|other| other.as_str().parse().ok()).for_each(|channel| hold(pattern, &channel));
        for filled in filled(pattern.as_str()) {
            // It may have become too long.
            let Ok(channel) = filled.parse() else { continue };
            assert!(pattern.matches(&channel), "{pattern} was filled to {channel}");
            hold(pattern, &channel);
        }
    }
});

fn read(text: &str) -> Option<ChannelPattern> {
    let pattern = text.parse::<ChannelPattern>();
    assert_eq!(pattern.is_ok(), is_pattern(text), "{text:?} is read as {pattern:?}");
    let pattern = pattern.ok()?;
    assert_eq!(pattern.to_string(), text);
    let channel = text.parse::<Channel>();
    assert_eq!(channel.is_ok(), !text.contains('*'), "{text:?} is read as {channel:?}");
    assert_eq!(channel.is_ok(), pattern.is_exact());
    if let Ok(channel) = channel {
        assert_eq!(channel.to_string(), text);
        assert!(channel.segments().eq(pattern.segments()));
        assert_eq!(ChannelPattern::from(channel), pattern);
    }
    Some(pattern)
}

/// Byte by byte, where the parser goes by segments.
fn is_pattern(text: &str) -> bool {
    let bytes = text.as_bytes();
    let slashes = bytes.iter().filter(|byte| **byte == b'/').count();
    let begins = bytes.first() == Some(&b'/') && bytes.len() <= 512 && slashes <= 16;
    begins
        && bytes.iter().enumerate().all(|(at, byte)| {
            let (before, after) = (at.checked_sub(1).map(|at| bytes[at]), bytes.get(at + 1).copied());
            match byte {
                b'/' => after.is_some_and(|after| after != b'/'),
                b'*' if before == Some(b'/') => matches!(after, None | Some(b'/')) || bytes[at..] == *b"**",
                b'*' => bytes[..at].ends_with(b"/*") && after.is_none(),
                _ => (byte.is_ascii_alphanumeric() || b"_-".contains(byte)) && before != Some(b'*'),
            }
        })
}

/// Channels that a pattern matches by what its wildcards mean.
fn filled(pattern: &str) -> [String; 3] {
    let rest = |with: &str| pattern.replace("/**", with).replace('*', "any");
    // `/**` alone matches what has a segment at least: no channel is empty.
    [rest(""), rest("/any"), rest("/any/any")]
}

fn hold(pattern: &ChannelPattern, channel: &Channel) {
    let wanted: Vec<&str> = pattern.segments().collect();
    let path: Vec<&str> = channel.segments().collect();
    let expected = reference(&wanted, &path);
    assert_eq!(pattern.matches(channel), expected, "{pattern} and {channel}");
    assert!(pattern.may_match(channel.as_str()) || !expected, "{pattern} may match {channel}, and does");
}

fn reference(wanted: &[&str], path: &[&str]) -> bool {
    match (wanted, path) {
        (["**"], _) | ([], []) => true,
        (["*", wanted @ ..], [_, path @ ..]) => reference(wanted, path),
        ([literal, wanted @ ..], [segment, path @ ..]) => literal == segment && reference(wanted, path),
        _ => false,
    }
}
