//! Patterns with wildcards anywhere, as a tree of their segments.

use hashbrown::HashMap;
use sluice_schema::channel::ChannelPattern;

#[derive(Debug, Default)]
pub(super) struct Node {
    literals: HashMap<Box<str>, Node>,
    /// Below a `*`.
    any: Option<Box<Node>>,
    /// Patterns that end here.
    here: Vec<u64>,
    /// Patterns that end in `**` here.
    rest: Vec<u64>,
}

impl Node {
    pub(super) fn insert(&mut self, pattern: &ChannelPattern, id: u64) {
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

    pub(super) fn is_empty(&self) -> bool {
        self.literals.is_empty() && self.any.is_none() && self.here.is_empty() && self.rest.is_empty()
    }

    pub(super) fn collect(&self, path: &[&str], ids: &mut Vec<u64>) {
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

    pub(super) fn remove(&mut self, pattern: &[&str], id: u64) {
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
