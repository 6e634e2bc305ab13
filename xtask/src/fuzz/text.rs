//! Bytes as text that a person can read, and back: seeds are kept as what is printed of a found input.

use std::{fs, io, path::Path};

/// Writes seeds as libFuzzer reads them: the bytes alone.
pub(super) fn write_seeds(from: &Path, to: &Path) -> Result<(), String> {
    copy(from, to).map_err(|error| format!("the seeds in {} cannot be had: {error}", from.display()))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for file in fs::read_dir(from)? {
        let file = file?;
        let text = fs::read_to_string(file.path())?;
        let bytes = unescaped(text.strip_suffix('\n').unwrap_or(&text));
        fs::write(to.join(file.file_name()), bytes.ok_or(io::ErrorKind::InvalidData)?)?;
    }
    Ok(())
}

pub(super) fn escaped(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// The reverse; a line break may stand for itself.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((byte, behind)) = rest.split_first() {
        let (byte, behind) = if *byte == b'\\' { escape(behind)? } else { (*byte, behind) };
        bytes.push(byte);
        rest = behind;
    }
    Some(bytes)
}

fn escape(text: &[u8]) -> Option<(u8, &[u8])> {
    let (kind, behind) = text.split_first()?;
    match kind {
        b'n' => Some((b'\n', behind)),
        b'r' => Some((b'\r', behind)),
        b't' => Some((b'\t', behind)),
        b'\\' | b'\'' | b'"' => Some((*kind, behind)),
        b'x' => {
            let (digits, behind) = behind.split_first_chunk::<2>()?;
            Some((u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?, behind))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{escaped, unescaped, write_seeds};

    #[test]
    fn every_byte_comes_back() {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        assert_eq!(unescaped(&escaped(&all)), Some(all));
        assert_eq!(unescaped("a\nb"), Some(b"a\nb".to_vec()));
    }

    #[test]
    fn what_is_cut_is_no_text() {
        for text in ["\\", "\\x", "\\x8", "\\xzz", "\\q"] {
            assert_eq!(unescaped(text), None, "{text}");
        }
    }

    #[test]
    fn a_seed_is_its_bytes() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(from.path().join("one"), "\\x81\\x80 text\n").unwrap();
        write_seeds(from.path(), to.path()).unwrap();
        assert_eq!(std::fs::read(to.path().join("one")).unwrap(), b"\x81\x80 text");
    }
}
