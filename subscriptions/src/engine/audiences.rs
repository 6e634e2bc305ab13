//! The audiences of a shard's classes: the same subscribers get event after event, so what the audit trail is told of them is
//! made once.

use std::sync::Arc;

use hashbrown::HashMap;

use super::classes::{Class, Member};
use crate::{
    access::Decided,
    audit::{Audience, INLINE, Recipient},
};

/// How many recipients are kept in all. Beyond, all are made anew: they are about a hundred bytes each.
const RECIPIENTS: usize = 100_000;

struct Kept {
    /// What was decided for each member, where it was not what was for the first.
    decided: Box<[Option<Decided>]>,
    audience: Arc<Audience>,
}

impl Kept {
    fn is_of(&self, members: &[Member]) -> bool {
        self.decided.iter().zip(members).all(|(decided, member)| *decided == member.decided)
    }
}

/// By the ids of their subscriptions, in the order of the class.
#[derive(Default)]
pub(super) struct Audiences {
    by_members: HashMap<Box<[u64]>, Kept>,
    recipients: usize,
    /// The ids that are looked up.
    ids: Vec<u64>,
}

impl Audiences {
    pub(super) fn of(&mut self, class: &Class) -> Arc<Audience> {
        let members = &class.members;
        if members.len() <= INLINE {
            return Arc::new(audience(members));
        }
        self.ids.clear();
        self.ids.extend(members.iter().map(|member| member.live.id));
        if let Some(kept) = self.by_members.get(self.ids.as_slice()).filter(|kept| kept.is_of(members)) {
            return kept.audience.clone();
        }
        self.keep(members)
    }

    fn keep(&mut self, members: &[Member]) -> Arc<Audience> {
        if self.recipients + members.len() > RECIPIENTS {
            self.by_members.clear();
            self.recipients = 0;
        }
        let audience = Arc::new(audience(members));
        let decided = members.iter().map(|member| member.decided.clone()).collect();
        let kept = Kept { decided, audience: audience.clone() };
        if self.by_members.insert(self.ids.as_slice().into(), kept).is_none() {
            self.recipients += members.len();
        }
        audience
    }
}

fn audience(members: &[Member]) -> Audience {
    Audience::of(members.iter().map(recipient).collect())
}

/// The class tells its decision once, for all who share it.
fn recipient(Member { live, decided }: &Member) -> Recipient {
    Recipient { seen: decided.as_ref().map(super::batch::seen_by), ..live.recipient() }
}
