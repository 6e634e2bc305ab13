//! Many changes at once, looked up by whom they touch: a bulk load writes thousands, and thousands of subscriptions run.

use std::collections::{HashMap, HashSet};

use sluice_schema::{ids::MemberId, viewer::Viewer};

use super::{RESOURCE, SUBJECT};
use crate::relationships::{ObjectRef, Touched};

/// Whose decisions some changes may alter.
#[derive(Debug, Default)]
pub(crate) struct Affected<'t> {
    everything: bool,
    tenants: HashSet<&'t str>,
    /// Ids by tenant.
    members: HashMap<&'t str, HashSet<&'t str>>,
    users: HashMap<&'t str, HashSet<&'t str>>,
}

impl<'t> Affected<'t> {
    pub(crate) fn by(touched: impl IntoIterator<Item = &'t Touched>) -> Self {
        let mut affected = Self::default();
        touched.into_iter().for_each(|touched| affected.add(touched));
        affected
    }

    fn add(&mut self, touched: &'t Touched) {
        // Decisions are about members, and users'.
        let (ids, object): (_, &ObjectRef) = match touched {
            Touched::Resource(resource) if &*resource.object_type == RESOURCE => (&mut self.members, resource),
            Touched::Subject(subject) if &*subject.object_type == SUBJECT => (&mut self.users, subject),
            Touched::Resource(_) | Touched::Subject(_) => return,
            Touched::Tenant(tenant) => {
                self.tenants.insert(&**tenant);
                return;
            }
            Touched::Everything => {
                self.everything = true;
                return;
            }
        };
        match object.id.split_once('/') {
            Some((tenant, id)) => {
                ids.entry(tenant).or_default().insert(id);
            }
            // Not written as ours are: it may be anybody's.
            None => self.everything = true,
        }
    }

    /// Whether what the viewer may see of some member may be something else now.
    pub(crate) fn includes_some_of(&self, viewer: &Viewer) -> bool {
        self.includes_all_of(viewer) || self.members.contains_key(viewer.tenant.as_str())
    }

    /// Whether what the viewer may see of the member may be something else now.
    pub(crate) fn includes(&self, viewer: &Viewer, member: &MemberId) -> bool {
        self.includes_all_of(viewer) || has(&self.members, viewer, member.as_str())
    }

    /// Whether it may be so for whatever member.
    fn includes_all_of(&self, viewer: &Viewer) -> bool {
        self.everything
            || self.tenants.contains(viewer.tenant.as_str())
            || has(&self.users, viewer, viewer.user.as_str())
    }
}

/// Whether an id of the viewer's tenant is among these.
fn has(ids: &HashMap<&str, HashSet<&str>>, viewer: &Viewer, id: &str) -> bool {
    ids.get(viewer.tenant.as_str()).is_some_and(|ids| ids.contains(id))
}
