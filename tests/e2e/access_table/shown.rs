//! What one got of a check: its value, the paths that were told to be held back, and the bytes.

use std::collections::BTreeSet;

use serde_json::Value;

pub(super) struct Shown {
    check: Value,
    redacted: BTreeSet<String>,
    raw: String,
}

impl Shown {
    /// `redacted` are paths from the top of the answer; those of the check are the ones below `root`. Places in lists are
    /// left out on both sides: `_entities` does not tell them.
    pub(super) fn new(check: &Value, redacted: &Value, root: &str, raw: String) -> Self {
        let paths = redacted.as_array().into_iter().flatten().map(named);
        let below = |path: String| path.strip_prefix(root)?.strip_prefix('.').map(str::to_owned);
        Self { check: check.clone(), redacted: paths.filter_map(below).collect(), raw }
    }

    /// All values under a path, through all lists on the way; absent is null.
    pub(super) fn values(&self, path: &str) -> Vec<&Value> {
        let mut values = vec![&self.check];
        for name in path.split('.') {
            values = values.into_iter().flat_map(elements).map(|value| &value[name]).collect();
        }
        values
    }

    /// The values, where they have no fields of their own: those have rows of their own.
    pub(super) fn leaves(&self, path: &str) -> Vec<&Value> {
        self.values(path).into_iter().filter(|value| !elements(value).iter().any(|value| value.is_object())).collect()
    }

    /// Whether there is something below a path.
    pub(super) fn has_fields(&self, path: &str) -> bool {
        self.values(path).into_iter().flat_map(elements).any(Value::is_object)
    }

    /// Paths as in the table.
    pub(super) fn redacted(&self) -> &BTreeSet<String> {
        &self.redacted
    }

    /// The paths of everything that is there.
    pub(super) fn paths(&self) -> BTreeSet<String> {
        let mut paths = BTreeSet::new();
        gather(&self.check, "", &mut paths);
        paths
    }

    /// All that was received on the way.
    pub(super) fn raw(&self) -> &str {
        &self.raw
    }
}

fn named(path: &Value) -> String {
    path.as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(".")
}

fn elements(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |all| all.iter().collect())
}

fn gather(value: &Value, path: &str, paths: &mut BTreeSet<String>) {
    for element in elements(value) {
        for (name, value) in element.as_object().into_iter().flatten() {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            gather(value, &path, paths);
            paths.insert(path);
        }
    }
}
