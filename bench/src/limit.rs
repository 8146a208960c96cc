//! A responder that does nothing but answer: what the kernel alone costs.
//!
//! It takes the number from a fixed place of the question, and sends the answer that was made
//! for it beforehand. No DNS server can be faster on the same sockets.

use std::io::Write as _;
use std::net::{SocketAddr, UdpSocket};

use anyhow::Context as _;

use crate::answer::question_end;
use crate::batch::{Batch, Wait};
use crate::workload::{A, AAAA, DIGITS, Question, SUFFIX, Shape, Workload};

#[derive(clap::Args)]
pub(crate) struct LimitArgs {
    /// Where to answer
    #[arg(long, default_value = "127.0.0.1:1053")]
    listen: SocketAddr,
    /// Which names to answer
    #[arg(long, default_value = "w1")]
    workload: Workload,
}

/// Where the digits of a name are: after the header, a length and the `n`.
const NUMBER: std::ops::Range<usize> = 14..14 + DIGITS;

pub(crate) fn run(args: &LimitArgs) -> anyhow::Result<()> {
    let socket = UdpSocket::bind(args.listen).context("cannot listen")?;
    let shape = args.workload.shape();
    let made = |kind: u16| -> Vec<Vec<u8>> {
        let names = 0..shape.names;
        names.map(|name| canned(&shape, name, &shape.question(name, kind, SUFFIX))).collect()
    };
    let (a, aaaa) = (made(A), made(AAAA));
    let last = question_end(&shape.question(0, A, SUFFIX).query);
    let find = |question: &[u8]| {
        let digits = question.get(NUMBER).unwrap_or_default();
        let number = digits.iter().fold(0, |n, d| n * 10 + usize::from(d.wrapping_sub(b'0')));
        let kind = question.get(last - 3).map(|kind| u16::from(*kind));
        let answers = if kind == Some(AAAA) { &aaaa } else { &a };
        answers.get(number).unwrap_or(&answers[0]).as_slice()
    };
    let mut out = std::io::stdout();
    writeln!(out, "DNS on {}", socket.local_addr()?).and_then(|()| out.flush())?;
    let mut batch = Batch::new();
    loop {
        batch.receive(&socket, Wait::ForOne)?;
        batch.answer(find);
        batch.send(&socket)?;
    }
}

/// The right answer to a question about a name, but for the id.
pub(crate) fn canned(shape: &Shape, name: u32, question: &Question) -> Vec<u8> {
    let end = question_end(&question.query);
    let mut answer = question.query[..end].to_vec();
    answer[2..4].copy_from_slice(&[0x85, 0]);
    let count = if shape.dual { 1 } else { question.count.1 };
    answer[6..8].copy_from_slice(&count.to_be_bytes());
    for which in 0..u32::from(count) {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend(shape.address(name, which).octets());
    }
    // The question's OPT, if it has one.
    answer.extend(&question.query[end..]);
    answer
}
