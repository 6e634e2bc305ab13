//! Frames as a server sends them: whole messages, unmasked.

use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{CloseCode, Control, Data, OpCode},
};

/// The longest payload of a control frame.
const CONTROL_PAYLOAD: usize = 125;

/// The longest reason that fits a close frame behind its code (RFC 6455, section 5.5).
pub(crate) const MAX_REASON: usize = CONTROL_PAYLOAD - size_of::<u16>();

/// The head of a text message; its `length` bytes follow.
pub(crate) fn begin_text(length: usize, out: &mut Vec<u8>) {
    begin(OpCode::Data(Data::Text), length, out);
}

/// A whole control frame; a payload that is too long is cut.
pub(crate) fn control(kind: Control, payload: &[u8], out: &mut Vec<u8>) {
    let payload = &payload[..payload.len().min(CONTROL_PAYLOAD)];
    begin(OpCode::Control(kind), payload.len(), out);
    out.extend_from_slice(payload);
}

fn begin(opcode: OpCode, length: usize, out: &mut Vec<u8>) {
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    header.format(length as u64, out).expect("memory takes what is written to it");
}

/// The payload of a close frame. A reason that does not fit is cut between characters.
pub(crate) fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    let mut payload = code.to_be_bytes().to_vec();
    let fits = reason.floor_char_boundary(MAX_REASON);
    payload.extend_from_slice(&reason.as_bytes()[..fits]);
    payload
}

/// What a client's close frame is answered with: its own code, if that is one that may be sent.
pub(crate) fn closing_code(payload: &[u8]) -> Option<u16> {
    let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code))?;
    Some(if CloseCode::from(code).is_allowed() { code } else { CloseCode::Protocol.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_as_short_as_they_can_be() {
        for (length, expected) in [
            (0, vec![0x81, 0]),
            (125, vec![0x81, 125]),
            (126, vec![0x81, 126, 0, 126]),
            (65_535, vec![0x81, 126, 0xff, 0xff]),
            (65_536, vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut out = Vec::new();
            begin_text(length, &mut out);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn a_close_frame_fits_and_stays_text() {
        let payload = close_payload(4400, &"é".repeat(100));
        assert!(payload.len() <= CONTROL_PAYLOAD);
        assert!(str::from_utf8(&payload[2..]).is_ok());
        let mut frame = Vec::new();
        control(Control::Close, &payload, &mut frame);
        assert_eq!(frame[..2], [0x88, payload.len() as u8]);
    }

    #[test]
    fn a_close_is_answered_with_a_code_that_may_be_sent() {
        assert_eq!(closing_code(&[]), None);
        assert_eq!(closing_code(&1000_u16.to_be_bytes()), Some(1000));
        assert_eq!(closing_code(&4400_u16.to_be_bytes()), Some(4400));
        for forbidden in [0_u16, 999, 1005, 1006, 1015, 5000] {
            assert_eq!(closing_code(&forbidden.to_be_bytes()), Some(1002), "{forbidden}");
        }
    }
}
