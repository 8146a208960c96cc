//! A request as it stands on the wire, read once from front to back.
//!
//! It takes what an answer needs and checks the rest. Nothing is allocated, no pointer is followed
//! and no count is believed, so that no request costs more than its length.

use std::ops::Range;

/// A query that can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request<'a> {
    pub(super) id: u16,
    /// The second word of the header.
    pub(super) flags: u16,
    /// The question as it came: name, type and class. Its case is the client's own.
    pub(super) question: &'a [u8],
    pub(super) qtype: u16,
    pub(super) qclass: u16,
    pub(super) edns: Option<Edns>,
    /// The options of its OPT record, as they came, and well-formed.
    options: &'a [u8],
}

/// What the client's OPT record says (RFC 6891 section 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edns {
    /// The largest UDP payload that it takes.
    pub(super) payload: u16,
    /// 0, or one that we do not speak.
    pub(super) version: u8,
    pub(super) dnssec_ok: bool,
}

/// Why there is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Shorter than a header, or no question but a response: nobody waits for a reply to it, and
    /// two servers that reply to replies would never end.
    Silence,
    /// What came cannot be read: FORMERR.
    Malformed {
        /// The request's id.
        id: u16,
        /// The second word of its header.
        flags: u16,
    },
    /// An operation other than QUERY: NOTIMP.
    Operation {
        /// The request's id.
        id: u16,
        /// The second word of its header.
        flags: u16,
    },
}

/// Octets of a header (RFC 1035 section 4.1.1).
pub(super) const HEADER: usize = 12;
/// Octets of a name on the wire (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 255;
/// Octets of a label (RFC 1035 section 2.3.4).
const MAX_LABEL: u8 = 63;
/// The first of the label lengths that mean a pointer (RFC 1035 section 4.1.4).
const POINTER: u8 = 0xc0;

/// Bits of the header's second word.
pub(super) mod flag {
    pub(in crate::dns) const QR: u16 = 0x8000;
    pub(in crate::dns) const OPCODE: u16 = 0x7800;
    pub(in crate::dns) const AA: u16 = 0x0400;
    pub(in crate::dns) const TC: u16 = 0x0200;
    pub(in crate::dns) const RD: u16 = 0x0100;
    pub(in crate::dns) const RA: u16 = 0x0080;
    pub(in crate::dns) const CD: u16 = 0x0010;
    /// In an OPT record: DO (RFC 3225 section 3).
    pub(in crate::dns) const DO: u16 = 0x8000;
}

/// The type code of OPT records.
pub(super) const OPT: u16 = 41;

impl<'a> Request<'a> {
    /// Reads a message.
    pub(super) fn read(octets: &'a [u8]) -> Result<Self, Unreadable> {
        let mut reader = Reader { octets, at: 0 };
        let header = reader.words::<6>().ok_or(Unreadable::Silence)?;
        let [id, flags, queries, answers, authorities, additionals] = header;
        if flags & flag::QR != 0 {
            return Err(Unreadable::Silence);
        }
        if flags & flag::OPCODE != 0 {
            return Err(Unreadable::Operation { id, flags });
        }
        let malformed = Unreadable::Malformed { id, flags };
        // RFC 9619: a query has one question. It has no answer either.
        if queries != 1 || answers != 0 {
            return Err(malformed);
        }
        let question = reader.question().ok_or(malformed)?;
        for _ in 0..authorities {
            reader.record().filter(|record| record.rtype != OPT).ok_or(malformed)?;
        }
        let (mut edns, mut options) = (None, &[][..]);
        for _ in 0..additionals {
            let record = reader.record().ok_or(malformed)?;
            if record.rtype == OPT {
                // RFC 6891 section 6.1.1: one at most, and its owner is the root.
                let new = record.edns().filter(|_| edns.is_none());
                edns = Some(new.ok_or(malformed)?);
                options = octets.get(record.data).ok_or(malformed)?;
                let mut rest = Options(options);
                rest.by_ref().for_each(drop);
                if !rest.0.is_empty() {
                    return Err(malformed);
                }
            }
        }
        let [qtype, qclass] = last_words(&octets[question.clone()]);
        Ok(Self { id, flags, question: &octets[question], qtype, qclass, edns, options })
    }

    /// The question's name, with the octet of the root.
    pub(super) fn name(&self) -> &'a [u8] {
        &self.question[..self.question.len() - 4]
    }

    /// Whether its OPT record has options.
    pub(super) fn has_options(&self) -> bool {
        !self.options.is_empty()
    }

    /// The data of an EDNS option.
    pub(super) fn option(&self, code: u16) -> Option<&'a [u8]> {
        Options(self.options).find(|(found, _)| *found == code).map(|(_, data)| data)
    }

    /// The labels of the question's name.
    pub(super) fn labels(&self) -> impl Iterator<Item = &'a [u8]> + Clone {
        let mut rest = self.name();
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first().filter(|(length, _)| **length != 0)?;
            let (label, after) = after.split_at_checked(usize::from(*length))?;
            rest = after;
            Some(label)
        })
    }
}

/// A record, but for what nobody here reads.
struct Record {
    root_owner: bool,
    rtype: u16,
    class: u16,
    ttl: [u8; 4],
    data: Range<usize>,
}

impl Record {
    fn edns(&self) -> Option<Edns> {
        let [_, version, flags @ ..] = self.ttl;
        let dnssec_ok = u16::from_be_bytes(flags) & flag::DO != 0;
        self.root_owner.then_some(Edns { payload: self.class, version, dnssec_ok })
    }
}

/// EDNS options one by one: code and data. It leaves behind what is no option.
struct Options<'a>(&'a [u8]);

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let [a, b, c, d, rest @ ..] = self.0 else { return None };
        let (code, length) = (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]));
        let (data, rest) = rest.split_at_checked(usize::from(length))?;
        self.0 = rest;
        Some((code, data))
    }
}

/// Walks over a message; None where it ends too early or cannot go on.
struct Reader<'a> {
    octets: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn words<const N: usize>(&mut self) -> Option<[u16; N]> {
        let octets = self.octets.get(self.at..self.at + 2 * N)?;
        self.at += 2 * N;
        let mut words = [0; N];
        for (word, octets) in words.iter_mut().zip(octets.chunks_exact(2)) {
            *word = u16::from_be_bytes([octets[0], octets[1]]);
        }
        Some(words)
    }

    fn skip(&mut self, octets: usize) -> Option<()> {
        self.at = self.at.checked_add(octets).filter(|at| *at <= self.octets.len())?;
        Some(())
    }

    /// The name of a question is whole: there is nothing before it that a pointer could mean.
    fn question(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        loop {
            let length = *self.octets.get(self.at)?;
            self.skip(1 + usize::from(length))?;
            if length == 0 {
                break;
            }
            if length > MAX_LABEL {
                return None;
            }
        }
        if self.at - start > MAX_NAME {
            return None;
        }
        self.skip(4)?;
        Some(start..self.at)
    }

    fn record(&mut self) -> Option<Record> {
        let start = self.at;
        loop {
            match *self.octets.get(self.at)? {
                0 => {
                    self.skip(1)?;
                    break;
                }
                POINTER.. => {
                    self.skip(2)?;
                    break;
                }
                length @ 1..=MAX_LABEL => self.skip(1 + usize::from(length))?,
                _ => return None,
            }
        }
        let root_owner = self.at - start == 1;
        let [rtype, class, ttl_high, ttl_low, length] = self.words::<5>()?;
        let data = self.at;
        self.skip(usize::from(length))?;
        let ([a, b], [c, d]) = (ttl_high.to_be_bytes(), ttl_low.to_be_bytes());
        Some(Record { root_owner, rtype, class, ttl: [a, b, c, d], data: data..self.at })
    }
}

/// The type and the class at the end of a question.
fn last_words(question: &[u8]) -> [u16; 2] {
    match question {
        [.., a, b, c, d] => [u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])],
        _ => [0, 0],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A query for `wEb` A, with these counts and this tail.
    fn message(counts: [u16; 4], tail: &[u8]) -> Vec<u8> {
        let mut octets = vec![0x12, 0x34, 0x01, 0x00];
        octets.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
        octets.extend(b"\x03wEb\0\0\x01\0\x01");
        octets.extend(tail);
        octets
    }

    const FORMERR: Result<Request, Unreadable> =
        Err(Unreadable::Malformed { id: 0x1234, flags: 0x0100 });

    #[test]
    fn reads_what_an_answer_needs() {
        let octets = message([1, 0, 0, 0], b"trailing octets do no harm");
        let request = Request::read(&octets).unwrap();
        assert_eq!(request.name(), b"\x03wEb\0");
        assert_eq!(request.labels().collect::<Vec<_>>(), [b"wEb"]);
        assert_eq!((request.qtype, request.qclass, request.edns), (1, 1, None));
    }

    #[test]
    fn reads_opt_and_skips_what_it_does_not_know() {
        // An unknown record, then OPT: 4096, version 0, DO, an unknown option and keepalive.
        let tail = b"\xc0\x0c\0\x63\0\xff\0\0\0\0\0\x02ab\
            \0\0\x29\x10\0\0\0\x80\0\0\x0a\xfd\xe9\0\x02xy\0\x0b\0\0";
        let octets = message([1, 0, 0, 2], tail);
        let request = Request::read(&octets).unwrap();
        assert_eq!(request.edns, Some(Edns { payload: 4096, version: 0, dnssec_ok: true }));
        assert_eq!(request.option(0xfde9), Some(&b"xy"[..]));
        assert_eq!((request.option(11), request.option(10)), (Some(&b""[..]), None));
    }

    #[test]
    fn says_which_requests_cannot_be_read() {
        let opt = b"\0\0\x29\x04\xd0\0\0\0\0\0\0";
        for (what, counts, tail) in [
            ("no question", [0, 0, 0, 0], &b""[..]),
            ("two questions", [2, 0, 0, 0], b"\x03web\0\0\x01\0\x01"),
            ("an answer", [1, 1, 0, 0], b"\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x04\x01\x02\x03\x04"),
            ("counts lie", [1, 0, 0, 65_535], b""),
            ("two OPT records", [1, 0, 0, 2], &[&opt[..], opt].concat()),
            ("OPT as authority", [1, 0, 1, 0], opt),
            ("OPT with an owner", [1, 0, 0, 1], b"\x01a\0\0\x29\x04\xd0\0\0\0\0\0\0"),
            ("an option too long", [1, 0, 0, 1], b"\0\0\x29\x04\xd0\0\0\0\0\0\x05\0\x0a\0\x02x"),
            ("RDATA too long", [1, 0, 0, 1], b"\0\0\x29\x04\xd0\0\0\0\0\0\x01"),
        ] {
            assert_eq!(Request::read(&message(counts, tail)), FORMERR, "{what}");
        }
        for name in [
            &b"\xc0\x0c"[..],
            b"\xc0\x0e",
            b"\xc0\xff",
            b"\x40abc\0",
            b"\x80abc\0",
            b"\x03we",
            &b"\x3faaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".repeat(4),
        ] {
            let octets = [&message([1, 0, 0, 0], b"")[..HEADER], name, b"\0\0\x01\0\x01"].concat();
            assert_eq!(Request::read(&octets), FORMERR, "{name:?}");
        }
    }

    #[test]
    fn stays_silent_to_responses_and_scraps() {
        let mut response = message([1, 0, 0, 0], b"");
        response[2] |= 0x80;
        assert_eq!(Request::read(&response), Err(Unreadable::Silence));
        for length in 0..HEADER {
            assert_eq!(Request::read(&response[..length]), Err(Unreadable::Silence));
        }
        let mut update = message([0, 0, 0, 0], b"");
        update[2] = 5 << 3;
        let expected = Unreadable::Operation { id: 0x1234, flags: 0x2800 };
        assert_eq!(Request::read(&update), Err(expected));
    }
}
