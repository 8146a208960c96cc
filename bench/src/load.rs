//! The load: a window of questions that are under way, a fixed rate, or a flood.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::answer::{Wrong, check};
use crate::batch::{BATCH, Batch, Wait};
use crate::workload::Question;

/// Sockets that ask; a server with several threads gets them by their ports.
const LANES: usize = 4;
/// After so long an answer is lost.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it is looked for lost ones.
const SWEEP: Duration = Duration::from_millis(100);

/// Who is asked, and from which address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) server: SocketAddr,
    pub(crate) client: Ipv4Addr,
}

impl Target {
    pub(crate) fn socket(&self) -> anyhow::Result<UdpSocket> {
        let socket = UdpSocket::bind((self.client, 0)).context("no socket to ask from")?;
        socket.connect(self.server).context("no socket to ask from")?;
        Ok(socket)
    }
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sent: u64,
    /// Answers that are right.
    pub(crate) right: u64,
    pub(crate) wrong: u64,
    pub(crate) lost: u64,
    pub(crate) first_wrong: Option<Wrong>,
    pub(crate) time: Duration,
    /// The longest time without a right answer.
    pub(crate) gap: Duration,
}

impl Tally {
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub(crate) fn rate(&self) -> f64 {
        self.right as f64 / self.time.as_secs_f64()
    }

    pub(crate) fn judge(&mut self, question: &Question, answer: &[u8]) {
        match check(question, answer) {
            Ok(()) => self.right += 1,
            Err(wrong) => {
                self.wrong += 1;
                self.first_wrong.get_or_insert(wrong);
            }
        }
    }
}

/// A question that is under way.
#[derive(Clone, Copy)]
struct Slot {
    id: u16,
    question: usize,
    sent: Option<Instant>,
}

/// One socket with its part of the window.
struct Lane {
    socket: UdpSocket,
    slots: Vec<Slot>,
    free: Vec<usize>,
}

/// Asks with so many questions under way at any time.
pub(crate) fn window(
    target: Target,
    questions: &[Question],
    window: usize,
    time: Duration,
) -> anyhow::Result<Tally> {
    // The low bits of an id say which slot it is of, so there are no more slots than fit.
    let size = (window / LANES).clamp(1, SLOTS);
    let mut lanes = Vec::new();
    for _ in 0..LANES.min(window) {
        let slots = (0..size).map(|_| Slot { id: 0, question: 0, sent: None }).collect();
        lanes.push(Lane { socket: target.socket()?, slots, free: (0..size).collect() });
    }
    let (mut batch, mut tally, mut next) = (Batch::new(), Tally::default(), 0);
    let started = Instant::now();
    let (mut swept, mut answered, mut right) = (started, started, 0);
    loop {
        let now = Instant::now();
        if tally.right > right {
            (answered, right) = (now, tally.right);
        }
        tally.gap = tally.gap.max(now - answered);
        for lane in &mut lanes {
            lane.take(&mut batch, questions, &mut tally)?;
            lane.ask(&mut batch, questions, &mut next, &mut tally, now)?;
        }
        if now - swept > SWEEP {
            swept = now;
            for lane in &mut lanes {
                lane.give_up(now, &mut tally);
            }
        }
        if now - started >= time {
            tally.time = now - started;
            return Ok(tally);
        }
    }
}

/// Slots of a lane at most; an id has as many bits again to tell an old answer from a new one.
const SLOTS: usize = 256;

impl Lane {
    fn take(
        &mut self,
        batch: &mut Batch,
        questions: &[Question],
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        batch.receive(&self.socket, Wait::No).context("the server does not listen any more")?;
        for answer in batch.messages() {
            let Some(&[high, low]) = answer.first_chunk() else {
                tally.wrong += 1;
                tally.first_wrong.get_or_insert(Wrong::Short);
                continue;
            };
            let slot = self.slots.get_mut(usize::from(low));
            let id = u16::from_be_bytes([high, low]);
            // What was given up on and comes late is counted as lost already.
            let Some(slot) = slot.filter(|slot| slot.id == id && slot.sent.is_some()) else {
                continue;
            };
            tally.judge(&questions[slot.question], answer);
            slot.sent = None;
            self.free.push(usize::from(low));
        }
        Ok(())
    }

    fn ask(
        &mut self,
        batch: &mut Batch,
        questions: &[Question],
        next: &mut usize,
        tally: &mut Tally,
        now: Instant,
    ) -> anyhow::Result<()> {
        batch.clear();
        for index in self.free.drain(self.free.len().saturating_sub(BATCH)..) {
            let slot = &mut self.slots[index];
            let low = u16::try_from(index).unwrap_or_default();
            *slot = Slot {
                id: (slot.id & 0xff00).wrapping_add(0x100) | low,
                question: *next,
                sent: Some(now),
            };
            batch.push(slot.id, &questions[*next].query);
            *next = (*next + 1) % questions.len();
            tally.sent += 1;
        }
        batch.send(&self.socket).context("the server does not listen any more")
    }

    fn give_up(&mut self, now: Instant, tally: &mut Tally) {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if slot.sent.is_some_and(|sent| now - sent > PATIENCE) {
                slot.sent = None;
                tally.lost += 1;
                self.free.push(index);
            }
        }
    }
}

/// Asks one question after the other at a fixed rate, and looks for the answer all the time:
/// how long each took, in order.
pub(crate) fn paced(
    target: Target,
    questions: &[Question],
    rate: u32,
    time: Duration,
) -> anyhow::Result<(Tally, Vec<Duration>)> {
    let socket = target.socket()?;
    let (mut batch, mut tally, mut times) = (Batch::new(), Tally::default(), Vec::new());
    let pause = Duration::from_secs(1) / rate;
    let started = Instant::now();
    let mut due = started;
    for (id, question) in (0..=u16::MAX).cycle().zip(questions.iter().cycle()) {
        if due - started >= time {
            break;
        }
        while Instant::now() < due {
            std::hint::spin_loop();
        }
        batch.clear();
        batch.push(id, &question.query);
        let sent = Instant::now();
        batch.send(&socket)?;
        tally.sent += 1;
        let answered = await_id(&mut batch, &socket, id, sent)?;
        match answered {
            Some(answer) => {
                times.push(sent.elapsed());
                tally.judge(question, answer);
            }
            None => tally.lost += 1,
        }
        // After a hiccup the rate goes on from there: no burst makes up for it.
        due = (due + pause).max(Instant::now());
    }
    tally.time = started.elapsed();
    times.sort_unstable();
    Ok((tally, times))
}

fn await_id<'a>(
    batch: &'a mut Batch,
    socket: &UdpSocket,
    id: u16,
    sent: Instant,
) -> anyhow::Result<Option<&'a [u8]>> {
    loop {
        batch.receive(socket, Wait::No).context("the server does not listen any more")?;
        if batch.messages().any(|answer| answer.starts_with(&id.to_be_bytes())) {
            break;
        }
        if sent.elapsed() > PATIENCE {
            return Ok(None);
        }
    }
    Ok(batch.messages().find(|answer| answer.starts_with(&id.to_be_bytes())))
}
