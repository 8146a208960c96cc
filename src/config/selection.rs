//! `[[domain]]` and `[[name]]` tables: selection for some questions or names.

use std::fmt;
use std::str::FromStr;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::text;
use crate::model::{Answers, Health, Name, NameError, Order, Overrides, Pattern};

/// A domain: its name alone, or a table that also says how questions below it are answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainSetting {
    /// The domain.
    pub name: Name,
    /// What goes before everything else for questions below it.
    pub selection: Overrides,
}

/// A `[[name]]` table: how names that match are answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameSetting {
    /// Which names.
    pub name: Pattern,
    /// How.
    pub selection: Overrides,
}

/// The keys of both tables.
pub(super) const SELECTION_KEYS: [&str; 5] = ["name", "order", "answers", "ttl", "health"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    name: String,
    #[serde(default, deserialize_with = "text")]
    order: Option<Order>,
    #[serde(default, deserialize_with = "answers")]
    answers: Option<Answers>,
    #[serde(default)]
    ttl: Option<u32>,
    #[serde(default, deserialize_with = "text")]
    health: Option<Health>,
}

/// `"sortproof"`, or a number without quotes.
pub(super) fn answers<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Answers>, D::Error> {
    struct TextOrNumber;

    impl Visitor<'_> for TextOrNumber {
        type Value = Answers;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("auto, all, sortproof, or a number")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Answers, E> {
            text.parse().map_err(E::custom)
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<Answers, E> {
            self.visit_str(&number.to_string())
        }
    }

    deserializer.deserialize_any(TextOrNumber).map(Some)
}

impl Table {
    fn selection(&self) -> Overrides {
        let Self { order, answers, ttl, health, .. } = *self;
        Overrides { order, answers, ttl, health }
    }
}

impl<'de> Deserialize<'de> for DomainSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrTable;

        // Not an untagged enum: that would not say what is wrong with the table.
        impl<'de> Visitor<'de> for NameOrTable {
            type Value = DomainSetting;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a domain's name, or a table")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<DomainSetting, E> {
                name.parse().map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<DomainSetting, A::Error> {
                let table = Table::deserialize(MapAccessDeserializer::new(map))?;
                let name = table.name.parse().map_err(A::Error::custom)?;
                Ok(DomainSetting { name, selection: table.selection() })
            }
        }

        deserializer.deserialize_any(NameOrTable)
    }
}

impl<'de> Deserialize<'de> for NameSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = Table::deserialize(deserializer)?;
        let name = table.name.parse().map_err(D::Error::custom)?;
        Ok(Self { name, selection: table.selection() })
    }
}

impl FromStr for DomainSetting {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Ok(Self { name: text.parse()?, selection: Overrides::default() })
    }
}

/// The keys of a table as `check` prints them; `name` is quoted.
pub(super) fn table(kind: &str, name: &str, selection: Overrides) -> String {
    let text =
        |key: &str, value: Option<String>| value.map(|value| format!("\n{key} = \"{value}\""));
    let keys = [
        text("order", selection.order.map(|order| order.to_string())),
        text("answers", selection.answers.map(|answers| answers.to_string())),
        selection.ttl.map(|ttl| format!("\nttl = {ttl}")),
        text("health", selection.health.map(|health| health.to_string())),
    ];
    let keys: String = keys.into_iter().flatten().collect();
    format!("\n[[{kind}]]\nname = {name}{keys}")
}
