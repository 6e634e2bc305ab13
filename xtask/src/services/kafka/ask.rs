//! Whether a broker answers: an ApiVersions request, version 0 (kafka.apache.org/protocol), which needs no client.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(2);
const CORRELATION: i32 = 0x51C1;

/// Whether the broker at this port of 127.0.0.1 answers without an error.
pub(crate) fn answers(port: u16) -> bool {
    ask(port).is_ok_and(accepted)
}

/// Correlation id and error code, with which every answer to this request begins.
fn ask(port: u16) -> io::Result<[u8; 6]> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(&request())?;
    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let mut answer = [0; 6];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// Size, then api key (18), api version, correlation id, and no client id.
fn request() -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(18_i16.to_be_bytes());
    body.extend(0_i16.to_be_bytes());
    body.extend(CORRELATION.to_be_bytes());
    body.extend((-1_i16).to_be_bytes());
    let size = i32::try_from(body.len()).unwrap_or_default();
    [size.to_be_bytes().to_vec(), body].concat()
}

fn accepted(answer: [u8; 6]) -> bool {
    let [a, b, c, d, error @ ..] = answer;
    i32::from_be_bytes([a, b, c, d]) == CORRELATION && i16::from_be_bytes(error) == 0
}

#[cfg(test)]
mod tests {
    use super::{accepted, request};

    #[test]
    fn the_request_is_as_the_protocol_says() {
        let request = request();
        assert_eq!(request, [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0x51, 0xC1, 0xFF, 0xFF]);
    }

    #[test]
    fn only_its_own_answer_without_an_error_counts() {
        assert!(accepted([0, 0, 0x51, 0xC1, 0, 0]));
        assert!(!accepted([0, 0, 0x51, 0xC1, 0, 35]));
        assert!(!accepted(*b"HTTP/1"));
    }
}
