//! Names and texts as a configuration file has them, so that what is printed can be read again.

use std::fmt::Display;
use std::net::IpAddr;

use crate::model::{Name, Scope, StaticData, StaticRecord};

/// A text as TOML writes it, whatever is in it.
pub(super) fn quoted(text: impl Display) -> String {
    toml::Value::from(text.to_string()).to_string()
}

/// The same for several.
pub(super) fn list<T: Display>(texts: &[T]) -> String {
    let texts: Vec<String> = texts.iter().map(quoted).collect();
    format!("[{}]", texts.join(", "))
}

/// A name as it was read. Its presentation format has escapes, which `Name::parse` takes
/// literally, as the engine does in aliases.
pub(super) fn name(name: &Name) -> String {
    let labels: Vec<_> = name.labels().map(String::from_utf8_lossy).collect();
    labels.join(".")
}

/// A scope, whose networks are names.
pub(super) fn scope(scope: &Scope) -> String {
    match scope {
        Scope::Networks(names) => names.iter().map(name).collect::<Vec<_>>().join(","),
        word => word.to_string(),
    }
}

/// A record's own table.
pub(super) fn record_table(record: &StaticRecord) -> String {
    let (kind, value) = match &record.data {
        StaticData::Address(address @ IpAddr::V4(_)) => ("A", address.to_string()),
        StaticData::Address(address @ IpAddr::V6(_)) => ("AAAA", address.to_string()),
        StaticData::Cname(target) => ("CNAME", name(target)),
        StaticData::Txt(text) => ("TXT", text.clone()),
    };
    let owner = format!("{}{}", if record.wildcard { "*." } else { "" }, name(&record.owner));
    let ttl = record.ttl.map(|ttl| format!("\nttl = {ttl}")).unwrap_or_default();
    let (owner, value) = (quoted(owner), quoted(value));
    format!("\n[[record]]\nname = {owner}\ntype = \"{kind}\"\nvalue = {value}{ttl}")
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Settings};

    /// Reads it, prints it, and reads that.
    fn comes_back(text: &str) {
        let read = |text: &str| {
            let file = Settings::from_toml("any", text).unwrap();
            Config::new(Settings::default(), file, None).unwrap()
        };
        let config = read(text);
        assert_eq!(read(&config.to_toml()), config);
    }

    /// Found by mutants: a path was put between quotes as it is, and a text as Rust writes it.
    #[test]
    fn a_path_with_quotes_and_a_text_with_controls_come_back() {
        comes_back("hosts = 'a\"b\\c'\n[forward]\nca = 'a\"b'\nresolv_conf = '\"'");
        comes_back("docker = ['unix:///a\"b']\nscope = 'a\"b'");
        let text = r#"value = "\u0000 \u007f \u200b \n""#;
        comes_back(&format!("[[record]]\nname = 't'\ntype = 'TXT'\n{text}"));
    }

    /// Found by mutants: names were printed with the escapes of zone files.
    #[test]
    fn a_name_beyond_ascii_comes_back() {
        comes_back("domain = ['b\u{fc}ro.internal', 'a\\b']");
        comes_back("[[record]]\nname = '\u{fc}'\ntype = 'CNAME'\nvalue = 'b\u{fc}ro'");
        comes_back("scope = 'b\u{fc}ro,shop'");
        comes_back("[[domain]]\nname = '\u{fc}'\nttl = 1");
        comes_back("[[forward.domain]]\nname = '\u{fc}'\nservers = ['10.0.0.1']");
    }
}
