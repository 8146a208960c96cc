//! Lists as they come: element by element, so that 100,000 containers need the memory of one.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;

use serde::Deserialize;

use super::Target;
use super::plain::{Buffer, garbled};

/// The room for an element that comes in two pieces, at first.
const FIRST: usize = 4 * 1024;

/// What a list names: every network and every running container, each with a number that is
/// another one when what the list says of it is different.
#[derive(Debug, Default)]
pub struct Listing {
    pub(super) networks: Rows,
    pub(super) containers: Rows,
}

/// Ids and numbers, block by block: lists come every few seconds, and 100,000 small pieces would
/// be left behind as holes in memory, as would a large one that is made anew whenever it is full.
#[derive(Debug, Default)]
pub(super) struct Rows(Vec<Block>);

#[derive(Debug)]
struct Block {
    ids: String,
    /// Where each id ends, and its number.
    rows: Vec<(usize, u64)>,
}

/// Octets of ids in a block: less than what the allocator asks the kernel for on its own.
const BLOCK: usize = 64 * 1024;
/// Octets of an id, as a rule.
const ID: usize = 64;

impl Rows {
    pub(super) fn push(&mut self, id: &str, print: u64) {
        match self.0.last_mut() {
            Some(block) if block.ids.len() + id.len() <= BLOCK => block.push(id, print),
            _ => {
                let (ids, rows) = (String::with_capacity(BLOCK), Vec::with_capacity(BLOCK / ID));
                let mut block = Block { ids, rows };
                block.push(id, print);
                self.0.push(block);
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().flat_map(Block::iter)
    }
}

impl Block {
    fn push(&mut self, id: &str, print: u64) {
        self.ids.push_str(id);
        self.rows.push((self.ids.len(), print));
    }

    fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        let starts = std::iter::once(0).chain(self.rows.iter().map(|(end, _)| *end));
        starts.zip(&self.rows).map(|(start, (end, print))| (&self.ids[start..*end], *print))
    }
}

impl FromIterator<(Target, u64)> for Listing {
    fn from_iter<I: IntoIterator<Item = (Target, u64)>>(listed: I) -> Self {
        let mut listing = Self::default();
        for (target, print) in listed {
            match target {
                Target::Container(id) => listing.containers.push(&id.0, print),
                Target::Network(id) => listing.networks.push(&id.0, print),
            }
        }
        listing
    }
}

/// What netalias wants of a network in `GET /networks` when it lists them all.
#[derive(Debug, Deserialize)]
pub(super) struct ListedNetwork {
    #[serde(rename = "Id")]
    pub(super) id: Option<String>,
}

/// What netalias wants of a container in `GET /containers/json`: what is different when it has to
/// be looked at. In lists endpoints have no aliases.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ListedContainer {
    pub(super) id: Option<String>,
    names: Option<Vec<String>>,
    state: Option<String>,
    status: Option<String>,
    network_settings: Option<ListedSettings>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ListedSettings {
    /// By name, in an order of their own: the engine's map has none.
    networks: Option<BTreeMap<String, ListedEndpoint>>,
}

#[derive(Debug, Default, Deserialize, Hash)]
#[serde(default)]
struct ListedEndpoint {
    #[serde(rename = "NetworkID")]
    network: Option<String>,
    #[serde(rename = "IPAddress")]
    v4: Option<String>,
    #[serde(rename = "GlobalIPv6Address")]
    v6: Option<String>,
}

impl ListedContainer {
    /// A number for what a list says of a container: state, health, names and addresses.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.state.hash(&mut hasher);
        self.names.hash(&mut hasher);
        // "Up 3 minutes (healthy)": the time always changes.
        let status = self.status.as_deref().unwrap_or_default();
        status.split_once('(').map(|(_, health)| health).hash(&mut hasher);
        let settings = self.network_settings.as_ref();
        settings.and_then(|settings| settings.networks.as_ref()).hash(&mut hasher);
        hasher.finish()
    }
}

/// Cuts a JSON array of objects into its elements, as its octets come. It only counts brackets
/// outside of strings; whether an element is JSON is for its reader to say.
#[derive(Debug)]
pub struct Elements {
    place: Place,
    /// Brackets that are open inside the element.
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// The beginning of an element whose end has not come.
    begun: Buffer,
}

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The array's bracket.
    Start,
    /// An element, or the array's end.
    First,
    /// A comma, or the array's end.
    Comma,
    /// An element.
    Element,
    /// The rest of an element.
    Inside,
    /// Nothing.
    End,
}

impl Default for Elements {
    fn default() -> Self {
        let begun = Buffer::new(FIRST);
        Self { place: Place::Start, depth: 0, in_string: false, escaped: false, begun }
    }
}

impl Elements {
    /// Takes the next octets, and gives each element that ends in them to `each`. An error if they
    /// are no list of objects, if an element is longer than an answer may be, or where `each` has
    /// one.
    pub fn push(
        &mut self,
        octets: &[u8],
        mut each: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut from = 0;
        for (at, octet) in octets.iter().enumerate() {
            if self.place == Place::Inside {
                if self.is_end(*octet) {
                    self.place = Place::Comma;
                    let rest = &octets[from..=at];
                    if self.begun.bytes().is_empty() {
                        each(rest)?;
                    } else {
                        self.begun.append(rest)?;
                        each(self.begun.bytes())?;
                        self.begun = Buffer::new(FIRST);
                    }
                }
                continue;
            }
            self.place = match (self.place, octet) {
                (place, b' ' | b'\t' | b'\r' | b'\n') => place,
                (Place::Start, b'[') => Place::First,
                (Place::First | Place::Comma, b']') => Place::End,
                (Place::Comma, b',') => Place::Element,
                (Place::First | Place::Element, b'{') => {
                    (from, self.depth) = (at, 1);
                    Place::Inside
                }
                _ => return Err(garbled("not a list of objects")),
            };
        }
        if self.place == Place::Inside {
            self.begun.append(&octets[from..])?;
        }
        Ok(())
    }

    /// Nothing more will come: an error if there should.
    pub fn end(&self) -> io::Result<()> {
        if self.place == Place::End {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the list was cut short"))
    }

    /// Whether the element ends with this octet of it.
    fn is_end(&mut self, octet: u8) -> bool {
        if self.in_string {
            match octet {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match octet {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        self.depth == 0
    }
}

#[cfg(test)]
mod tests {
    use super::super::plain::MAX_ANSWER;
    use super::*;
    use serde_json::{Value, json};

    /// What comes out of these pieces, up to the first error.
    fn cut(pieces: &[&[u8]]) -> Result<Vec<String>, String> {
        let (mut elements, mut found) = (Elements::default(), Vec::new());
        let mut each = |element: &[u8]| {
            found.push(String::from_utf8_lossy(element).into_owned());
            Ok(())
        };
        let pushed = pieces.iter().try_for_each(|piece| elements.push(piece, &mut each));
        pushed.and_then(|()| elements.end()).map_err(|error| error.to_string())?;
        Ok(found)
    }

    #[test]
    fn elements_are_the_same_wherever_the_octets_are_cut() {
        let elements = [
            r#"{"Id":"a"}"#,
            r#"{"Labels":{"odd":"}]{[\"\\","\\\"":"\\\\"},"Names":["/a",["{"]],"n":[{},{"x":1}]}"#,
            "{ \"a\" :\n\"\u{e9}\u{1f40b}\" }",
            "{}",
        ];
        let text =
            format!(" [{}\n, {},{},{} ]\n", elements[0], elements[1], elements[2], elements[3]);
        let octets = text.as_bytes();
        assert_eq!(cut(&[octets]).unwrap(), elements);
        for first in 0..=octets.len() {
            assert_eq!(cut(&[&octets[..first], &octets[first..]]).unwrap(), elements, "{first}");
            for second in first..=octets.len() {
                let pieces = [&octets[..first], &octets[first..second], &octets[second..]];
                assert_eq!(cut(&pieces).unwrap(), elements, "{first} {second}");
            }
        }
        assert_eq!(cut(&[b"[]"]).unwrap(), [""; 0]);
    }

    #[test]
    fn a_list_that_ends_too_early_is_an_error_wherever_it_ends() {
        let octets = br#"[{"Id":"]"},{"Id":"b"}]"#;
        for end in 0..octets.len() {
            assert_eq!(cut(&[&octets[..end]]).unwrap_err(), "the list was cut short", "{end}");
        }
        assert!(cut(&[octets]).is_ok());
    }

    #[test]
    fn what_is_no_list_of_objects_is_an_error() {
        for text in ["null", "{}", "[1]", "[null]", "[{},]", "[,{}]", "[{}{}]", "[{}],", "<html>"] {
            assert_eq!(cut(&[text.as_bytes()]).unwrap_err(), "not a list of objects", "{text}");
        }
    }

    #[test]
    fn an_element_that_has_no_end_is_refused() {
        let mut elements = Elements::default();
        elements.push(b"[{\"", |_| Ok(())).unwrap();
        let piece = vec![b'x'; 1 << 20];
        let mut pieces = 0;
        let error = loop {
            match elements.push(&piece, |_| Ok(())) {
                Ok(()) => pieces += 1,
                Err(error) => break error.to_string(),
            }
        };
        assert_eq!((error.as_str(), pieces), ("the answer is too long", (MAX_ANSWER >> 20) - 1));
    }

    fn container() -> Value {
        json!({
            "Id": "c1", "Names": ["/web"], "State": "running", "Status": "Up 3 minutes (healthy)",
            "Labels": {"a": "b"}, "Command": "sleep",
            "NetworkSettings": {"Networks": {
                "a": {"NetworkID": "n1", "IPAddress": "10.9.0.2", "GlobalIPv6Address": ""},
                "b": {"NetworkID": "n2", "IPAddress": "10.8.0.2", "GlobalIPv6Address": ""}
            }}
        })
    }

    fn print(container: &Value) -> u64 {
        let text = container.to_string();
        serde_json::from_str::<ListedContainer>(&text).unwrap().fingerprint()
    }

    #[test]
    fn a_fingerprint_changes_with_state_health_names_and_addresses_and_with_nothing_else() {
        let first = print(&container());
        let with = |pointer: &str, value: Value| {
            let mut changed = container();
            *changed.pointer_mut(pointer).unwrap() = value;
            print(&changed)
        };
        let networks = "/NetworkSettings/Networks";
        for (pointer, value) in [
            ("/Names", json!(["/site"])),
            ("/State", json!("paused")),
            ("/Status", json!("Up 3 minutes (unhealthy)")),
            ("/Status", json!("Up 3 minutes")),
            (&format!("{networks}/a/NetworkID"), json!("n3")),
            (&format!("{networks}/a/IPAddress"), json!("10.9.0.3")),
            (&format!("{networks}/b/GlobalIPv6Address"), json!("fd00::2")),
            ("/NetworkSettings", json!({})),
        ] {
            assert_ne!(with(pointer, value), first, "{pointer}");
        }
        for (pointer, value) in [
            ("/Status", json!("Up 4 hours (healthy)")),
            ("/Labels", json!({})),
            ("/Command", json!("true")),
        ] {
            assert_eq!(with(pointer, value), first, "{pointer}");
        }
    }

    #[test]
    fn rows_give_back_what_was_put_in() {
        let mut rows = Rows::default();
        let put = [("abc", 1), ("", 2), ("d", 3)];
        for (id, print) in put {
            rows.push(id, print);
        }
        assert_eq!(rows.iter().collect::<Vec<_>>(), put);
    }
}
