//! Many datagrams with one system call, in buffers that are made once.

use std::io::{IoSlice, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg, sendmsg,
};

/// Datagrams a call at most.
pub(crate) const BATCH: usize = 32;
/// Bytes of one at most: no server here sends more than an Ethernet frame holds.
const SIZE: usize = 1500;

/// Whether to wait for a datagram.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    ForOne,
    No,
}

/// The datagrams that came, or that are to be sent.
pub(crate) struct Batch {
    // The two cannot be one: a call leaves its pointers to addresses in them.
    inward: MultiHeaders<SockaddrIn>,
    outward: MultiHeaders<SockaddrIn>,
    buffers: Box<[[u8; SIZE]; BATCH]>,
    lengths: [usize; BATCH],
    peers: [Option<SockaddrIn>; BATCH],
    count: usize,
}

impl Batch {
    #[expect(clippy::large_stack_arrays, reason = "it is made once")]
    pub(crate) fn new() -> Self {
        Self {
            inward: MultiHeaders::preallocate(BATCH, None),
            outward: MultiHeaders::preallocate(BATCH, None),
            buffers: Box::new([[0; SIZE]; BATCH]),
            lengths: [0; BATCH],
            peers: [None; BATCH],
            count: 0,
        }
    }

    /// Takes what has come, in place of what was there; gives how many.
    pub(crate) fn receive(&mut self, socket: &UdpSocket, wait: Wait) -> nix::Result<usize> {
        let flags = match wait {
            Wait::ForOne => MsgFlags::MSG_WAITFORONE,
            Wait::No => MsgFlags::MSG_DONTWAIT,
        };
        self.count = 0;
        let mut slices = self.buffers.each_mut().map(|buffer| [IoSliceMut::new(buffer)]);
        let slices = slices.iter_mut();
        let came = match recvmmsg(socket.as_raw_fd(), &mut self.inward, slices, flags, None) {
            Ok(came) => came,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(0),
            Err(error) => return Err(error),
        };
        for message in came {
            self.lengths[self.count] = message.bytes;
            self.peers[self.count] = message.address;
            self.count += 1;
        }
        Ok(self.count)
    }

    /// The datagrams that came.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &[u8]> {
        self.buffers.iter().zip(self.lengths).take(self.count).map(|(buffer, n)| &buffer[..n])
    }

    /// Puts answers, all but their ids, in the place of the questions that came.
    pub(crate) fn answer<'a>(&mut self, find: impl Fn(&[u8]) -> &'a [u8]) {
        for (buffer, length) in self.buffers.iter_mut().zip(&mut self.lengths).take(self.count) {
            let answer = find(&buffer[..*length]);
            buffer[2..answer.len()].copy_from_slice(&answer[2..]);
            *length = answer.len();
        }
    }

    /// Forgets what is there, to be filled anew.
    pub(crate) fn clear(&mut self) {
        self.count = 0;
    }

    /// Adds a datagram with an id of its own to the peer of a connected socket. There must be
    /// room.
    pub(crate) fn push(&mut self, id: u16, message: &[u8]) {
        let buffer = &mut self.buffers[self.count][..message.len()];
        buffer.copy_from_slice(message);
        buffer[..2].copy_from_slice(&id.to_be_bytes());
        self.lengths[self.count] = message.len();
        self.peers[self.count] = None;
        self.count += 1;
    }

    /// Sends all there is. What the kernel did not take is not counted here: whoever waits for
    /// it finds it missing.
    pub(crate) fn send(&mut self, socket: &UdpSocket) -> nix::Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        let (buffers, lengths) = (&self.buffers, &self.lengths);
        let slices: [[IoSlice; 1]; BATCH] =
            std::array::from_fn(|index| [IoSlice::new(&buffers[index][..lengths[index]])]);
        let (slices, peers) = (&slices[..self.count], &self.peers[..self.count]);
        let none = MsgFlags::empty();
        match sendmmsg(socket.as_raw_fd(), &mut self.outward, slices, peers, [], none) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Sends all there is, which must be of one length and to the peer of a connected socket, as
    /// one piece that the kernel cuts into datagrams (`UDP_SEGMENT`): much less work for the
    /// sender, and the same for who receives them.
    pub(crate) fn send_as_one(&self, socket: &UdpSocket) -> nix::Result<()> {
        let buffers = self.buffers.iter().zip(self.lengths).take(self.count);
        let slices: Vec<_> = buffers.map(|(buffer, n)| IoSlice::new(&buffer[..n])).collect();
        let Ok(length) = u16::try_from(self.lengths[0]) else { return Err(Errno::EMSGSIZE) };
        let cut = [ControlMessage::UdpGsoSegments(&length)];
        match sendmsg::<()>(socket.as_raw_fd(), &slices, &cut, MsgFlags::empty(), None) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
