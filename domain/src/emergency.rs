//! Emergency access: that the glass is broken is told before anything is opened.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use prost::{Message, Name};
use sluice_schema::{
    channel::Channel,
    error::{ClientError, Code},
    event::StreamId,
    ids::{MemberId, UserId, new_event_id},
    position::ReadVector,
    proto::{
        emergency::GlassBroken,
        header::{Provenance, Subject},
    },
    viewer::Viewer,
};

use crate::{
    keyring::Keyring,
    publish::{Cause, Clock, Envelope, member_key, system_clock, timestamp},
    store::{Append, AppendError, Appended, EventStore},
    text::text,
};

/// How long a record may be open on one occasion, in minutes. Whoever needs it longer says so anew.
pub const LONGEST_MINUTES: i32 = 60;

const REASON_CHARS: usize = 500;

/// The first part of the streams' names: a stream for each occasion.
const STREAM: &str = "Emergency";

/// What is to be opened, in a form that is fit for it. The reason may hold PHI: no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Emergency {
    pub member: MemberId,
    pub user: UserId,
    pub reason: String,
    pub until: Timestamp,
}

/// It is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub event_id: String,
    /// How far each partition was right after.
    pub heads: ReadVector,
}

/// Tells of emergency access.
#[derive(Clone)]
pub struct EmergencyService {
    store: Arc<dyn EventStore>,
    keyring: Arc<dyn Keyring>,
    clock: Clock,
}

impl EmergencyService {
    pub fn new(store: Arc<dyn EventStore>, keyring: Arc<dyn Keyring>) -> Self {
        Self { store, keyring, clock: system_clock() }
    }

    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Reads what the viewer wants: her own access to a member, from now on.
    ///
    /// # Errors
    /// `INVALID_TEXT` without a reason; `LIMIT_EXCEEDED` for no time at all, or more than an hour.
    pub fn parse(
        &self,
        viewer: &Viewer,
        member: &MemberId,
        reason: &str,
        minutes: i32,
    ) -> Result<Emergency, ClientError> {
        if !(1..=LONGEST_MINUTES).contains(&minutes) {
            let message = format!("Emergency access lasts 1 to {LONGEST_MINUTES} minutes; ask again when it is over.");
            return Err(ClientError::new(Code::LimitExceeded, message).at("minutes"));
        }
        Ok(Emergency {
            member: member.clone(),
            user: viewer.user.clone(),
            reason: text(reason, REASON_CHARS, "reason")?,
            until: (self.clock)() + SignedDuration::from_mins(minutes.into()),
        })
    }

    /// Tells everybody whom it concerns; answers when that is durable. Nothing may be opened before.
    ///
    /// # Errors
    /// `UNAVAILABLE`: it may have been told or not.
    pub async fn tell(&self, viewer: &Viewer, emergency: &Emergency, cause: &Cause) -> Result<Told, ClientError> {
        let key = member_key(&emergency.member);
        let data_key =
            self.keyring.create_or_get(&viewer.tenant, &key).await.map_err(|_| ClientError::unavailable())?;
        let event = GlassBroken {
            member_id: emergency.member.to_string(),
            user_id: emergency.user.to_string(),
            reason: emergency.reason.clone(),
            until: Some(timestamp(emergency.until)),
        };
        let occasion = new_event_id();
        let envelope = self.envelope(viewer, emergency, &occasion, cause);
        let sealed = envelope.seal(&data_key, GlassBroken::full_name(), &event.encode_to_vec());
        let sealed = sealed.map_err(|_| ClientError::unavailable())?;
        let event_id = sealed.header.event_id.clone();
        let append = Append {
            tenant: viewer.tenant.clone(),
            stream: StreamId::of(STREAM, &occasion),
            expected_version: 0,
            events: vec![sealed],
            idempotency: None,
        };
        let appended = self.store.append(append).await.map_err(|error| failed(&error, cause))?;
        let (Appended::Fresh { heads, .. } | Appended::Repeated { heads, .. }) = appended;
        Ok(Told { event_id, heads })
    }

    fn envelope(&self, viewer: &Viewer, emergency: &Emergency, occasion: &str, cause: &Cause) -> Envelope {
        Envelope {
            tenant: viewer.tenant.clone(),
            subject: Subject { r#type: STREAM.into(), id: occasion.into() },
            routing_key: member_key(&emergency.member),
            channel: Channel::member_emergency(&emergency.member),
            occurred_at: (self.clock)(),
            producer: concat!("sluice/", env!("CARGO_PKG_VERSION")).into(),
            cause: cause.clone(),
            provenance: Provenance {
                actor: viewer.user.to_string(),
                system: "sluice".into(),
                purpose_of_use: viewer.purpose.code().into(),
            },
        }
    }
}

fn failed(error: &AppendError, cause: &Cause) -> ClientError {
    tracing::error!(%error, correlation_id = cause.correlation_id, "emergency access can't be told, and is not opened");
    ClientError::unavailable()
}

#[cfg(test)]
mod tests {
    use sluice_schema::viewer::PurposeOfUse;

    use super::*;
    use crate::{
        publish::open,
        twins::{MemoryKeyring, MemoryStore},
    };

    fn viewer() -> Viewer {
        Viewer {
            tenant: "acme".parse().expect("id"),
            user: "u-physician".parse().expect("id"),
            actor: None,
            purpose: PurposeOfUse::Treatment,
            expires: Timestamp::MAX.into(),
            token: Default::default(),
        }
    }

    fn service(store: Arc<MemoryStore>, keyring: Arc<MemoryKeyring>) -> EmergencyService {
        let now = "2026-11-24T08:30:00Z".parse::<Timestamp>().expect("time");
        EmergencyService::new(store, keyring).with_clock(Arc::new(move || now))
    }

    #[test]
    fn an_hour_is_the_longest_and_no_reason_is_none() {
        let service = service(Arc::default(), Arc::default());
        let member = "m-1".parse().expect("id");
        let parse = |reason, minutes| service.parse(&viewer(), &member, reason, minutes);
        for minutes in [i32::MIN, -1, 0, 61, i32::MAX] {
            assert_eq!(parse("unconscious", minutes).err().expect("refused").code, Code::LimitExceeded, "{minutes}");
        }
        for reason in ["", "  ", "a\u{7}b"] {
            assert_eq!(parse(reason, 5).err().expect("refused").code, Code::InvalidText, "{reason:?}");
        }
        let emergency = parse(" unconscious ", 60).unwrap();
        assert_eq!(emergency.reason, "unconscious");
        assert_eq!(emergency.until.to_string(), "2026-11-24T09:30:00Z");
    }

    #[tokio::test]
    async fn it_is_told_in_the_members_own_partition_and_sealed() {
        let (store, keyring) = (Arc::<MemoryStore>::default(), Arc::<MemoryKeyring>::default());
        let service = service(store.clone(), keyring.clone());
        let emergency = service.parse(&viewer(), &"m-1".parse().expect("id"), "unconscious", 5).unwrap();
        service.tell(&viewer(), &emergency, &Cause::default()).await.expect("told");
        let told = store.events().into_iter().next().expect("an event");
        assert_eq!(told.header.channel, "/members/m-1/emergency");
        assert_eq!(told.header.routing_key, Some(member_key(&emergency.member)));
        assert!(!told.payload.0.windows(11).any(|bytes| bytes == b"unconscious"), "the reason is sealed");
        let payload = open(keyring.as_ref(), &viewer().tenant, &told).await.expect("opens").expect("is there");
        assert_eq!(GlassBroken::decode(payload).expect("decodes").reason, "unconscious");
    }
}
