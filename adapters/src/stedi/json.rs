//! Lenient access to JSON: what is not of the wanted kind is not there.

use serde_json::Value;

pub(super) trait Json {
    /// A text that is not blank, or a number as text.
    fn text(&self, key: &str) -> Option<String>;
    /// The texts of a list; a single text is a list of one.
    fn texts(&self, key: &str) -> Vec<String>;
    /// The objects of a list; a single object is a list of one.
    fn items(&self, key: &str) -> Vec<&Value>;
}

impl Json for Value {
    fn text(&self, key: &str) -> Option<String> {
        self.get(key).and_then(text)
    }

    fn texts(&self, key: &str) -> Vec<String> {
        many(self.get(key)).into_iter().filter_map(text).collect()
    }

    fn items(&self, key: &str) -> Vec<&Value> {
        many(self.get(key)).into_iter().filter(|item| item.is_object()).collect()
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn many(value: Option<&Value>) -> Vec<&Value> {
    match value {
        Some(Value::Array(items)) => items.iter().collect(),
        Some(single) => vec![single],
        None => Vec::new(),
    }
}
