//! Values with a form of their own: durations, sizes, ports and the like.
//!
//! Each is read from the text that the file has, once, into its type; what is wrong comes back as a
//! sentence and a hint, without a place.

use std::time::Duration;

use yaml::{Node, Value};

use crate::project::{Expose, Protocol, Published, Restart};

/// What is wrong with a value, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) message: String,
    pub(crate) hint: String,
}

pub(crate) type Read<T> = Result<T, Wrong>;

fn wrong<T>(text: &str, what: &str, hint: &str) -> Read<T> {
    let short: String = text.chars().take(80).collect();
    Err(Wrong {
        message: format!("`{short}` is not {what}"),
        hint: hint.to_owned(),
    })
}

/// A duration: numbers with `h`, `m`, `s`, `ms`, `us`, `ns` (specification, "Specifying durations").
pub(crate) fn duration(text: &str) -> Read<Duration> {
    const HINT: &str = "durations look like `90s`, `1m30s` or `500ms`";
    let mut nanos = 0_f64;
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return wrong(text, "a duration", HINT);
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, unit) = rest.split_at(end.unwrap_or(rest.len()));
        let end = unit.find(|c: char| c.is_ascii_digit() || c == '.');
        let (unit, after) = unit.split_at(end.unwrap_or(unit.len()));
        let factor = match unit {
            "h" => 3600e9,
            "m" => 60e9,
            "s" => 1e9,
            "ms" => 1e6,
            "us" | "µs" => 1e3,
            "ns" => 1.0,
            "" => {
                let hint = format!("say which unit: `{number}s` for seconds");
                return wrong(text, "a duration", &hint);
            }
            _ => return wrong(text, "a duration", HINT),
        };
        let Ok(number) = number.parse::<f64>() else {
            return wrong(text, "a duration", HINT);
        };
        nanos += number * factor;
        rest = after;
    }
    // A hundred years.
    match nanos.is_finite() && nanos < 3.2e18 {
        true => Ok(Duration::from_nanos(nanos.round() as u64)),
        false => wrong(text, "a duration", "it is too long"),
    }
}

/// A duration as docker-compose 1.29 writes it: in its largest whole unit.
pub(crate) fn duration_text(duration: Duration) -> String {
    let mut number = duration.as_nanos();
    let mut unit = "ns";
    for (factor, next) in [
        (1000, "us"),
        (1000, "ms"),
        (1000, "s"),
        (60, "m"),
        (60, "h"),
    ] {
        if !number.is_multiple_of(factor) {
            break;
        }
        number /= factor;
        unit = next;
    }
    format!("{number}{unit}")
}

/// Bytes: a number with `b`, `k`, `m`, `g` or `t`, each also with `b` or `ib` behind it, in powers of
/// 1024 (specification, "Specifying byte values"). A number alone is bytes.
pub(crate) fn bytes(text: &str) -> Read<i64> {
    const HINT: &str = "sizes look like `512m`, `1g` or `100kb`";
    let text = text.trim();
    let end = text.find(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let factor: f64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" | "kib" => 1024.0,
        "m" | "mb" | "mib" => 1024.0 * 1024.0,
        "g" | "gb" | "gib" => 1024.0 * 1024.0 * 1024.0,
        "t" | "tb" | "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return wrong(text, "a size", HINT),
    };
    let Ok(number) = number.parse::<f64>() else {
        return wrong(text, "a size", HINT);
    };
    let bytes = number * factor;
    match bytes.is_finite() && (-1.0..9e18).contains(&bytes) {
        true => Ok(bytes as i64),
        false => wrong(text, "a size", HINT),
    }
}

/// Microseconds: a number, or a duration.
pub(crate) fn microseconds(text: &str) -> Read<i64> {
    match text.trim().parse() {
        Ok(number) => Ok(number),
        Err(_) => Ok(i64::try_from(duration(text)?.as_micros()).unwrap_or(i64::MAX)),
    }
}

/// A whole number, also `0o17`, `017` and `0x1f`.
pub(crate) fn integer(text: &str) -> Read<i64> {
    match yaml::plain(text.trim(), yaml::Dialect::Compose) {
        Value::Int(number, _) => Ok(number),
        _ => wrong(text, "a whole number", "write digits only"),
    }
}

/// A number.
pub(crate) fn number(text: &str) -> Read<f64> {
    match text.trim().parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => wrong(text, "a number", "write digits, with a `.` for fractions"),
    }
}

/// A boolean, also `yes`, `on`, `no`, `off`, `y` and `n`.
pub(crate) fn boolean(text: &str) -> Read<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" => Ok(true),
        "false" | "no" | "off" | "n" => Ok(false),
        _ => wrong(text, "a boolean", "write `true` or `false`"),
    }
}

/// `no`, `always`, `unless-stopped`, `on-failure[:n]`.
pub(crate) fn restart(text: &str) -> Read<Restart> {
    match text.split_once(':') {
        None => match text {
            "no" | "" | "false" => Ok(Restart::No),
            "always" => Ok(Restart::Always),
            "unless-stopped" => Ok(Restart::UnlessStopped),
            "on-failure" => Ok(Restart::OnFailure(None)),
            _ => unknown_restart(text),
        },
        Some(("on-failure", number)) => match number.parse() {
            Ok(number) => Ok(Restart::OnFailure(Some(number))),
            Err(_) => unknown_restart(text),
        },
        Some(_) => unknown_restart(text),
    }
}

fn unknown_restart(text: &str) -> Read<Restart> {
    let words = ["no", "always", "unless-stopped", "on-failure"];
    let hint = match yaml::nearest(text, words) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "write `no`, `always`, `unless-stopped`, `on-failure` or `on-failure:5`".to_owned(),
    };
    wrong(text, "a restart policy", &hint)
}

/// A short port: `[[ip:][published[-published]]:]target[-target][/protocol]`, as several ports when
/// the target is a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShortPort {
    pub(crate) target: u16,
    pub(crate) published: Published,
    pub(crate) host_ip: Option<String>,
    pub(crate) protocol: Option<Protocol>,
}

const PORT_HINT: &str =
    "ports look like `80`, `8080:80`, `127.0.0.1:8080:80/tcp` or `8000-8010:80-90`";

/// Reads a short port.
pub(crate) fn ports(text: &str) -> Read<Vec<ShortPort>> {
    let (ports, protocol) = with_protocol(text)?;
    let (outside, target) = match ports.rsplit_once(':') {
        Some((outside, target)) => (Some(outside), target),
        None => (None, ports),
    };
    let (first, last) = port_range(target, text)?;
    let (host_ip, published) = match outside {
        None => (None, ""),
        Some(outside) => host_and_port(outside, text)?,
    };
    let port = |target: u16, published: Published| ShortPort {
        target,
        published,
        host_ip: host_ip.map(str::to_owned),
        protocol,
    };
    if published.is_empty() {
        return Ok((first..=last)
            .map(|target| port(target, Published::Ephemeral))
            .collect());
    }
    let (from, to) = port_range(published, text)?;
    if first == last && from < to {
        return Ok(vec![port(first, Published::Range(from, to))]);
    }
    if to - from != last - first {
        return wrong(text, "a port", "both ranges must have the same length");
    }
    let pairs = (first..=last).zip(from..=to);
    Ok(pairs
        .map(|(target, published)| port(target, Published::Port(published)))
        .collect())
}

fn host_and_port<'t>(outside: &'t str, text: &str) -> Read<(Option<&'t str>, &'t str)> {
    let (host, port) = match outside.rsplit_once(':') {
        Some((host, port)) => (host, port),
        None => return Ok((None, outside)),
    };
    let inner = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match inner.unwrap_or(host).parse::<std::net::IpAddr>() {
        Ok(_) => Ok((Some(inner.unwrap_or(host)), port)),
        Err(_) => wrong(text, "a port", PORT_HINT),
    }
}

fn with_protocol(text: &str) -> Read<(&str, Option<Protocol>)> {
    match text.split_once('/') {
        None => Ok((text, None)),
        Some((ports, name)) => Ok((ports, Some(protocol(name)?))),
    }
}

/// `tcp`, `udp`, `sctp`
pub(crate) fn protocol(text: &str) -> Read<Protocol> {
    match text.to_ascii_lowercase().as_str() {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        "sctp" => Ok(Protocol::Sctp),
        _ => wrong(text, "a protocol", "write `tcp`, `udp` or `sctp`"),
    }
}

/// `first[-last]`, both from 1 to 65535.
fn port_range(range: &str, text: &str) -> Read<(u16, u16)> {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let port = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits
            .then(|| text.parse::<u16>().ok())
            .flatten()
            .filter(|port| *port > 0)
    };
    match (port(first), port(last)) {
        (Some(first), Some(last)) if first <= last => Ok((first, last)),
        (Some(_), Some(_)) => wrong(text, "a port", "a range begins with its smaller number"),
        _ => wrong(text, "a port", PORT_HINT),
    }
}

/// `port[-port]` on the host.
pub(crate) fn published(text: &str) -> Read<Published> {
    if text.is_empty() {
        return Ok(Published::Ephemeral);
    }
    Ok(match port_range(text, text)? {
        (first, last) if first == last => Published::Port(first),
        (first, last) => Published::Range(first, last),
    })
}

/// `port[-port][/protocol]`
pub(crate) fn expose(text: &str) -> Read<Expose> {
    let (ports, protocol) = with_protocol(text)?;
    let (first, last) = port_range(ports, text)?;
    Ok(Expose {
        first,
        last,
        protocol: protocol.unwrap_or_default(),
    })
}

/// A line split into words as a shell would, without expanding anything.
pub(crate) fn words(text: &str) -> Read<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                if !quoted(c, &mut characters, word) {
                    return wrong(
                        text,
                        "a command",
                        "a quote that is opened in it is never closed",
                    );
                }
            }
            '\\' => match characters.next() {
                Some('\n') => {}
                Some(next) => word.get_or_insert_default().push(next),
                None => return wrong(text, "a command", "it ends with a lone `\\`"),
            },
            c if c.is_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn quoted(quote: char, characters: &mut std::str::Chars<'_>, word: &mut String) -> bool {
    while let Some(c) = characters.next() {
        match c {
            c if c == quote => return true,
            '\\' if quote == '"' => match characters.next() {
                Some(next @ ('"' | '\\' | '$' | '`')) => word.push(next),
                Some(next) => word.extend(['\\', next]),
                None => return false,
            },
            c => word.push(c),
        }
    }
    false
}

/// A scalar as text; nothing for collections and null.
pub(crate) fn scalar_text(node: &Node) -> Option<String> {
    match &node.value {
        Value::Float(number, Some(raw)) if !number.is_finite() => Some(raw.to_string()),
        _ => node.scalar_text().map(|text| text.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in [
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("1h", 3_600_000),
            ("1.5s", 1500),
            ("2h1m0.5s", 7_260_500),
            ("40ms", 40),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "10", "s", "1x", "1s5", "9999999999999h", "1..5s", "-1s"] {
            assert!(duration(text).is_err(), "{text}");
        }
        for (millis, text) in [
            (90_000, "90s"),
            (60_000, "1m"),
            (1500, "1500ms"),
            (7_200_000, "2h"),
        ] {
            assert_eq!(duration_text(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("10", 10),
            ("1b", 1),
            ("1k", 1024),
            ("2KB", 2048),
            ("1.5m", 1_572_864),
            ("1GiB", 1 << 30),
            ("-1", -1),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "m", "1x", "-2", "1e40", "1 2"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn short_ports() {
        let show = |text: &str| match ports(text) {
            Err(wrong) => wrong.message,
            Ok(ports) => {
                let ports: Vec<_> = ports
                    .iter()
                    .map(|port| {
                        let published = match port.published {
                            Published::Ephemeral => "*".to_owned(),
                            Published::Port(port) => port.to_string(),
                            Published::Range(first, last) => format!("{first}-{last}"),
                        };
                        let ip = port.host_ip.clone().unwrap_or_default();
                        format!("{ip}|{published}|{}|{:?}", port.target, port.protocol)
                    })
                    .collect();
                ports.join(" ")
            }
        };
        for (text, expected) in [
            ("80", "|*|80|None"),
            ("8080:80", "|8080|80|None"),
            ("53:53/udp", "|53|53|Some(Udp)"),
            ("127.0.0.1:80:80", "127.0.0.1|80|80|None"),
            ("127.0.0.1::80", "127.0.0.1|*|80|None"),
            ("[::1]:80:80", "::1|80|80|None"),
            ("::1:80:80", "::1|80|80|None"),
            ("1-2", "|*|1|None |*|2|None"),
            ("11-12:1-2", "|11|1|None |12|2|None"),
            ("11-12:1", "|11-12|1|None"),
            (":80", "|*|80|None"),
            ("11-13:1-2", "`11-13:1-2` is not a port"),
            ("x", "`x` is not a port"),
            ("0:0", "`0:0` is not a port"),
            ("99999", "`99999` is not a port"),
            ("2-1", "`2-1` is not a port"),
            ("80/icmp", "`icmp` is not a protocol"),
            ("a:80:80", "`a:80:80` is not a port"),
        ] {
            assert_eq!(show(text), expected, "{text}");
        }
    }

    #[test]
    fn commands() {
        for (text, expected) in [
            ("a b", vec!["a", "b"]),
            ("  a  ", vec!["a"]),
            ("sh -c 'a \"b\" $c'", vec!["sh", "-c", "a \"b\" $c"]),
            ("a\\ b \"c\\\"d\\n\" ''", vec!["a b", "c\"d\\n", ""]),
            ("", vec![]),
        ] {
            assert_eq!(words(text).unwrap(), expected, "{text}");
        }
        for text in ["'a", "\"a", "a\\"] {
            assert!(words(text).is_err(), "{text}");
        }
    }
}
