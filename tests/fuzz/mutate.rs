//! Octets of a corpus changed at random: what a fuzzer does, bounded and with a seed.

use std::path::Path;

use fastrand::Rng;

/// Values at the edges of length and count fields.
const EDGES: [u8; 10] = [0, 1, 0x3f, 0x40, 0x41, 0x7f, 0x80, 0xc0, 0xfe, 0xff];
/// Mutants do not grow beyond this: a little more than any transport of requests carries usefully.
const MAX_LENGTH: usize = 4096;

/// A child of two members of a corpus, with one to five changes.
pub(crate) fn mutant(chance: &mut Rng, parent: &[u8], other: &[u8]) -> Vec<u8> {
    let mut octets = parent.to_vec();
    // Mostly one: what is changed everywhere is refused at its first octets.
    for _ in 0..=chance.u8(..).leading_zeros().min(4) {
        change(chance, &mut octets, other);
    }
    octets.truncate(MAX_LENGTH);
    octets
}

fn change(chance: &mut Rng, octets: &mut Vec<u8>, other: &[u8]) {
    if octets.is_empty() {
        octets.extend(other.iter().take(chance.usize(..64)));
        octets.push(chance.u8(..));
    }
    let at = chance.usize(..octets.len());
    match chance.u8(..9) {
        0 => octets[at] ^= 1 << chance.u8(..8),
        1 => octets[at] = chance.u8(..),
        // A length, a count, a type of record.
        2 => octets[at] = EDGES[chance.usize(..EDGES.len())],
        3 => octets[at] = octets[at].wrapping_add([1, 0xff][chance.usize(..2)]),
        4 => octets.truncate(at),
        // The rest of another one.
        5 => {
            octets.truncate(at);
            octets.extend(&other[chance.usize(..=other.len())..]);
        }
        6 => {
            let chunk = chunk(chance, octets).to_vec();
            octets.splice(at..at, chunk);
        }
        7 => {
            let chunk = chunk(chance, other).to_vec();
            octets.splice(at..at, chunk);
        }
        _ => {
            let end = (at + chance.usize(1..16)).min(octets.len());
            octets.drain(at..end);
        }
    }
}

fn chunk<'a>(chance: &mut Rng, octets: &'a [u8]) -> &'a [u8] {
    if octets.is_empty() {
        return octets;
    }
    let at = chance.usize(..octets.len());
    &octets[at..(at + chance.usize(1..64)).min(octets.len())]
}

/// What is kept for a target of the fuzzer, in an order of its own.
pub(crate) fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = std::fs::read_dir(folder).expect("a corpus");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).expect("a file")).collect()
}
