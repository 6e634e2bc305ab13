//! Who saw which fields of whose event, and why: the port. Records hold ids and labels, never values.

mod audience;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
#[cfg(any(test, feature = "contract"))]
pub mod memory;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sluice_schema::{
    access::Mask,
    error::Code,
    ids::{MemberId, TenantId, UserId},
    viewer::{PurposeOfUse, Viewer},
};

pub use self::audience::{Audience, Digest, INLINE, NoDigest};

/// What is recorded before anything leaves. It is written only: one that names an audience is half of what it tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditRecord {
    #[serde(with = "jiff::fmt::serde::timestamp::millisecond::required")]
    pub at: Timestamp,
    pub tenant: TenantId,
    #[serde(flatten)]
    pub action: Action,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// One event to all who see the same of it on this node.
    Deliver {
        patient: Option<MemberId>,
        event_id: String,
        event_type: String,
        cursor: String,
        seen: Seen,
        #[serde(flatten, serialize_with = "audience::shared")]
        audience: Arc<Audience>,
    },
    /// One answer to a query, mutation or poll.
    Respond { recipient: Recipient, disclosed: Vec<Disclosed> },
    /// A subscription began.
    Subscribe {
        recipient: Recipient,
        /// The member whose channel it is, where it is one's alone. Here and below: absent where there is none.
        #[serde(skip_serializing_if = "Option::is_none")]
        patient: Option<MemberId>,
        channel: String,
    },
    /// A subscription is over. It is recorded when it is, and what is over with the process as well, but not where that
    /// crashes. A poll ends with its answer, and has none.
    End {
        recipient: Recipient,
        #[serde(skip_serializing_if = "Option::is_none")]
        patient: Option<MemberId>,
        channel: String,
        why: EndReason,
    },
    /// Someone asked for what she may not see, or what does not exist: what she was told does not tell the two apart.
    Deny {
        recipient: Recipient,
        /// The member who was asked for, or whose entity it is.
        #[serde(skip_serializing_if = "Option::is_none")]
        patient: Option<MemberId>,
        what: String,
    },
    /// An administrative change, recorded before it is carried out.
    Administer { actor: Recipient, operation: String, patient: Option<MemberId>, subject: String },
}

/// Why a subscription is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The client wanted no more.
    Completed,
    /// The connection broke, or was closed by either side for none of the other reasons.
    ConnectionClosed,
    TokenExpired,
    TokenRevoked,
    PermissionRevoked,
    /// The client did not keep up.
    Lagging,
    /// The process ended in order.
    Shutdown,
    /// The log does not reach back to its place any more.
    CursorExpired,
    /// A fault of the server.
    Failed,
}

impl EndReason {
    /// What an error that ends a subscription says of why.
    pub fn of(code: Code) -> Self {
        match code {
            Code::PermissionRevoked => Self::PermissionRevoked,
            Code::CursorExpired => Self::CursorExpired,
            Code::Unauthenticated => Self::TokenExpired,
            _ => Self::Failed,
        }
    }
}

/// What of an entity or event was disclosed in an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disclosed {
    pub patient: Option<MemberId>,
    /// E.g. `EligibilityCheck/ec-1`.
    pub subject: String,
    pub seen: Seen,
}

/// The decision behind a disclosure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Bits of [`sluice_schema::access::Visibilities`].
    pub visibilities: u8,
    /// Bits of [`sluice_schema::access::Sensitivities`].
    pub sensitivities: u8,
    /// The revision of the relationships that it was decided at.
    pub revision: String,
}

impl Seen {
    pub fn new(mask: Mask, revision: &str) -> Self {
        Self {
            visibilities: mask.visibilities.bits(),
            sensitivities: mask.sensitivities.bits(),
            revision: revision.to_owned(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    pub user: UserId,
    /// Who acted for the user, where it was not herself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<UserId>,
    pub purpose: PurposeOfUse,
    pub transport: String,
    /// What was decided for her, where that is not what the record tells for all: another decision can open the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
}

impl Recipient {
    pub fn of(viewer: &Viewer, transport: &str) -> Self {
        Self {
            user: viewer.user.clone(),
            actor: viewer.actor.clone(),
            purpose: viewer.purpose,
            transport: transport.to_owned(),
            seen: None,
        }
    }

    /// Who received or did something: the user, and who acted for her. Each is found by it.
    pub fn people(&self) -> impl Iterator<Item = &UserId> {
        std::iter::once(&self.user).chain(&self.actor)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the audit trail can't be written now: {0}")]
pub struct AuditUnavailable(pub String);

/// What [`AuditTrail::verify`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verified {
    /// Every record is there, in order, unaltered, and so is every audience that one names; and each is found by whom it is
    /// about and by whom it tells of.
    Intact { records: u64 },
    /// The first record of a writer's chain that does not fit: altered, removed or moved, or its audience is, or what finds it.
    Broken { writer: String, number: u64, why: Damage },
}

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    #[error("it is missing; the next one is {next}")]
    Missing { next: i64 },
    #[error("before it stands one with the number {number}, which was put in: writers number from 1")]
    BeforeTheFirst { number: i64 },
    #[error("it does not follow the record before it: one of the two was altered, or others stood between")]
    DoesNotFollow,
    #[error("its hash is not that of its text: it was altered")]
    Altered,
    #[error("whom it went to can't be told: the audience {0}, which it names, was removed")]
    AudienceMissing(Digest),
    #[error(
        "whom it went to can't be told: the audience {0}, which it names, was altered, or another was put in its place"
    )]
    AudienceAltered(Digest),
    #[error(
        "a signed head tells another hash for it: it, or one before it, was altered and the chain computed anew from there"
    )]
    NotAsSigned,
    #[error("it is missing: the chain was cut off here, for a signed head tells of record {head}")]
    CutOff { head: i64 },
    #[error("the whole chain is missing: a signed head tells of record {head}")]
    ChainMissing { head: i64 },
    #[error("it was put in: its writer had ended in order before it, as a signed head tells")]
    AfterEnd,
    #[error(
        "it fits its chain, but is not found {0}: rows of the index were removed or altered, or it was altered and the chain \
         computed anew from there"
    )]
    NotFoundBy(Index),
}

/// By what a record is looked up. What the indexes of a trail tell is in its texts as well; they are how it is found there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Index {
    /// Who received it or did it, alone or among an audience.
    Users,
    /// Whom it is about.
    Patients,
    /// The audience that it names.
    Audiences,
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Users => "by everybody who received or did what it tells of",
            Self::Patients => "by everybody whom it is about",
            Self::Audiences => "by the audience that it names",
        })
    }
}

/// An append-only trail.
///
/// - `append` answers when all records are durable; until then nothing that they tell of may leave the process. So are the
///   audiences that they name; the trail keeps each once.
/// - Each writer (a node's one boot) has its own hash chain: record n carries the SHA-256 of record n−1. A record's text
///   has the name of its audience, which is the SHA-256 of its content: so the chain covers that too.
/// - A future may be dropped at any await; the records may then be there or not.
#[async_trait]
pub trait AuditTrail: Send + Sync {
    async fn append(&self, records: Vec<AuditRecord>) -> Result<(), AuditUnavailable>;

    /// Walks every chain from its beginning, looks at every audience that a record names, and looks each record up by all that it
    /// tells of.
    async fn verify(&self) -> Result<Verified, AuditUnavailable>;
}
