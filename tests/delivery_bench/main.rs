//! What the delivery benchmark measures with: its own frames, ids and lines. A benchmark runs no tests itself.

#![allow(dead_code, reason = "the benchmark uses all of it")]

#[path = "../../benches/delivery/command.rs"]
mod command;
#[path = "../../benches/delivery/frame.rs"]
mod frame;
#[path = "../../benches/delivery/sample.rs"]
mod sample;
#[path = "../../benches/delivery/spread.rs"]
mod spread;

use command::{Command, Events};
use frame::{Frame, TEXT, of_client, of_server, read};
use sample::{Event, channel_of, check_id, path, pattern, read_check_id};
use spread::Spread;

#[test]
fn a_frame_of_any_length_is_read_back_and_none_before_it_is_whole() {
    for size in [0, 1, 125, 126, 400, 65_535, 65_536] {
        let payload = vec![b'x'; size];
        for bytes in [of_server(TEXT, &payload), of_client(TEXT, &payload)] {
            let whole = Frame { opcode: TEXT, payload: &payload, length: bytes.len() };
            assert_eq!(read(&bytes), Some(whole));
            assert_eq!(read(&bytes[..bytes.len() - 1]), None);
        }
    }
}

#[test]
fn an_id_is_read_back() {
    let event = Event { channel: 7, seq: 42, due: 0x1234_5678_9abc };
    assert_eq!(read_check_id(check_id(&event).as_bytes()), Some((42, 0x1234_5678_9abc)));
    assert_eq!(channel_of(&path(&event)), Some(7));
    assert_eq!(channel_of(&pattern(7)), Some(7));
}

#[test]
fn a_command_is_one_line_that_any_language_reads() {
    let events = Events { events: 20, channels: 2, first: 0 };
    let text = serde_json::to_string(&Command::Paced { rate: 10.0, events }).unwrap();
    assert_eq!(text, r#"{"paced":{"rate":10.0,"events":20,"channels":2,"first":0}}"#);
    assert_eq!(serde_json::from_str::<Command>(&text).unwrap(), Command::Paced { rate: 10.0, events });
}

#[test]
fn a_spread_is_told_by_its_middle() {
    let spread = Spread::of([3.0, 1.0, 200.0]).unwrap();
    assert_eq!(spread.text(), "3.00 (1.00–200)");
    assert!(Spread::of([]).is_none());
}
