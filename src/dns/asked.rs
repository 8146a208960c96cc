//! The address that a datagram was sent to, so that the reply leaves from it.
//!
//! A socket on every address of a machine would otherwise answer from whichever the route prefers,
//! and the client, who asked another one, would not take the answer.

use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};

use nix::libc::{in_pktinfo, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, SockaddrIn, SockaddrIn6, SockaddrLike, setsockopt, sockopt,
};

/// How the kernel tells and takes it, by address family.
pub(super) trait Family: Send + 'static {
    /// The kernel's form of a socket address.
    type Address: SockaddrLike + Copy + Send + 'static;
    /// The kernel's form of the address that was asked.
    type Asked: Copy + Send + 'static;

    /// Has the kernel tell it with each datagram.
    fn ask_for_it(socket: &UdpSocket) -> nix::Result<()>;
    /// Room for what the kernel tells with one datagram.
    fn space() -> Vec<u8>;
    fn client(address: Self::Address) -> SocketAddr;
    fn read(message: &ControlMessageOwned) -> Option<Self::Asked>;
    fn address(asked: &Self::Asked) -> IpAddr;
    fn write(asked: &Self::Asked) -> ControlMessage<'_>;
}

/// IPv4: `IP_PKTINFO` (ip(7)).
pub(super) struct V4;
/// IPv6, and IPv4 through it: `IPV6_PKTINFO` (RFC 3542 section 6).
pub(super) struct V6;

impl Family for V4 {
    type Address = SockaddrIn;
    type Asked = in_pktinfo;

    fn ask_for_it(socket: &UdpSocket) -> nix::Result<()> {
        setsockopt(socket, sockopt::Ipv4PacketInfo, &true)
    }

    fn space() -> Vec<u8> {
        nix::cmsg_space!(in_pktinfo)
    }

    fn client(address: SockaddrIn) -> SocketAddr {
        SocketAddrV4::from(address).into()
    }

    fn read(message: &ControlMessageOwned) -> Option<in_pktinfo> {
        let ControlMessageOwned::Ipv4PacketInfo(info) = message else { return None };
        // The way back is the route's to choose.
        Some(in_pktinfo { ipi_ifindex: 0, ..*info })
    }

    fn address(asked: &in_pktinfo) -> IpAddr {
        asked.ipi_spec_dst.s_addr.to_ne_bytes().into()
    }

    fn write(asked: &in_pktinfo) -> ControlMessage<'_> {
        ControlMessage::Ipv4PacketInfo(asked)
    }
}

impl Family for V6 {
    type Address = SockaddrIn6;
    type Asked = in6_pktinfo;

    fn ask_for_it(socket: &UdpSocket) -> nix::Result<()> {
        setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)
    }

    fn space() -> Vec<u8> {
        nix::cmsg_space!(in6_pktinfo)
    }

    fn client(address: SockaddrIn6) -> SocketAddr {
        SocketAddrV6::from(address).into()
    }

    fn read(message: &ControlMessageOwned) -> Option<in6_pktinfo> {
        let ControlMessageOwned::Ipv6PacketInfo(info) = message else { return None };
        // A link-local client's own address says which link it is on.
        Some(in6_pktinfo { ipi6_ifindex: 0, ..*info })
    }

    fn address(asked: &in6_pktinfo) -> IpAddr {
        asked.ipi6_addr.s6_addr.into()
    }

    fn write(asked: &in6_pktinfo) -> ControlMessage<'_> {
        ControlMessage::Ipv6PacketInfo(asked)
    }
}
