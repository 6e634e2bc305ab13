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
        let tenant = viewer.tenant.as_str();
        let is_hers = |ids: &HashSet<&str>| ids.contains(viewer.user.as_str());
        self.everything
            || self.tenants.contains(tenant)
            || self.members.contains_key(tenant)
            || self.users.get(tenant).is_some_and(is_hers)
    }

    /// Whether what the viewer may see of the member may be something else now.
    pub(crate) fn includes(&self, viewer: &Viewer, member: &MemberId) -> bool {
        let tenant = viewer.tenant.as_str();
        let has = |of: &HashMap<&str, HashSet<&str>>, id: &str| of.get(tenant).is_some_and(|ids| ids.contains(id));
        self.everything
            || self.tenants.contains(tenant)
            || has(&self.members, member.as_str())
            || has(&self.users, viewer.user.as_str())
    }
}
