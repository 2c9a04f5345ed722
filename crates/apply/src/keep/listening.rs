//! Where somebody listens on this machine, by the kernel's tables (proc(5), `/proc/net/tcp`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const LISTENING: &str = "0A";

/// All addresses with a listener. What cannot be read has none.
pub(super) fn all() -> Vec<SocketAddr> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let texts = tables
        .iter()
        .filter_map(|path| fs_err::read_to_string(path).ok());
    let mut found: Vec<SocketAddr> = texts.flat_map(|text| addresses(&text)).collect();
    found.sort();
    found.dedup();
    found
}

fn addresses(table: &str) -> Vec<SocketAddr> {
    let listening = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, _, state) = (fields.next()?, fields.next()?, fields.next()?);
        (state == LISTENING).then(|| address(local)).flatten()
    };
    table.lines().skip(1).filter_map(listening).collect()
}

/// `0100007F:1F90`: words of 32 bits in the machine's byte order.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = ip.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for at in 0..4 {
                bytes[at * 4..at * 4 + 4].copy_from_slice(&word(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_of_both_families() {
        let table = "\
            sl  local_address rem_address   st tx_queue rx_queue\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000\n\
            1: 00000000:0050 00000000:0000 0A 00000000:00000000\n\
            2: 0100007F:A000 0100007F:1F90 01 00000000:00000000\n\
            3: 00000000000000000000000001000000:01BB 00000000000000000000000000000000:0000 0A\n\
            4: junk\n";
        let found: Vec<_> = addresses(table).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["127.0.0.1:8080", "0.0.0.0:80", "[::1]:443"]);
    }

    #[test]
    fn a_listener_of_this_process_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(all().contains(&listener.local_addr().unwrap()));
    }
}
