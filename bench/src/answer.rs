//! Whether an answer is right: every one that comes is looked at.

use crate::workload::{A, Question};

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It ends before it should.
    Short,
    /// QR is not set, or TC is.
    Flags(u8),
    Rcode(u8),
    /// Another question is repeated, or none.
    Question,
    /// Too few or too many answers.
    Count(u16),
    /// An answer of another type or class.
    Record,
    /// An address of another name.
    Address(u32),
}

const HEADER: usize = 12;
const QR: u8 = 0x80;
const TC: u8 = 0x02;

/// Compares an answer with its question: flags, code, the question in it, how many answers, and
/// each of their addresses. The id is what the question was found by.
pub(crate) fn check(question: &Question, answer: &[u8]) -> Result<(), Wrong> {
    let header = answer.first_chunk::<HEADER>().ok_or(Wrong::Short)?;
    if header[2] & (QR | TC) != QR {
        return Err(Wrong::Flags(header[2]));
    }
    if header[3] & 0x0f != 0 {
        return Err(Wrong::Rcode(header[3] & 0x0f));
    }
    let mut at = question_end(&question.query);
    let repeated = answer.get(HEADER..at).ok_or(Wrong::Short)?;
    if header[4..6] != [0, 1] || repeated != &question.query[HEADER..at] {
        return Err(Wrong::Question);
    }
    let count = u16::from_be_bytes([header[6], header[7]]);
    let (least, most) = question.count;
    if count < least || count > most {
        return Err(Wrong::Count(count));
    }
    for _ in 0..count {
        at = owner_end(answer, at)?;
        let record = answer.get(at..at + 14).ok_or(Wrong::Short)?;
        let kind = u16::from_be_bytes([record[0], record[1]]);
        if kind != A || record[2..4] != [0, 1] || record[8..10] != [0, 4] {
            return Err(Wrong::Record);
        }
        let address = u32::from_be_bytes([record[10], record[11], record[12], record[13]]);
        if address.wrapping_sub(question.first) >= question.span {
            return Err(Wrong::Address(address));
        }
        at += 14;
    }
    Ok(())
}

/// Where the question of a query ends; ours are complete.
pub(crate) fn question_end(query: &[u8]) -> usize {
    let mut at = HEADER;
    while query[at] != 0 {
        at += 1 + usize::from(query[at]);
    }
    at + 5
}

/// Skips an owner name, compressed or not.
fn owner_end(answer: &[u8], mut at: usize) -> Result<usize, Wrong> {
    loop {
        match *answer.get(at).ok_or(Wrong::Short)? {
            0 => return Ok(at + 1),
            length if length >= 0xc0 => return Ok(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::canned;
    use crate::workload::{AAAA, Shape, Workload};

    fn question(kind: u16) -> (Shape, Question) {
        let shape = Workload::W4.shape();
        (shape, shape.question(7, kind, "rr.internal"))
    }

    #[test]
    fn the_limits_answers_are_right() {
        for kind in [A, AAAA] {
            let (shape, question) = question(kind);
            assert_eq!(check(&question, &canned(&shape, 7, &question)), Ok(()));
        }
    }

    #[test]
    fn each_fault_is_told_apart() {
        let (shape, question) = question(A);
        let right = canned(&shape, 7, &question);
        let end = question_end(&question.query);
        let with = |at: usize, byte: u8| {
            let mut wrong = right.clone();
            wrong[at] = byte;
            check(&question, &wrong)
        };
        assert_eq!(with(2, 0), Err(Wrong::Flags(0)));
        assert_eq!(with(2, QR | TC), Err(Wrong::Flags(QR | TC)));
        assert_eq!(with(3, 3), Err(Wrong::Rcode(3)));
        assert_eq!(with(HEADER + 1, b'x'), Err(Wrong::Question));
        assert_eq!(with(7, 3), Err(Wrong::Count(3)));
        assert_eq!(with(end + 3, 28), Err(Wrong::Record));
        let other = shape.address(8, 0).to_bits();
        let mut wrong = right.clone();
        wrong[end + 12..end + 16].copy_from_slice(&other.to_be_bytes());
        assert_eq!(check(&question, &wrong), Err(Wrong::Address(other)));
        assert_eq!(check(&question, &right[..end + 20]), Err(Wrong::Short));
        assert_eq!(check(&question, &[]), Err(Wrong::Short));
    }
}
