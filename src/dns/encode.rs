//! From a reply to octets: names compressed, whole records only, OPT always.

use hickory_proto::ProtoError;
use hickory_proto::op::Query;
use hickory_proto::rr::Record;
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};

use super::extended::EXTENDED_ERROR;
use super::request::{HEADER, OPT, Request, flag};
use super::respond::{MAX_UDP_PAYLOAD, OPT_RECORD, OwnEdns, Reply};

/// The code of a reply that cannot be made (RFC 1035 section 4.1.1).
pub(super) const SERVFAIL: u8 = 2;
/// How long a connection may stand idle, as RFC 7828 section 3.1 counts: tenths of a second.
pub(super) const IDLE_TENTHS: u16 = 100;
/// The EDNS option `edns-tcp-keepalive` (RFC 7828).
pub(super) const KEEPALIVE: u16 = 11;
/// A pointer to the question's name (RFC 1035 section 4.1.4).
const QUESTION_POINTER: u16 = 0xc00c;
/// Octets of a record whose owner is a pointer, without its RDATA.
pub(super) const RECORD: usize = 12;

/// The header's second word of a reply to a request with these flags.
pub(super) fn flags(request: u16, reply: &Reply, truncated: bool) -> u16 {
    let bit = |flag, set| if set { flag } else { 0 };
    flag::QR
        | request & (flag::OPCODE | flag::RD | flag::CD)
        | bit(flag::AA, reply.authoritative)
        | bit(flag::RA, reply.recursion_available)
        | bit(flag::TC, truncated)
        | u16::from(reply.code.low())
}

/// Puts a header without any section into `out`: the reply to what cannot be read.
pub(super) fn bare(id: u16, request_flags: u16, code: u8, out: &mut Vec<u8>) {
    let copied = request_flags & (flag::OPCODE | flag::RD);
    out.clear();
    out.extend(id.to_be_bytes());
    out.extend((flag::QR | copied | u16::from(code)).to_be_bytes());
    out.extend([0; HEADER - 4]);
}

/// Puts a reply of at most `limit` octets into `out`. If it cannot be encoded: SERVFAIL alone.
pub(super) fn encode(
    reply: &Reply,
    request: &Request,
    query: &Query,
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), ProtoError> {
    let encoded = sections(reply, request, query, limit, out);
    if encoded.is_err() {
        bare(request.id, request.flags, SERVFAIL, out);
    }
    encoded
}

/// Records that do not fit are left out, and TC says so: some clients do not come back over TCP for
/// an answer without any record.
fn sections(
    reply: &Reply,
    request: &Request,
    query: &Query,
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), ProtoError> {
    out.clear();
    let opt = reply.edns.as_ref().map(|edns| opt(edns, reply.code.high())).unwrap_or_default();
    let (mut answers, mut authorities, mut truncated) = (0_u16, 0_u16, false);
    let mut encoder = BinEncoder::new(out);
    encoder.set_max_size(u16::try_from(limit.saturating_sub(opt.len())).unwrap_or(u16::MAX));
    encoder.emit_vec(&[0; HEADER])?;
    query.emit(&mut encoder)?;
    for record in &reply.answers {
        truncated = !fits(record, query, &mut encoder);
        if truncated {
            break;
        }
        answers += 1;
    }
    if let Some(record) = reply.authority.as_ref().filter(|_| !truncated) {
        truncated = !fits(record, query, &mut encoder);
        authorities += u16::from(!truncated);
    }
    drop(encoder);
    out.extend(&opt);
    let words = [
        request.id,
        flags(request.flags, reply, truncated),
        1,
        answers,
        authorities,
        u16::from(reply.edns.is_some()),
    ];
    for (octets, word) in out.chunks_exact_mut(2).zip(words) {
        octets.copy_from_slice(&word.to_be_bytes());
    }
    Ok(())
}

/// Writes a record, or nothing if there is no room for all of it.
fn fits(record: &Record, query: &Query, encoder: &mut BinEncoder) -> bool {
    let start = encoder.offset();
    if write(record, query, encoder).is_ok() {
        return true;
    }
    encoder.set_offset(start);
    encoder.trim();
    false
}

/// hickory compresses a bounded number of names in a message, so the owner that nearly every
/// record has is written here.
fn write(record: &Record, query: &Query, encoder: &mut BinEncoder) -> Result<(), ProtoError> {
    if record.name == *query.name() {
        encoder.emit_u16(QUESTION_POINTER)?;
    } else {
        record.name.emit(encoder)?;
    }
    encoder.emit_u16(record.record_type().into())?;
    encoder.emit_u16(record.dns_class.into())?;
    encoder.emit_u32(record.ttl)?;
    let length = encoder.place::<u16>()?;
    record.data.emit(encoder)?;
    let octets = u16::try_from(encoder.len_since_place(&length))
        .map_err(|_| ProtoError::Message("RDATA longer than its length can say"))?;
    length.replace(encoder, octets)
}

/// Our OPT record (RFC 6891 section 6.1.2).
fn opt(edns: &OwnEdns, high_code: u8) -> Vec<u8> {
    let mut options = Vec::new();
    let mut option = |code: u16, data: &[u8]| {
        // A text of ours is far shorter than what the length can say.
        let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
        options.extend([code.to_be_bytes(), length.to_be_bytes()].concat());
        options.extend(data);
    };
    if edns.keepalive {
        option(KEEPALIVE, &IDLE_TENTHS.to_be_bytes());
    }
    if let Some(error) = &edns.error {
        option(EXTENDED_ERROR, &error.octets());
    }
    let length = u16::try_from(options.len()).unwrap_or(u16::MAX);
    let mut record = plain_opt(edns.dnssec_ok).to_vec();
    record[5] = high_code;
    record[9..].copy_from_slice(&length.to_be_bytes());
    record.extend(options);
    record
}

/// The same without options, for a code that the header can say.
pub(super) fn plain_opt(dnssec_ok: bool) -> [u8; OPT_RECORD] {
    let [high, low] = MAX_UDP_PAYLOAD.to_be_bytes();
    let [of_type, opt] = OPT.to_be_bytes();
    [0, of_type, opt, high, low, 0, 0, u8::from(dnssec_ok) << 7, 0, 0, 0]
}
