//! What a request wants of lists and events, as its `filters` say it.

use std::collections::{BTreeMap, HashMap};

use netalias::source::scenario::Event;
use serde_json::Value;

/// What a request limits its answer to: values by key.
#[derive(Clone, Debug, Default)]
pub(super) struct Filters(HashMap<String, Vec<String>>);

impl Filters {
    /// `{"type":["container"]}` or the older `{"type":{"container":true}}`.
    pub(super) fn read(text: &str, known: &[&str]) -> Result<Self, String> {
        let invalid = || format!("invalid filters: {text}");
        let value: Value = serde_json::from_str(text).map_err(|_| invalid())?;
        let mut filters = HashMap::new();
        for (key, values) in value.as_object().ok_or_else(invalid)? {
            if !known.contains(&key.as_str()) {
                return Err(format!("Invalid filter '{key}'"));
            }
            let values = match values {
                Value::Array(values) => {
                    values.iter().filter_map(Value::as_str).map(str::to_owned).collect()
                }
                Value::Object(values) => values.keys().cloned().collect(),
                _ => return Err(invalid()),
            };
            filters.insert(key.clone(), values);
        }
        Ok(Self(filters))
    }

    pub(super) fn allows(&self, event: &Event) -> bool {
        let any = |key: &str, matches: &dyn Fn(&str) -> bool| {
            self.0.get(key).is_none_or(|wanted| wanted.iter().any(|wanted| matches(wanted)))
        };
        // `health_status` stands for `health_status: healthy`.
        let verb = event.action.split(':').next().unwrap_or_default();
        any("type", &|wanted| wanted == event.kind.as_str())
            && any("event", &|wanted| wanted == verb || wanted == event.action)
            && self.label_matches(&event.attributes)
    }

    /// One of them, or a part of one.
    pub(super) fn id_matches(&self, id: &str) -> bool {
        self.0.get("id").is_none_or(|wanted| wanted.iter().any(|part| id.contains(part.as_str())))
    }

    /// All of them, each as `KEY` or `KEY=VALUE`.
    pub(super) fn label_matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let has = |wanted: &String| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|have| have == value),
            None => labels.contains_key(wanted),
        };
        self.0.get("label").is_none_or(|wanted| wanted.iter().all(has))
    }
}
