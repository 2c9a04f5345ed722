//! The PROXY protocol: a first line, or a first binary block, that says who the client is.
//!
//! Source: "The PROXY protocol, versions 1 & 2" of the HAProxy project. A header is believed only
//! from addresses that the operator named; who they are is decided elsewhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::spec::ProxyVersion;

/// The first twelve bytes of version 2.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, with its end.
const LONGEST_LINE: usize = 107;
/// The longest block of version 2 that is taken; it holds addresses and a few additions.
const LONGEST_BLOCK: usize = 4096;

/// The header that says that a connection comes from `client` to `server`.
pub(crate) fn header(version: ProxyVersion, client: SocketAddr, server: SocketAddr) -> Vec<u8> {
    let (from, to) = same_family(client, server);
    match version {
        ProxyVersion::V1 => {
            let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
            let (from_port, to_port) = (client.port(), server.port());
            format!("PROXY {family} {from} {to} {from_port} {to_port}\r\n").into_bytes()
        }
        ProxyVersion::V2 => {
            let mut header = SIGNATURE.to_vec();
            let (family, addresses) = match (from, to) {
                (IpAddr::V4(from), IpAddr::V4(to)) => (0x11, [from.octets(), to.octets()].concat()),
                (from, to) => (0x21, [mapped(from).octets(), mapped(to).octets()].concat()),
            };
            let length = addresses.len() as u16 + 4;
            header.extend([0x21, family]);
            header.extend(length.to_be_bytes());
            header.extend(addresses);
            header.extend(client.port().to_be_bytes());
            header.extend(server.port().to_be_bytes());
            header
        }
    }
}

fn same_family(client: SocketAddr, server: SocketAddr) -> (IpAddr, IpAddr) {
    match (client.ip().to_canonical(), server.ip().to_canonical()) {
        (from @ IpAddr::V4(_), to @ IpAddr::V4(_)) => (from, to),
        (from, to) => (mapped(from).into(), mapped(to).into()),
    }
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// What the first bytes of a connection are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// More bytes are needed.
    Partial,
    /// A header of so many bytes; without address when the proxy speaks for itself.
    Header {
        length: usize,
        client: Option<SocketAddr>,
    },
    /// No header, or a broken one.
    Bad,
}

/// Reads the header at the start of `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    let shared = bytes.len().min(SIGNATURE.len());
    if bytes[..shared] == SIGNATURE[..shared] {
        return if bytes.len() < 16 {
            Parsed::Partial
        } else {
            parse_block(bytes)
        };
    }
    parse_line(bytes)
}

fn parse_block(bytes: &[u8]) -> Parsed {
    let length = 16 + usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if bytes[12] >> 4 != 2 || length > LONGEST_BLOCK {
        return Parsed::Bad;
    }
    if bytes.len() < length {
        return Parsed::Partial;
    }
    let body = &bytes[16..length];
    let client = match (bytes[12] & 0xf, bytes[13]) {
        (0, _) => None,
        (1, 0x11) if body.len() >= 12 => Some(block_address::<4>(body, 8)),
        (1, 0x21) if body.len() >= 36 => Some(block_address::<16>(body, 32)),
        (1, 0x11 | 0x21) => return Parsed::Bad,
        (1, _) => None,
        _ => return Parsed::Bad,
    };
    Parsed::Header { length, client }
}

fn block_address<const N: usize>(body: &[u8], port_at: usize) -> SocketAddr {
    let port = u16::from_be_bytes([body[port_at], body[port_at + 1]]);
    let ip = match <[u8; 4]>::try_from(&body[..N]) {
        Ok(four) => IpAddr::V4(Ipv4Addr::from(four)),
        Err(_) => {
            let mut sixteen = [0; 16];
            sixteen.copy_from_slice(&body[..16]);
            IpAddr::V6(Ipv6Addr::from(sixteen)).to_canonical()
        }
    };
    SocketAddr::new(ip, port)
}

fn parse_line(bytes: &[u8]) -> Parsed {
    let start = b"PROXY ";
    let shared = bytes.len().min(start.len());
    if bytes[..shared] != start[..shared] {
        return Parsed::Bad;
    }
    let window = &bytes[..bytes.len().min(LONGEST_LINE)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < LONGEST_LINE {
            Parsed::Partial
        } else {
            Parsed::Bad
        };
    };
    let length = end + 2;
    let Ok(line) = std::str::from_utf8(&bytes[start.len()..end]) else {
        return Parsed::Bad;
    };
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["UNKNOWN", ..] => Parsed::Header {
            length,
            client: None,
        },
        [family @ ("TCP4" | "TCP6"), from, to, from_port, to_port] => {
            let client = line_address(family, from, from_port);
            let server = line_address(family, to, to_port);
            match (client, server) {
                (Some(client), Some(_)) => Parsed::Header {
                    length,
                    client: Some(client),
                },
                _ => Parsed::Bad,
            }
        }
        _ => Parsed::Bad,
    }
}

fn line_address(family: &str, ip: &str, port: &str) -> Option<SocketAddr> {
    let ip: IpAddr = match family {
        "TCP4" => IpAddr::V4(ip.parse().ok()?),
        _ => IpAddr::V6(ip.parse().ok()?).to_canonical(),
    };
    Some(SocketAddr::new(ip, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let cases = [
            ("1.2.3.4:5", "6.7.8.9:10", "1.2.3.4:5"),
            ("[2001:db8::1]:5", "[2001:db8::2]:10", "[2001:db8::1]:5"),
            ("1.2.3.4:5", "[2001:db8::2]:10", "1.2.3.4:5"),
        ];
        for (client, server, read) in cases {
            for version in [ProxyVersion::V1, ProxyVersion::V2] {
                let mut bytes = header(version, client.parse().unwrap(), server.parse().unwrap());
                let length = bytes.len();
                for cut in 0..length {
                    assert_eq!(parse(&bytes[..cut]), Parsed::Partial, "{version:?} {cut}");
                }
                bytes.extend(b"GET / HTTP/1.1\r\n\r\n");
                let client = Some(read.parse().unwrap());
                assert_eq!(
                    parse(&bytes),
                    Parsed::Header { length, client },
                    "{version:?}"
                );
            }
        }
    }

    #[test]
    fn bad_headers() {
        let long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
        let cases: &[&[u8]] = &[
            b"GET / HTTP/1.1\r\n\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 99999 2\r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
            b"PROXY \xff\xff\r\n",
            b"\r\n\r\n\0\r\nQUIT\n\x11\x11\0\x0c000000000000",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04\0\0\0\0",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
            b"\r\n\r\n\0\r\nQUIT\n\x2f\x11\0\0",
            &long,
        ];
        for bytes in cases {
            assert_eq!(
                parse(bytes),
                Parsed::Bad,
                "{}",
                String::from_utf8_lossy(bytes)
            );
        }
    }

    #[test]
    fn a_proxy_may_speak_for_itself() {
        let cases: &[&[u8]] = &[b"PROXY UNKNOWN\r\n", b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0"];
        for bytes in cases {
            let expected = Parsed::Header {
                length: bytes.len(),
                client: None,
            };
            assert_eq!(parse(bytes), expected);
        }
    }
}
