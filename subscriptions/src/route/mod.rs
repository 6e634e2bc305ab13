//! Which subscriptions does an event concern? Some look-ups by its channel and what that begins with, and a walk along its
//! segments for the patterns with a wildcard in the middle; never a scan of all subscriptions.

mod walk;

use hashbrown::HashMap;
use sluice_schema::{
    channel::{Channel, ChannelPattern},
    ids::TenantId,
};

use self::walk::Node;

/// Subscription ids by tenant and channel pattern.
#[derive(Debug, Default)]
pub struct Index {
    tenants: HashMap<TenantId, Tenant>,
}

#[derive(Debug, Default)]
struct Tenant {
    /// By the text before a wildcard at the end, or by all of it where there is none: as most patterns are.
    by_path: HashMap<Box<str>, Ends>,
    others: Node,
}

/// The patterns of one path.
#[derive(Debug, Default)]
struct Ends {
    /// Just the path.
    here: Vec<u64>,
    /// `/*` behind it.
    one: Vec<u64>,
    /// `/**` behind it.
    rest: Vec<u64>,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Here,
    One,
    Rest,
}

impl Index {
    pub fn insert(&mut self, tenant: &TenantId, pattern: &ChannelPattern, id: u64) {
        let tenant = self.tenants.entry(tenant.clone()).or_default();
        match path(pattern) {
            Some((path, end)) => tenant.enter(path, end, id),
            None => tenant.others.insert(pattern, id),
        }
    }

    /// Takes an id out from under the pattern that it was inserted with.
    pub fn remove(&mut self, tenant: &TenantId, pattern: &ChannelPattern, id: u64) {
        let Some(of_tenant) = self.tenants.get_mut(tenant) else { return };
        match path(pattern) {
            Some((path, end)) => of_tenant.leave(path, end, id),
            None => of_tenant.others.remove(&pattern.segments().collect::<Vec<_>>(), id),
        }
        if of_tenant.by_path.is_empty() && of_tenant.others.is_empty() {
            self.tenants.remove(tenant);
        }
    }

    /// All ids whose pattern matches, in no order, each once.
    pub fn matching(&self, tenant: &TenantId, channel: &Channel) -> Vec<u64> {
        let mut ids = Vec::new();
        if let Some(tenant) = self.tenants.get(tenant) {
            tenant.collect(channel, &mut ids);
        }
        ids
    }

    pub fn is_empty(&self) -> bool {
        self.tenants.is_empty()
    }
}

/// The path of a pattern that has no wildcard but one at its end.
fn path(pattern: &ChannelPattern) -> Option<(&str, End)> {
    let text = pattern.as_str();
    let (path, end) = match text.strip_suffix("/**") {
        Some(path) => (path, End::Rest),
        None => text.strip_suffix("/*").map_or((text, End::Here), |path| (path, End::One)),
    };
    (!path.contains('*')).then_some((path, end))
}

impl Tenant {
    fn enter(&mut self, path: &str, end: End, id: u64) {
        match self.by_path.get_mut(path) {
            Some(ends) => ends.ids(end).push(id),
            None => self.by_path.entry(path.into()).or_default().ids(end).push(id),
        }
    }

    fn leave(&mut self, path: &str, end: End, id: u64) {
        if let Some(ends) = self.by_path.get_mut(path) {
            ends.ids(end).retain(|other| *other != id);
            if ends.is_empty() {
                self.by_path.remove(path);
            }
        }
    }

    fn collect(&self, channel: &Channel, ids: &mut Vec<u64>) {
        let mut path = channel.as_str();
        if let Some(ends) = self.by_path.get(path) {
            ids.extend_from_slice(&ends.here);
            ids.extend_from_slice(&ends.rest);
        }
        let mut left_out = 0;
        while let Some((before, _)) = path.rsplit_once('/') {
            (path, left_out) = (before, left_out + 1);
            let Some(ends) = self.by_path.get(path) else { continue };
            ids.extend_from_slice(&ends.rest);
            if left_out == 1 {
                ids.extend_from_slice(&ends.one);
            }
        }
        if !self.others.is_empty() {
            self.others.collect(&channel.segments().collect::<Vec<_>>(), ids);
        }
    }
}

impl Ends {
    fn ids(&mut self, end: End) -> &mut Vec<u64> {
        match end {
            End::Here => &mut self.here,
            End::One => &mut self.one,
            End::Rest => &mut self.rest,
        }
    }

    fn is_empty(&self) -> bool {
        self.here.is_empty() && self.one.is_empty() && self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;

    fn pattern() -> impl Strategy<Value = ChannelPattern> {
        let segment = select(vec!["a", "b", "*"]);
        (proptest::collection::vec(segment, 0..4), any::<bool>()).prop_map(|(mut segments, rest)| {
            if rest || segments.is_empty() {
                segments.push("**");
            }
            format!("/{}", segments.join("/")).parse().expect("a pattern")
        })
    }

    fn channel() -> impl Strategy<Value = Channel> {
        let segments = proptest::collection::vec(select(vec!["a", "b", "c"]), 1..5);
        segments.prop_map(|segments| format!("/{}", segments.join("/")).parse().expect("a channel"))
    }

    proptest! {
        #[test]
        fn finds_just_what_a_scan_would(
            patterns in proptest::collection::vec((pattern(), any::<bool>()), 0..20),
            channels in proptest::collection::vec(channel(), 1..10),
        ) {
            let tenant: TenantId = "acme".parse().expect("a tenant");
            let mut index = Index::default();
            for (id, (pattern, _)) in (0..).zip(&patterns) {
                index.insert(&tenant, pattern, id);
            }
            for (id, (pattern, _)) in (0..).zip(&patterns).filter(|(_, (_, removed))| *removed) {
                index.remove(&tenant, pattern, id);
            }
            let kept: Vec<_> = (0..).zip(&patterns).filter(|(_, (_, removed))| !removed).collect();
            for channel in &channels {
                let mut found = index.matching(&tenant, channel);
                found.sort_unstable();
                let scanned: Vec<u64> = kept.iter().filter(|(_, (p, _))| p.matches(channel)).map(|(id, _)| *id).collect();
                prop_assert_eq!(found, scanned);
                prop_assert!(kept.iter().all(|(_, (p, _))| !p.matches(channel) || p.may_match(channel.as_str())));
            }
            prop_assert_eq!(index.is_empty(), kept.is_empty(), "nothing is left behind");
            prop_assert!(index.matching(&"other".parse().expect("a tenant"), &channels[0]).is_empty());
        }
    }
}
