//! WebSocket frames (RFC 6455, section 5.2), as far as a client and the bare servers need them.

pub(crate) const TEXT: u8 = 1;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// One frame of a server: never masked. A message in several frames does not occur.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'b> {
    pub(crate) opcode: u8,
    pub(crate) payload: &'b [u8],
    /// Of the whole frame.
    pub(crate) length: usize,
}

/// The first frame in the bytes; `None` where it is not there in whole yet.
pub(crate) fn read(bytes: &[u8]) -> Option<Frame<'_>> {
    let (&[first, second], rest) = bytes.split_first_chunk()?;
    let (size, head): (usize, usize) = match second & 0x7f {
        126 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?, 10),
        size => (usize::from(size), 2),
    };
    // Only clients mask, and only the bare servers read clients' frames, whose masks are all zeros.
    let head = if second & 0x80 == 0 { head } else { head + 4 };
    let payload = bytes.get(head..head.checked_add(size)?)?;
    Some(Frame { opcode: first & 0x0f, payload, length: head + size })
}

/// A server's frame.
pub(crate) fn of_server(opcode: u8, payload: &[u8]) -> Vec<u8> {
    frame(opcode, payload, 0)
}

/// A client's frame. A mask of zeros is a mask, and leaves the payload as it is.
pub(crate) fn of_client(opcode: u8, payload: &[u8]) -> Vec<u8> {
    frame(opcode, payload, 0x80)
}

fn frame(opcode: u8, payload: &[u8], masked: u8) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 14);
    frame.push(0x80 | opcode);
    match payload.len() {
        size @ 0..=125 => frame.push(masked | u8::try_from(size).unwrap_or_default()),
        size => match u16::try_from(size) {
            Ok(size) => {
                frame.push(masked | 126);
                frame.extend(size.to_be_bytes());
            }
            Err(_) => {
                frame.push(masked | 127);
                frame.extend((size as u64).to_be_bytes());
            }
        },
    }
    if masked != 0 {
        frame.extend([0; 4]);
    }
    frame.extend_from_slice(payload);
    frame
}
