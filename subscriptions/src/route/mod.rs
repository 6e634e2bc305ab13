//! Which subscriptions does an event concern? A look-up of its channel, and a walk along its segments for patterns; never a
//! scan of all subscriptions.

use hashbrown::HashMap;
use sluice_schema::{
    channel::{Channel, ChannelPattern},
    ids::TenantId,
};

/// Subscription ids by tenant and channel pattern.
#[derive(Debug, Default)]
pub struct Index {
    tenants: HashMap<TenantId, Tenant>,
}

#[derive(Debug, Default)]
struct Tenant {
    /// By the channels of patterns without a wildcard: mostly each member watches herself.
    channels: HashMap<Box<str>, Vec<u64>>,
    patterns: Node,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, Node>,
    /// Below a `*`.
    any: Option<Box<Node>>,
    /// Patterns that end here.
    here: Vec<u64>,
    /// Patterns that end in `**` here.
    rest: Vec<u64>,
}

impl Index {
    pub fn insert(&mut self, tenant: &TenantId, pattern: &ChannelPattern, id: u64) {
        let tenant = self.tenants.entry(tenant.clone()).or_default();
        if pattern.is_exact() {
            match tenant.channels.get_mut(pattern.as_str()) {
                Some(ids) => ids.push(id),
                None => drop(tenant.channels.insert(pattern.as_str().into(), vec![id])),
            }
        } else {
            tenant.patterns.insert(pattern, id);
        }
    }

    /// Takes an id out from under the pattern that it was inserted with.
    pub fn remove(&mut self, tenant: &TenantId, pattern: &ChannelPattern, id: u64) {
        let Some(of_tenant) = self.tenants.get_mut(tenant) else { return };
        if pattern.is_exact() {
            of_tenant.leave_channel(pattern.as_str(), id);
        } else {
            let segments: Vec<_> = pattern.segments().collect();
            of_tenant.patterns.remove(&segments, id);
        }
        if of_tenant.channels.is_empty() && of_tenant.patterns.is_empty() {
            self.tenants.remove(tenant);
        }
    }

    /// All ids whose pattern matches, in no order, each once.
    pub fn matching(&self, tenant: &TenantId, channel: &Channel) -> Vec<u64> {
        let Some(tenant) = self.tenants.get(tenant) else { return Vec::new() };
        let mut ids = tenant.channels.get(channel.as_str()).cloned().unwrap_or_default();
        if !tenant.patterns.is_empty() {
            let segments: Vec<_> = channel.segments().collect();
            tenant.patterns.collect(&segments, &mut ids);
        }
        ids
    }

    pub fn is_empty(&self) -> bool {
        self.tenants.is_empty()
    }
}

impl Tenant {
    fn leave_channel(&mut self, channel: &str, id: u64) {
        if let Some(ids) = self.channels.get_mut(channel) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.channels.remove(channel);
            }
        }
    }
}

impl Node {
    fn insert(&mut self, pattern: &ChannelPattern, id: u64) {
        let mut node = self;
        for segment in pattern.segments() {
            node = match segment {
                "**" => return node.rest.push(id),
                "*" => node.any.get_or_insert_default(),
                literal => node.literals.entry(literal.into()).or_default(),
            };
        }
        node.here.push(id);
    }

    fn is_empty(&self) -> bool {
        self.literals.is_empty() && self.any.is_none() && self.here.is_empty() && self.rest.is_empty()
    }

    fn collect(&self, path: &[&str], ids: &mut Vec<u64>) {
        ids.extend_from_slice(&self.rest);
        match path.split_first() {
            None => ids.extend_from_slice(&self.here),
            Some((segment, path)) => {
                self.literals
                    .get(*segment)
                    .into_iter()
                    .chain(self.any.as_deref())
                    .for_each(|node| node.collect(path, ids));
            }
        }
    }

    fn remove(&mut self, pattern: &[&str], id: u64) {
        match pattern.split_first() {
            None => self.here.retain(|other| *other != id),
            Some((&"**", _)) => self.rest.retain(|other| *other != id),
            Some((&"*", pattern)) => {
                self.any.iter_mut().for_each(|node| node.remove(pattern, id));
                self.any.take_if(|node| node.is_empty());
            }
            Some((literal, pattern)) => {
                if let Some(node) = self.literals.get_mut(*literal) {
                    node.remove(pattern, id);
                    if node.is_empty() {
                        self.literals.remove(*literal);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;

    fn pattern() -> impl Strategy<Value = ChannelPattern> {
        let segment = select(vec!["a", "b", "*"]);
        (proptest::collection::vec(segment, 1..4), any::<bool>()).prop_map(|(segments, rest)| {
            let text = format!("/{}{}", segments.join("/"), if rest { "/**" } else { "" });
            text.parse().expect("a pattern")
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
            }
            prop_assert_eq!(index.is_empty(), kept.is_empty(), "nothing is left behind");
            prop_assert!(index.matching(&"other".parse().expect("a tenant"), &channels[0]).is_empty());
        }
    }
}
