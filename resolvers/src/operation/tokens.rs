//! Counts lexical tokens (GraphQL, October 2021, 2.1.6) before anything is built from them.

/// The number of tokens; stops counting past `limit`. A text that is no GraphQL still gets a number: the parser refuses it.
pub(super) fn count(text: &str, limit: usize) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut tokens) = (0, 0);
    while at < bytes.len() && tokens <= limit {
        at = match bytes[at] {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => at + 1,
            b'#' => skip(bytes, at, |b| b != b'\n' && b != b'\r'),
            first => {
                tokens += 1;
                token(bytes, at, first)
            }
        };
    }
    tokens
}

/// The place behind the token that begins at `at`.
fn token(bytes: &[u8], at: usize, first: u8) -> usize {
    match first {
        b'"' if bytes[at..].starts_with(b"\"\"\"") => block_string(bytes, at + 3),
        b'"' => string(bytes, at + 1),
        b'.' if bytes[at..].starts_with(b"...") => at + 3,
        b'_' | b'-' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
            skip(bytes, at + 1, |b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
        }
        _ => at + 1,
    }
}

fn skip(bytes: &[u8], from: usize, wanted: impl Fn(u8) -> bool) -> usize {
    from + bytes[from..].iter().take_while(|b| wanted(**b)).count()
}

fn string(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() && bytes[at] != b'"' && bytes[at] != b'\n' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

fn block_string(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() && !bytes[at..].starts_with(b"\"\"\"") {
        at += if bytes[at..].starts_with(b"\\\"\"\"") { 4 } else { 1 };
    }
    at + 3
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::count;

    #[test]
    fn counts_as_the_grammar_does() {
        assert_eq!(count("", 100), 0);
        assert_eq!(count("{ a, b # c d e\n }", 100), 4);
        assert_eq!(count("query Q($a: [Int!]! = [1, -2.5e3]) { x(a: $a) ...F @b }", 100), 30);
        assert_eq!(
            count(
                r#"{ a(s: "one \" token", t: """and
            \""" one""") }"#,
                100
            ),
            11
        );
    }

    #[test]
    fn stops_past_the_limit() {
        assert_eq!(count(&"a ".repeat(1_000_000), 10), 11);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC*", tail in "[\"\\\\.]{0,8}") {
            count(&format!("{text}{tail}"), 1000);
        }
    }
}
