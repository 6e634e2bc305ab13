//! What a client sends, out of the bytes as they come (RFC 6455 §5).

use std::io::Cursor;

use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

/// The longest payload of a control frame.
const CONTROL_PAYLOAD: u64 = 125;

/// Something that is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Received<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
    /// To be answered with a pong of the same payload.
    Ping(&'a [u8]),
    Pong,
    /// The last one: what comes behind it is passed over.
    Close(&'a [u8]),
}

/// Nothing more can be read from this client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Violation {
    /// A message is longer than the limit.
    TooBig,
    /// A text is not UTF-8.
    NotText,
    /// The bytes are not frames as a client sends them.
    Protocol,
}

/// Puts frames and messages together; empty while none is under way.
#[derive(Debug)]
pub(in super::super) struct Decoder {
    /// The longest message, in bytes.
    limit: usize,
    /// Bytes of a frame that is not whole yet.
    partial: Vec<u8>,
    message: Option<Fragments>,
    closed: bool,
}

/// A message that is not whole yet.
#[derive(Debug)]
struct Fragments {
    is_text: bool,
    bytes: Vec<u8>,
}

impl Decoder {
    pub(in super::super) fn new(limit: usize) -> Self {
        Self { limit, partial: Vec::new(), message: None, closed: false }
    }

    /// Takes the next bytes, unmasks them where they lie, and tells `each` of what is whole.
    ///
    /// # Errors
    /// What came before was told; the decoder is of no use any more.
    pub(in super::super) fn decode(
        &mut self,
        bytes: &mut [u8],
        mut each: impl FnMut(Received<'_>),
    ) -> Result<(), Violation> {
        if self.partial.is_empty() {
            let used = self.frames(bytes, &mut each)?;
            self.partial.extend_from_slice(&bytes[used..]);
            return Ok(());
        }
        let mut partial = std::mem::take(&mut self.partial);
        partial.extend_from_slice(bytes);
        let used = self.frames(&mut partial, &mut each)?;
        if used < partial.len() {
            partial.drain(..used);
            self.partial = partial;
        }
        Ok(())
    }

    /// How many bytes of the client's it keeps.
    #[cfg(any(test, fuzzing))]
    pub(in super::super) fn held(&self) -> usize {
        self.partial.len() + self.message.as_ref().map_or(0, |message| message.bytes.len())
    }

    fn frames(&mut self, bytes: &mut [u8], each: &mut impl FnMut(Received<'_>)) -> Result<usize, Violation> {
        let mut used = 0;
        while !self.closed {
            match self.frame(&mut bytes[used..], each)? {
                Some(length) => used += length,
                None => return Ok(used),
            }
        }
        Ok(bytes.len())
    }

    /// The first frame, if it is whole; its length.
    fn frame(&mut self, bytes: &mut [u8], each: &mut impl FnMut(Received<'_>)) -> Result<Option<usize>, Violation> {
        let mut cursor = Cursor::new(&*bytes);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| Violation::Protocol)?;
        let Some((header, length)) = parsed else { return Ok(None) };
        let start = cursor.position();
        let mask = self.check(&header, length)?;
        let (Ok(start), Ok(end)) = (usize::try_from(start), usize::try_from(start + length)) else {
            return Err(Violation::TooBig);
        };
        let Some(payload) = bytes.get_mut(start..end) else { return Ok(None) };
        unmask(payload, mask);
        self.take(&header, payload, each)?;
        Ok(Some(end))
    }

    /// Before anything of the payload is kept. Gives the mask.
    fn check(&self, header: &FrameHeader, length: u64) -> Result<[u8; 4], Violation> {
        let FrameHeader { is_final, rsv1, rsv2, rsv3, opcode, mask } = header;
        let Some(mask) = mask.filter(|_| !(*rsv1 || *rsv2 || *rsv3)) else { return Err(Violation::Protocol) };
        match opcode {
            OpCode::Control(Control::Reserved(_)) | OpCode::Data(Data::Reserved(_)) => Err(Violation::Protocol),
            OpCode::Control(_) if *is_final && length <= CONTROL_PAYLOAD => Ok(mask),
            OpCode::Control(_) => Err(Violation::Protocol),
            OpCode::Data(data) if (*data == Data::Continue) != self.message.is_some() => Err(Violation::Protocol),
            OpCode::Data(_) => {
                let before = self.message.as_ref().map_or(0, |message| message.bytes.len());
                let left = self.limit.saturating_sub(before) as u64;
                if length <= left { Ok(mask) } else { Err(Violation::TooBig) }
            }
        }
    }

    fn take(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        each: &mut impl FnMut(Received<'_>),
    ) -> Result<(), Violation> {
        match header.opcode {
            OpCode::Control(Control::Ping) => each(Received::Ping(payload)),
            OpCode::Control(Control::Close) if payload.len() == 1 => return Err(Violation::Protocol),
            OpCode::Control(Control::Close) => {
                let reason = payload.get(2..).unwrap_or_default();
                str::from_utf8(reason).map_err(|_| Violation::NotText)?;
                self.closed = true;
                each(Received::Close(payload));
            }
            OpCode::Control(_) => each(Received::Pong),
            OpCode::Data(data) => return self.data(data, header.is_final, payload, each),
        }
        Ok(())
    }

    fn data(
        &mut self,
        data: Data,
        is_final: bool,
        payload: &[u8],
        each: &mut impl FnMut(Received<'_>),
    ) -> Result<(), Violation> {
        let message = match self.message.take() {
            None if is_final => return tell(data == Data::Text, payload, each),
            None => Fragments { is_text: data == Data::Text, bytes: payload.to_vec() },
            Some(mut message) => {
                message.bytes.extend_from_slice(payload);
                message
            }
        };
        if is_final {
            return tell(message.is_text, &message.bytes, each);
        }
        self.message = Some(message);
        Ok(())
    }
}

fn tell(is_text: bool, bytes: &[u8], each: &mut impl FnMut(Received<'_>)) -> Result<(), Violation> {
    if is_text {
        each(Received::Text(str::from_utf8(bytes).map_err(|_| Violation::NotText)?));
    } else {
        each(Received::Binary(bytes));
    }
    Ok(())
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let (words, rest) = payload.as_chunks_mut::<4>();
    let mask_word = u32::from_ne_bytes(mask);
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ mask_word).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

#[cfg(test)]
#[path = "decoder_tests.rs"]
mod tests;
