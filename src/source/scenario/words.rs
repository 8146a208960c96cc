//! The words of a scenario line: quotes, comments, flags, and where each stands.

use std::collections::VecDeque;
use std::str::FromStr;

use crate::model::Subnet;

pub(super) struct Fault {
    pub(super) column: usize,
    pub(super) what: String,
}

/// The words of a line that are not used yet.
pub(super) struct Words {
    pub(super) rest: VecDeque<Word>,
    /// Where a missing word would stand.
    pub(super) end: usize,
}

pub(super) struct Word {
    pub(super) column: usize,
    pub(super) text: String,
}

/// A flag of a docker command, and what follows it.
pub(super) struct Flag {
    names: &'static [&'static str],
    value: bool,
}

pub(super) const fn with_value(names: &'static [&'static str]) -> Flag {
    Flag { names, value: true }
}

pub(super) const fn bare(names: &'static [&'static str]) -> Flag {
    Flag { names, value: false }
}

/// What stood before and between the positional words of a docker command.
pub(super) struct Flags {
    given: Vec<(&'static str, Option<Word>)>,
    pub(super) positional: Vec<Word>,
    end: usize,
}

impl Flags {
    /// Reads all words that are left, flags anywhere among them.
    pub(super) fn read(words: &mut Words, known: &[Flag]) -> Result<Self, Fault> {
        Self::read_words(words, known, false)
    }

    /// Reads flags up to the first positional word: what follows the image of `docker run` is
    /// the container's own command.
    pub(super) fn read_before_command(words: &mut Words, known: &[Flag]) -> Result<Self, Fault> {
        Self::read_words(words, known, true)
    }

    fn read_words(words: &mut Words, known: &[Flag], command_follows: bool) -> Result<Self, Fault> {
        let mut flags = Self { given: Vec::new(), positional: Vec::new(), end: words.end };
        while let Some(word) = words.rest.pop_front() {
            if !word.text.starts_with('-') || (command_follows && !flags.positional.is_empty()) {
                flags.positional.push(word);
            } else if let Some(letters) = bundle(&word.text, known) {
                flags.given.extend(letters.into_iter().map(|name| (name, None)));
            } else {
                flags.given.push(words.flag(&word, known)?);
            }
        }
        Ok(flags)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.given.iter().any(|(given, _)| *given == name)
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Word> {
        self.given.iter().filter(move |(given, _)| *given == name).filter_map(|(_, v)| v.as_ref())
    }

    /// The last one counts, as for docker.
    pub(super) fn value<'a>(&'a self, name: &'a str) -> Option<&'a Word> {
        self.all(name).last()
    }

    pub(super) fn parsed<T: FromStr>(&self, name: &str, what: &str) -> Result<Vec<T>, Fault> {
        self.all(name).map(|word| word.parse(what)).collect()
    }

    /// At least one positional word.
    pub(super) fn some(&self, what: &str) -> Result<Vec<String>, Fault> {
        if self.positional.is_empty() {
            return Err(Fault { column: self.end, what: format!("{what} is missing") });
        }
        Ok(self.positional.iter().map(|word| word.text.clone()).collect())
    }

    pub(super) fn exactly<const N: usize>(&self, what: [&str; N]) -> Result<[String; N], Fault> {
        if let Some(missing) = what.get(self.positional.len()) {
            return Err(Fault { column: self.end, what: format!("{missing} is missing") });
        }
        if let Some(word) = self.positional.get(N) {
            return Err(word.fault("the end of the line"));
        }
        Ok(std::array::from_fn(|index| self.positional[index].text.clone()))
    }
}

impl Words {
    /// Splits at spaces; quotes keep them together, `#` begins a comment.
    pub(super) fn split(text: &str) -> Result<Self, Fault> {
        let mut rest = VecDeque::new();
        let mut word: Option<Word> = None;
        let mut quote: Option<(char, usize)> = None;
        for (index, c) in text.chars().enumerate() {
            let column = index + 1;
            match (quote, c) {
                (Some((open, _)), _) if c == open => quote = None,
                (None, '"' | '\'') => {
                    quote = Some((c, column));
                    word.get_or_insert(Word { column, text: String::new() });
                }
                (None, '#') if word.is_none() => break,
                (None, _) if c.is_whitespace() => rest.extend(word.take()),
                _ => word.get_or_insert(Word { column, text: String::new() }).text.push(c),
            }
        }
        if let Some((_, column)) = quote {
            return Err(Fault { column, what: "a quote is not closed".to_owned() });
        }
        rest.extend(word);
        Ok(Self { rest, end: text.trim_end().chars().count() + 1 })
    }

    pub(super) fn next(&mut self, what: &str) -> Result<Word, Fault> {
        let missing = || Fault { column: self.end, what: format!("{what} is missing") };
        self.rest.pop_front().ok_or_else(missing)
    }

    /// A flag with its value, if it has one: `--ip A` or `--ip=A`.
    pub(super) fn flag(
        &mut self,
        word: &Word,
        known: &[Flag],
    ) -> Result<(&'static str, Option<Word>), Fault> {
        let (name, inline) = match word.text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word.text.as_str(), None),
        };
        let Some(flag) = known.iter().find(|flag| flag.names.contains(&name)) else {
            let names: Vec<&str> = known.iter().flat_map(|flag| flag.names).copied().collect();
            return Err(word.fault(&match names.as_slice() {
                [] => "no flag".to_owned(),
                names => format!("one of {}", names.join(", ")),
            }));
        };
        let value = match (flag.value, inline) {
            (true, Some(value)) => {
                let column = word.column + name.chars().count() + 1;
                Some(Word { column, text: value.to_owned() })
            }
            (true, None) => Some(self.next(&format!("the value of {name}"))?),
            (false, None) => None,
            (false, Some(_)) => return Err(word.fault(&format!("{name} without a value"))),
        };
        Ok((flag.names[0], value))
    }

    /// The one word that can stand here.
    pub(super) fn keyword(&mut self, what: &str) -> Result<(), Fault> {
        let word = self.next(what)?;
        if word.text == what { Ok(()) } else { Err(word.fault(what)) }
    }

    pub(super) fn end(&self) -> Result<(), Fault> {
        self.rest.front().map_or(Ok(()), |word| Err(word.fault("the end of the line")))
    }

    pub(super) fn arrow(&mut self) -> Result<(), Fault> {
        let word = self.next("→ and what is expected")?;
        if is_arrow(&word.text) { Ok(()) } else { Err(word.fault("→")) }
    }
}

impl Word {
    pub(super) fn fault(&self, expected: &str) -> Fault {
        let what = format!("{:?} is not expected here, but {expected}", self.text);
        Fault { column: self.column, what }
    }

    pub(super) fn parse<T: FromStr>(&self, what: &str) -> Result<T, Fault> {
        self.text.parse().map_err(|_| self.fault(what))
    }

    pub(super) fn subnet(&self) -> Result<Subnet, Fault> {
        self.parse("a subnet such as 172.200.1.0/24")
    }
}

/// `-dit`: several one-letter flags without values in one word.
fn bundle(text: &str, known: &[Flag]) -> Option<Vec<&'static str>> {
    let letters = text.strip_prefix('-').filter(|rest| !rest.starts_with('-'))?;
    let flag = |letter: char| {
        let named = |flag: &&Flag| {
            flag.names
                .iter()
                .any(|name| name.strip_prefix('-') == Some(letter.encode_utf8(&mut [0; 4])))
        };
        known.iter().find(named).filter(|flag| !flag.value).map(|flag| flag.names[0])
    };
    letters.chars().map(flag).collect()
}

pub(super) fn is_arrow(text: &str) -> bool {
    matches!(text, "→" | "->")
}
