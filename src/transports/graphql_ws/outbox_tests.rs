use std::{io, sync::atomic::AtomicBool, time::Duration};

use sluice_schema::{error::Code, position::Epoch};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tungstenite::{Message, WebSocket, protocol::Role};

use super::{super::queue::OVERHEAD, *};

const LIMIT: usize = 1000;

/// A queue, and what its client reads with.
struct Pair {
    outbox: Arc<Outbox>,
    client: TcpStream,
    budget: Arc<Budget>,
}

impl Pair {
    async fn new(limit: usize, budget: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        let budget = Arc::new(Budget::new(budget));
        let outbox = Outbox::new(limit, budget.clone(), Arc::new(accepted.unwrap().0)).into();
        Self { outbox, client: client.unwrap(), budget }
    }

    async fn standard() -> Self {
        Self::new(LIMIT, usize::MAX).await
    }

    /// Fills the socket, so that something waits; gives how many of its texts of `length` were queued.
    fn stall(&self, length: usize) -> usize {
        for sent in 1.. {
            self.outbox.push(text(length)).expect("the socket is full before the queue");
            self.outbox.flush();
            if matches!(self.outbox.status(), Status::Open { blocked: true }) {
                return sent;
            }
        }
        unreachable!("a socket takes no end of bytes")
    }

    /// All messages until the close frame or, without one, until the queue lets go of the socket.
    async fn read_all(self) -> Vec<Message> {
        let Self { outbox, mut client, .. } = self;
        let sending = async {
            while matches!(outbox.status(), Status::Open { blocked: true } | Status::Closing { blocked: true }) {
                let socket = outbox.lock().socket.clone().unwrap();
                socket.writable().await.unwrap();
                outbox.unblock();
            }
            drop(outbox);
        };
        let mut bytes = Vec::new();
        let (_, read) = tokio::join!(sending, client.read_to_end(&mut bytes));
        read.unwrap();
        messages(bytes)
    }
}

/// What a client makes of the bytes.
fn messages(bytes: Vec<u8>) -> Vec<Message> {
    struct Piped(io::Cursor<Vec<u8>>);
    impl io::Read for Piped {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            io::Read::read(&mut self.0, buffer)
        }
    }
    impl io::Write for Piped {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut socket = WebSocket::from_raw_socket(Piped(io::Cursor::new(bytes)), Role::Client, None);
    std::iter::from_fn(|| socket.read().ok()).collect()
}

fn text(length: usize) -> Outgoing {
    Outgoing::Text("x".repeat(length))
}

fn stream(id: &str) -> Arc<Stream> {
    Arc::new(Stream { head: message::next_head(id).into(), wanted: AtomicBool::new(true) })
}

fn close(close: &Close) -> impl Fn(&Message) -> bool {
    let code = close.code;
    move |message| matches!(message, Message::Close(Some(frame)) if u16::from(frame.code) == code)
}

#[tokio::test]
async fn what_waits_leaves_together_and_whole() {
    let pair = Pair::standard().await;
    let (one, two) = (stream("1"), stream("2"));
    for (stream, payload) in [(&one, "{\"a\":1}"), (&two, "{}"), (&one, "{\"a\":2}")] {
        pair.outbox.push_event(stream, &Bytes::from_static(payload.as_bytes()), &ReadVector(vec![1])).unwrap();
    }
    two.wanted.store(false, Ordering::Release);
    pair.outbox.push(Outgoing::Pong(Bytes::from_static(b"?"))).unwrap();
    pair.outbox.push(text(3)).unwrap();
    pair.outbox.flush();
    assert_eq!(pair.budget.used(), 0, "all of it has left");
    assert_eq!(pair.outbox.status(), Status::Open { blocked: false });
    let expected = [
        Message::text(r#"{"id":"1","type":"next","payload":{"a":1}}"#),
        Message::text(r#"{"id":"1","type":"next","payload":{"a":2}}"#),
        Message::Pong(Bytes::from_static(b"?")),
        Message::text("xxx"),
    ];
    assert_eq!(pair.read_all().await, expected);
}

#[tokio::test]
async fn what_the_socket_does_not_take_waits_and_nothing_is_torn() {
    let pair = Pair::new(usize::MAX, usize::MAX).await;
    let sent = pair.stall(100_000);
    let (wanted, unwanted) = (stream("w"), stream("u"));
    for _ in 0..3 {
        for stream in [&wanted, &unwanted] {
            pair.outbox.push_event(stream, &Bytes::from(vec![b'1'; 70_000]), &ReadVector(vec![1])).unwrap();
        }
    }
    unwanted.wanted.store(false, Ordering::Release);
    pair.outbox.close(&Close::going_away(Duration::ZERO));
    let all = pair.read_all().await;
    assert_eq!(all.len(), sent + 3 + 1);
    assert!(all[..sent].iter().all(|message| message.len() == 100_000));
    assert!(all[sent..sent + 3].iter().all(|message| message.to_text().unwrap().starts_with(r#"{"id":"w","#)));
    assert!(close(&Close::going_away(Duration::ZERO))(&all[sent + 3]));
}

#[tokio::test]
async fn an_event_that_has_left_in_part_is_ended_though_it_is_not_wanted() {
    let pair = Pair::new(usize::MAX, usize::MAX).await;
    let event = stream("1");
    while !matches!(pair.outbox.status(), Status::Open { blocked: true }) || pair.outbox.lock().written == 0 {
        pair.outbox.push_event(&event, &Bytes::from(vec![b'1'; 3_000_000]), &ReadVector(vec![1])).unwrap();
        pair.outbox.flush();
    }
    event.wanted.store(false, Ordering::Release);
    let entries = pair.outbox.lock().entries.len();
    pair.outbox.close(&Close::lagging(Duration::ZERO));
    assert!(entries > 0);
    let all = pair.read_all().await;
    assert!(close(&Close::lagging(Duration::ZERO))(all.last().unwrap()));
    assert!(all[..all.len() - 1].iter().all(|message| message.len() > 3_000_000));
}

#[tokio::test]
async fn what_is_over_the_bound_ends_the_queue_and_frees_it() {
    let pair = Pair::new(300_000, usize::MAX).await;
    pair.stall(100_000);
    let gone = loop {
        if let Err(gone) = pair.outbox.push(text(50_000)) {
            break gone;
        }
    };
    assert_eq!(gone, Gone::Lagging);
    assert_eq!(pair.outbox.status(), Status::Overflown);
    pair.outbox.work().await;
    assert_eq!(pair.outbox.push(text(0)), Err(Gone::Lagging), "nothing comes after the gap");
    assert!(pair.budget.used() <= 100_000 + OVERHEAD, "what waited is dropped, but for what has left in part");
    pair.outbox.close(&Close::lagging(Duration::ZERO));
    assert_eq!(pair.outbox.push(text(0)), Err(Gone::Closed));
    assert!(close(&Close::lagging(Duration::ZERO))(pair.read_all().await.last().unwrap()));
}

#[tokio::test]
async fn one_that_is_larger_than_the_bound_goes_alone() {
    let pair = Pair::new(10, usize::MAX).await;
    assert_eq!(pair.outbox.push(text(100)), Ok(()));
    assert_eq!(pair.outbox.push(text(0)), Err(Gone::Lagging));
}

#[tokio::test]
async fn those_who_stall_pay_for_the_process_and_their_neighbours_do_not() {
    let stalled = Pair::new(usize::MAX, 400_000).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (client, accepted) = tokio::join!(client, listener.accept());
    let neighbour = Outbox::new(usize::MAX, stalled.budget.clone(), Arc::new(accepted.unwrap().0));
    stalled.stall(100_000);
    while stalled.outbox.push(text(50_000)).is_ok() {}
    assert_eq!(stalled.outbox.status(), Status::Overflown);
    for _ in 0..10 {
        neighbour.push(text(1000)).expect("one that keeps up is served");
        neighbour.flush();
    }
    drop(neighbour);
    let mut bytes = Vec::new();
    client.unwrap().read_to_end(&mut bytes).await.unwrap();
    assert_eq!(messages(bytes).len(), 10);
    drop(stalled.outbox);
    assert_eq!(stalled.budget.used(), 0);
}

#[tokio::test]
async fn a_drain_sends_what_waits_and_a_fault_does_not() {
    for (reason, expected) in [(Close::going_away(Duration::ZERO), 2), (Close::expired(), 1)] {
        let pair = Pair::standard().await;
        pair.outbox.push(text(1)).expect("fits");
        pair.outbox.close(&reason);
        assert_eq!(pair.outbox.status(), Status::Closed);
        let all = pair.read_all().await;
        assert_eq!(all.len(), expected);
        assert!(close(&reason)(all.last().unwrap()));
    }
}

#[tokio::test]
async fn results_wait_for_the_state_machine_and_keep_their_place() {
    let pair = Pair::standard().await;
    let event = stream("1");
    let operation = Operation { number: 1, id: "1".into(), head: event.head.clone() };
    pair.outbox.push_event(&event, &Bytes::from_static(b"{}"), &ReadVector(vec![1])).unwrap();
    pair.outbox.push(Outgoing::Result(Delivery::End(operation.clone(), None))).unwrap();
    pair.outbox.push(text(1)).unwrap();
    pair.outbox.flush();
    pair.outbox.work().await;
    let others = pair.outbox.settle(|delivery| {
        assert!(matches!(delivery, Delivery::End(..)));
        vec![Action::Send("end".into()), Action::Stop(operation.clone())]
    });
    assert!(matches!(others.as_slice(), [Action::Stop(stopped)] if *stopped == operation));
    assert_eq!(pair.budget.used(), 0);
    let texts: Vec<_> = pair.read_all().await.iter().map(|message| message.to_text().unwrap().to_owned()).collect();
    assert_eq!(texts, [r#"{"id":"1","type":"next","payload":{}}"#, "end", "x"]);
}

#[tokio::test]
async fn a_socket_that_is_gone_is_let_go() {
    let mut pair = Pair::standard().await;
    pair.client.write_all(b"unread, so that the end is a reset").await.unwrap();
    drop(pair.client);
    let outbox = &pair.outbox;
    while outbox.push(text(100)).is_ok() {
        outbox.flush();
        tokio::task::yield_now().await;
    }
    assert_eq!(outbox.status(), Status::Broken);
    assert_eq!(outbox.push(text(1)), Err(Gone::Closed));
    outbox.work().await;
}

#[tokio::test]
async fn a_ping_never_tells_less_than_was_sent() {
    let pair = Pair::standard().await;
    let outbox = &pair.outbox;
    let cursor = |seqs: &[u64]| Cursor { epoch: Epoch(1), vector: ReadVector(seqs.to_vec()) };
    outbox.begins_at(&ReadVector(vec![5, 1]));
    outbox.begins_at(&ReadVector(vec![2, 3]));
    let tells = |progress: &Cursor| {
        outbox.push_ping(Some((progress, &["1".to_owned()]))).expect("fits");
        matches!(outbox.lock().entries.pop_back(), Some(Outgoing::Text(text)) if text.contains(&progress.to_string()))
    };
    assert!(!tells(&cursor(&[5, 2])));
    assert!(tells(&cursor(&[5, 3])));
    outbox.begins_at(&ReadVector(vec![9, 1]));
    assert!(!tells(&cursor(&[8, 3])), "a client that came with a cursor is not sent back behind it");
    assert!(tells(&cursor(&[9, 3])));
}

#[tokio::test]
async fn one_that_is_cut_sends_nothing_of_what_waits() {
    let pair = Pair::standard().await;
    let event = stream("1");
    let push = |number: u64| {
        let payload = Bytes::from(format!("{{\"n\":{number}}}"));
        pair.outbox.push_event(&event, &payload, &ReadVector(vec![number]))
    };
    push(1).unwrap();
    pair.outbox.flush();
    push(2).unwrap();
    pair.outbox.cut(&Close::revoked());
    assert_eq!(push(3), Err(Gone::Closed));
    assert_eq!(pair.budget.used(), 0);
    let all = pair.read_all().await;
    assert_eq!((all.len(), &all[0]), (2, &Message::text(r#"{"id":"1","type":"next","payload":{"n":1}}"#)));
    assert!(close(&Close::revoked())(&all[1]));
}

/// The rest of an event would leave after it was said that nothing does.
#[tokio::test]
async fn one_that_is_cut_within_an_event_breaks_off() {
    let pair = Pair::new(usize::MAX, usize::MAX).await;
    let event = stream("1");
    while !matches!(pair.outbox.status(), Status::Open { blocked: true }) || pair.outbox.lock().written == 0 {
        pair.outbox.push_event(&event, &Bytes::from(vec![b'1'; 3_000_000]), &ReadVector(vec![1])).unwrap();
        pair.outbox.flush();
    }
    pair.outbox.cut(&Close::revoked());
    assert_eq!((pair.outbox.status(), pair.budget.used()), (Status::Broken, 0));
    pair.outbox.work().await;
    assert!(pair.read_all().await.iter().all(|message| message.len() > 3_000_000), "each is whole or lost");
}

#[tokio::test]
async fn one_that_is_cut_while_it_is_closed_sends_nothing_more_either() {
    let pair = Pair::new(usize::MAX, usize::MAX).await;
    let sent = pair.stall(100_000);
    pair.outbox.push_event(&stream("1"), &Bytes::from_static(b"{}"), &ReadVector(vec![1])).unwrap();
    pair.outbox.close(&Close::going_away(Duration::ZERO));
    pair.outbox.cut(&Close::revoked());
    assert_eq!(pair.outbox.status(), Status::Broken);
    assert!(pair.read_all().await.len() <= sent);
}

#[tokio::test]
async fn what_is_recalled_and_taken_by_its_client_leaves() {
    let pair = Pair::new(usize::MAX, usize::MAX).await;
    assert!(pair.outbox.clone().recall().is_none(), "nothing waits");
    let sent = pair.stall(100_000);
    let recalled = pair.outbox.clone().recall().expect("something waits");
    // What comes later is not waited for.
    pair.outbox.push(text(7)).unwrap();
    let (all, ()) = tokio::join!(pair.read_all(), recalled);
    assert_eq!((all.len(), all.last().unwrap().len()), (sent + 1, 7));
}

#[tokio::test]
async fn what_is_recalled_and_not_taken_never_leaves() {
    for begun in [false, true] {
        let pair = Pair::new(usize::MAX, usize::MAX).await;
        pair.stall(if begun { 3_000_000 } else { 1000 });
        pair.outbox.lock().written *= usize::from(begun);
        pair.outbox.push_event(&stream("1"), &Bytes::from_static(b"{}"), &ReadVector(vec![1])).unwrap();
        pair.outbox.clone().recall().expect("something waits").await;
        let expected = if begun { Status::Broken } else { Status::Overflown };
        assert_eq!((pair.outbox.status(), pair.budget.used()), (expected, 0), "{begun}");
        pair.outbox.work().await;
        let is_event = |message: &Message| message.to_text().is_ok_and(|text| text.starts_with('{'));
        assert!(!pair.read_all().await.iter().any(is_event), "{begun}");
    }
}

#[tokio::test]
async fn a_subscription_that_is_revoked_takes_back_its_events_and_no_others() {
    let pair = Pair::new(usize::MAX, usize::MAX).await;
    pair.stall(100_000);
    let (revoked, other) = (stream("r"), stream("o"));
    for stream in [&revoked, &other, &revoked] {
        pair.outbox.push_event(stream, &Bytes::from_static(b"{}"), &ReadVector(vec![1])).unwrap();
    }
    let operation = Operation { number: 1, id: "r".into(), head: revoked.head.clone() };
    let feed = Feed { outbox: pair.outbox.clone(), operation, stream: revoked };
    feed.end(Some(ClientError::new(Code::PermissionRevoked, "closed")));
    let queue = pair.outbox.lock();
    let events = queue.entries.iter().filter_map(|outgoing| match outgoing {
        Outgoing::Event(stream, _) => Some(Arc::ptr_eq(stream, &other)),
        _ => None,
    });
    assert_eq!(events.collect::<Vec<_>>(), [true]);
    assert!(matches!(queue.entries.back(), Some(Outgoing::Result(Delivery::End(..)))));
    assert_eq!(queue.bytes, queue.entries.iter().map(Outgoing::cost).sum::<usize>());
}
