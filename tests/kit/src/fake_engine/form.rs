//! A template with other values in it, as text: a value of 150 fields for each of 100,000
//! containers would take most of the time of a list.

use serde_json::Value;

/// What a field has in place of the template's value.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Json(Value),
    /// JSON already.
    Text(String),
    /// There is no such field.
    Absent,
}

/// Fields by their keys.
pub(super) type Parts = Vec<(&'static str, Part)>;

impl From<Value> for Part {
    fn from(value: Value) -> Self {
        Self::Json(value)
    }
}

/// The template, an object, with these parts; of several for one key the last one.
pub(super) fn filled(template: &Value, parts: &[(&'static str, Part)]) -> String {
    let mut text = Vec::from(*b"{");
    let fields = template.as_object().into_iter().flatten();
    for (key, value) in fields {
        match parts.iter().rev().find(|(other, _)| other == key) {
            Some((_, part)) => add(&mut text, key, part),
            None => add_json(&mut text, key, value),
        }
    }
    let has = |key: &str| template.get(key).is_some();
    for (index, (key, part)) in parts.iter().enumerate().filter(|(_, (key, _))| !has(key)) {
        if !parts[index + 1..].iter().any(|(other, _)| other == key) {
            add(&mut text, key, part);
        }
    }
    text.push(b'}');
    String::from_utf8(text).unwrap_or_default()
}

fn add(text: &mut Vec<u8>, key: &str, part: &Part) {
    match part {
        Part::Json(value) => add_json(text, key, value),
        Part::Text(json) => {
            begin(text, key);
            text.extend_from_slice(json.as_bytes());
        }
        Part::Absent => {}
    }
}

fn add_json(text: &mut Vec<u8>, key: &str, value: &Value) {
    begin(text, key);
    // Memory takes whatever is written.
    let _ = serde_json::to_writer(text, value);
}

fn begin(text: &mut Vec<u8>, key: &str) {
    if text.len() > 1 {
        text.push(b',');
    }
    text.push(b'"');
    text.extend_from_slice(key.as_bytes());
    text.extend_from_slice(b"\":");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parts_replace_remove_and_add_fields() {
        let template = json!({"a": 1, "b": {"c": "\""}, "d": null});
        let parts = [
            ("a", json!(2).into()),
            ("d", Part::Absent),
            ("e", Part::Text("[]".to_owned())),
            ("f", Part::Absent),
        ];
        let text = filled(&template, &parts);
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read, json!({"a": 2, "b": {"c": "\""}, "e": []}), "{text}");
    }
}
