//! The event that every server sends: a payer's answer (X12 271), about 300 bytes as its subscribers see it.

/// One event, as the generator makes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    /// The member's number, and the channel's.
    pub(crate) channel: u32,
    /// From 1, without a hole, within the channel.
    pub(crate) seq: u64,
    /// When it was to be sent, by [`clock::now`](crate::clock::now).
    pub(crate) due: u64,
}

pub(crate) const PLAN: &str = "Harbor PPO 1500";
pub(crate) const PAYER: &str = "60054";
pub(crate) const COMPLETED: &str = "2026-11-24T08:30:00.125Z";
pub(crate) const DEDUCTIBLE: [&str; 2] = ["1500.00", "250.00"];

/// As long as a cursor of the embedded log, so that the bare servers send as many bytes.
const CURSOR: &str = "AQABAgMEBQYHBAEBAQECAwQFBgcICQoL";

/// Carries the sequence number and the due time to the client, in a field that nobody's view holds back.
pub(crate) fn check_id(event: &Event) -> String {
    format!("ec-{:08}-{:016x}", event.seq, event.due)
}

/// The length of a [`check_id`].
pub(crate) const ID_LENGTH: usize = 28;

/// Sequence number and due time.
pub(crate) fn read_check_id(id: &[u8]) -> Option<(u64, u64)> {
    let id = std::str::from_utf8(id.get(..ID_LENGTH)?).ok()?.strip_prefix("ec-")?;
    let (seq, due) = id.split_once('-')?;
    Some((seq.parse().ok()?, u64::from_str_radix(due, 16).ok()?))
}

pub(crate) fn member(channel: u32) -> String {
    format!("m-{channel:05}")
}

/// What a client subscribes to: everything of one member.
pub(crate) fn pattern(channel: u32) -> String {
    format!("/members/{}/**", member(channel))
}

/// What the event travels on.
pub(crate) fn path(event: &Event) -> String {
    format!("/members/{}/eligibility/{}", member(event.channel), check_id(event))
}

/// The number of the channel with this path or pattern.
pub(crate) fn channel_of(path: &str) -> Option<u32> {
    path.strip_prefix("/members/m-")?.split('/').next()?.parse().ok()
}

/// What a subscriber asks for. Subscribers of one class ask for the same; an alias tells classes apart.
pub(crate) fn query(class: u32, resumes: bool) -> String {
    let (declared, passed) = if resumes { (", $after: Cursor", ", after: $after") } else { ("", "") };
    format!(
        "subscription Watch($channel: Channel!{declared}) {{ events(channel: $channel{passed}) {{ payload {{ \
         ... on EligibilityCheckChanged {{ after {{ id memberId s{class}: state payerId completedAt \
         coverage {{ active planName deductibles {{ amount remaining }} }} }} }} }} }} }}"
    )
}

/// What comes in through Kafka: another service's event (X12 834), of the same kind of size.
pub(crate) const COVERAGE_QUERY: &str = "subscription Watch($channel: Channel!) { events(channel: $channel) { payload { \
     ... on CoverageChanged { coverageId memberId status planName terminationDate } } } }";
pub(crate) const TERMINATION: &str = "2026-12-31";

/// The message that the bare servers send: what Sluice sends to the first class.
pub(crate) fn message(event: &Event) -> String {
    let (id, member, [amount, remaining]) = (check_id(event), member(event.channel), DEDUCTIBLE);
    format!(
        r#"{{"id":"1","type":"next","payload":{{"data":{{"events":{{"payload":{{"after":{{"id":"{id}","memberId":"{member}","s0":"ANSWERED","payerId":"{PAYER}","completedAt":"{COMPLETED}","coverage":{{"active":true,"planName":"{PLAN}","deductibles":[{{"amount":"{amount}","remaining":"{remaining}"}}]}}}}}}}}}},"extensions":{{"cursor":"{CURSOR}"}}}}}}"#
    )
}
