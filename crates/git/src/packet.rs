//! git's packets: four hexadecimal digits of length, then the data (gitprotocol-common).

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::GitError;

/// The end of a list of packets.
pub(crate) const FLUSH: &[u8] = b"0000";

/// The most bytes of data that a packet holds: 65520 with the length.
const DATA_LIMIT: usize = 65516;

/// The most bytes of text in one line to the user, so that a packet holds it with its band.
const LINE_LIMIT: usize = 60_000;

/// One packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Packet {
    /// The end of a list.
    Flush,
    /// Anything else.
    Data(Bytes),
}

/// Takes the first packet off the buffer; none when the buffer does not hold all of it yet.
pub(crate) fn take(buffer: &mut BytesMut) -> Result<Option<Packet>, GitError> {
    let Some(digits) = buffer.first_chunk::<4>() else {
        return Ok(None);
    };
    let length = match length(digits)? {
        0 => {
            let _ = buffer.split_to(4);
            return Ok(Some(Packet::Flush));
        }
        length => length,
    };
    if buffer.len() < length {
        return Ok(None);
    }
    let packet = buffer.split_to(length).freeze();
    Ok(Some(Packet::Data(packet.slice(4..))))
}

fn length(digits: &[u8; 4]) -> Result<usize, GitError> {
    let invalid = || GitError::invalid("a packet does not begin with its length");
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(invalid());
    }
    let text = std::str::from_utf8(digits).map_err(|_| invalid())?;
    let length = usize::from_str_radix(text, 16).map_err(|_| invalid())?;
    match length {
        0 => Ok(0),
        4.. if length <= DATA_LIMIT + 4 => Ok(length),
        _ => Err(invalid()),
    }
}

/// A packet with this data, which must fit.
pub(crate) fn data(parts: &[&[u8]]) -> Bytes {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    assert!(length <= DATA_LIMIT, "a packet's data was split to fit");
    let mut packet = BytesMut::with_capacity(length + 4);
    packet.put_slice(format!("{:04x}", length + 4).as_bytes());
    parts.iter().for_each(|part| packet.put_slice(part));
    packet.freeze()
}

/// One of the three streams that share a connection (gitprotocol-pack, "Packfile Data").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Band {
    /// The answer itself.
    Data = 1,
    /// What the client shows as `remote:` lines.
    Progress = 2,
    /// The last words of a server that gives up.
    Fatal = 3,
}

/// Packets that show this line to the user. Control characters are left out: they are for the
/// user's terminal, not for us.
pub(crate) fn line(band: Band, text: &str) -> Bytes {
    let clean: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let mut packets = BytesMut::new();
    for piece in pieces(clean.trim_end()) {
        packets.put(data(&[&[band as u8], piece.as_bytes(), b"\n"]));
    }
    packets.freeze()
}

/// The text in pieces that fit, at least one.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while rest.len() > LINE_LIMIT {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(LINE_LIMIT));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_packets_as_they_become_whole() {
        let mut buffer = BytesMut::new();
        let mut seen = Vec::new();
        for byte in b"0006a\n0000000bhello w" {
            buffer.put_u8(*byte);
            while let Some(packet) = take(&mut buffer).unwrap() {
                seen.push(packet);
            }
        }
        let data = |text: &'static str| Packet::Data(Bytes::from_static(text.as_bytes()));
        assert_eq!(seen, [data("a\n"), Packet::Flush, data("hello w")]);
    }

    #[test]
    fn refuses_what_is_no_length() {
        for text in [
            "zzzz",
            "0001",
            "0003",
            "ffff",
            "+123",
            "\u{0}\u{0}\u{0}\u{0}",
        ] {
            let mut buffer = BytesMut::from(text.as_bytes());
            assert!(take(&mut buffer).is_err(), "{text:?}");
        }
    }

    #[test]
    fn lines_are_split_and_clean() {
        let mut packets = BytesMut::from(&line(Band::Progress, &"ä".repeat(100_000))[..]);
        let mut text = String::new();
        while let Some(Packet::Data(data)) = take(&mut packets).unwrap() {
            assert_eq!(data[0], 2);
            text += std::str::from_utf8(&data[1..]).unwrap();
        }
        assert!(packets.is_empty());
        assert_eq!(text.replace('\n', ""), "ä".repeat(100_000));
        assert_eq!(
            &line(Band::Progress, "a\u{1b}[2Jb\nc")[..],
            b"000e\x02a [2Jb c\n"
        );
        assert_eq!(&line(Band::Progress, "")[..], b"0006\x02\n");
    }
}
