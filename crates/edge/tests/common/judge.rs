//! A strict reader of HTTP/1.1 requests, written from the standard (RFC 9110, 9112) and sharing no
//! code with the edge: it says whether bytes that reached a target are what a proxy may send.
//!
//! Stricter than a server has to be: no bare line feeds, no empty lines ahead, no chunk extensions,
//! one way to say where a body ends. In targets it allows the marks that browsers and curl send raw.

/// A request that may be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Judged {
    pub method: String,
    pub target: String,
    /// Names in lower case.
    pub fields: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    /// How many bytes of the input it took.
    pub length: usize,
}

/// What bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Whole(Judged),
    /// Good as far as it goes.
    Partial,
    Forbidden(String),
}

/// Judges the first request of the bytes.
pub fn judge(bytes: &[u8]) -> Verdict {
    match read(bytes) {
        Ok(Some(judged)) => Verdict::Whole(judged),
        Ok(None) => Verdict::Partial,
        Err(why) => Verdict::Forbidden(why),
    }
}

/// All requests of a connection, and whether something unfinished follows the last.
pub fn judge_all(mut bytes: &[u8]) -> Result<(Vec<Judged>, bool), String> {
    let mut all = Vec::new();
    while let Some(judged) = read(bytes)? {
        bytes = &bytes[judged.length..];
        all.push(judged);
    }
    Ok((all, !bytes.is_empty()))
}

impl std::fmt::Debug for Judged {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "{} {}", self.method, self.target)?;
        for (name, value) in &self.fields {
            write!(
                to,
                " | {name}: {}",
                String::from_utf8_lossy(value).escape_debug()
            )?;
        }
        write!(to, " | {:?}", String::from_utf8_lossy(&self.body))
    }
}

impl Judged {
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        let found = self.fields.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_slice())
    }

    fn all(&self, name: &str) -> Vec<&[u8]> {
        let found = self.fields.iter().filter(|(own, _)| own == name);
        found.map(|(_, value)| value.as_slice()).collect()
    }
}

type Read<T> = Result<Option<T>, String>;

fn read(bytes: &[u8]) -> Read<Judged> {
    let mut rest = bytes;
    let Some(line) = take_line(&mut rest)? else {
        return Ok(None);
    };
    let (method, target) = request_line(line)?;
    let Some(fields) = fields(&mut rest)? else {
        return Ok(None);
    };
    let mut judged = Judged {
        method,
        target,
        fields,
        body: Vec::new(),
        length: 0,
    };
    check_host(&judged)?;
    check_connection(&judged)?;
    let Some(body) = body(&judged, &mut rest)? else {
        return Ok(None);
    };
    judged.body = body;
    judged.length = bytes.len() - rest.len();
    Ok(Some(judged))
}

/// A line without its end; both characters must be there, and neither elsewhere.
fn take_line<'b>(rest: &mut &'b [u8]) -> Read<&'b [u8]> {
    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
        if rest.iter().rev().skip(1).any(|byte| *byte == b'\r') {
            return Err("a bare carriage return".to_owned());
        }
        return Ok(None);
    };
    let (line, after) = (&rest[..end], &rest[end + 1..]);
    let Some(line) = line.strip_suffix(b"\r") else {
        return Err("a bare line feed".to_owned());
    };
    if line.contains(&b'\r') {
        return Err("a bare carriage return".to_owned());
    }
    *rest = after;
    Ok(Some(line))
}

fn request_line(line: &[u8]) -> Result<(String, String), String> {
    let text = std::str::from_utf8(line).map_err(|_| "a request line beyond ASCII")?;
    let words: Vec<&str> = text.split(' ').collect();
    let [method, target, "HTTP/1.1"] = words[..] else {
        return Err(format!("no request line: {text:?}"));
    };
    if method.is_empty() || !method.bytes().all(is_token) || method == "CONNECT" {
        return Err(format!("no method: {method:?}"));
    }
    let fits = |byte: u8| byte.is_ascii_graphic() && !b"<>#".contains(&byte);
    let form = target.starts_with('/') || (target == "*" && method == "OPTIONS");
    if !form || !target.bytes().all(fits) {
        return Err(format!("no target: {target:?}"));
    }
    Ok((method.to_owned(), target.to_owned()))
}

fn fields(rest: &mut &[u8]) -> Read<Vec<(String, Vec<u8>)>> {
    let mut fields = Vec::new();
    loop {
        let Some(line) = take_line(rest)? else {
            return Ok(None);
        };
        if line.is_empty() {
            return Ok(Some(fields));
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return Err(format!("no field: {line:?}"));
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.is_empty() || !name.iter().copied().all(is_token) {
            return Err(format!(
                "no field name: {:?}",
                String::from_utf8_lossy(name)
            ));
        }
        let fits = |byte: &u8| *byte == b'\t' || *byte >= b' ' && *byte != 0x7f;
        if !value.iter().all(fits) {
            return Err(format!("no value: {:?}", String::from_utf8_lossy(value)));
        }
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        fields.push((name, value.to_vec()));
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// RFC 9112, section 3.2: exactly one, of the form `host[:port]`.
fn check_host(judged: &Judged) -> Result<(), String> {
    let [host] = judged.all("host")[..] else {
        return Err(format!("{} hosts", judged.all("host").len()));
    };
    let (host, port) = match host.iter().rposition(|byte| *byte == b':') {
        Some(colon) if !host[colon..].contains(&b']') => (&host[..colon], &host[colon + 1..]),
        _ => (host, &b""[..]),
    };
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=[]:".contains(byte);
    let bracketed = host.starts_with(b"[") && host.ends_with(b"]");
    let colons = host.contains(&b':') && !bracketed;
    let large = port.len() > 5;
    if colons || large || !host.iter().all(fits) || !port.iter().all(u8::is_ascii_digit) {
        return Err(format!("no host: {:?}", String::from_utf8_lossy(host)));
    }
    Ok(())
}

/// RFC 9110, section 7.6.1: what belongs to a connection is not passed on, unless it is named anew.
fn check_connection(judged: &Judged) -> Result<(), String> {
    let mut named = Vec::new();
    for value in judged.all("connection") {
        let text = String::from_utf8_lossy(value).to_ascii_lowercase();
        named.extend(text.split(',').map(|word| word.trim().to_owned()));
    }
    for (name, value) in &judged.fields {
        let passed_on = match name.as_str() {
            "keep-alive" | "proxy-connection" | "proxy-authorization" | "http2-settings" => true,
            "te" => value != b"trailers" || !named.contains(name),
            "upgrade" => {
                !named.contains(name) || value.to_ascii_lowercase().windows(3).any(|w| w == b"h2c")
            }
            _ => false,
        };
        if passed_on {
            return Err(format!(
                "{name} was passed on: {:?}",
                String::from_utf8_lossy(value)
            ));
        }
    }
    let known = ["te", "upgrade", "close", "keep-alive"];
    match named.iter().find(|word| !known.contains(&word.as_str())) {
        Some(word) => Err(format!("connection names {word:?}")),
        None => Ok(()),
    }
}

/// RFC 9112, section 6.
fn body(judged: &Judged, rest: &mut &[u8]) -> Read<Vec<u8>> {
    let (lengths, codings) = (
        judged.all("content-length"),
        judged.all("transfer-encoding"),
    );
    match (&lengths[..], &codings[..]) {
        ([], []) => Ok(Some(Vec::new())),
        ([length], []) => {
            let text = std::str::from_utf8(length).unwrap_or_default();
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let length = text.parse::<i64>().ok().filter(|_| digits);
            let length = length.ok_or_else(|| format!("no length: {text:?}"))?;
            Ok(take(rest, length as usize))
        }
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") => chunks(rest),
        _ => Err(format!(
            "{} lengths, {} codings",
            lengths.len(),
            codings.len()
        )),
    }
}

fn take(rest: &mut &[u8], count: usize) -> Option<Vec<u8>> {
    let (taken, after) = rest.split_at_checked(count)?;
    *rest = after;
    Some(taken.to_vec())
}

fn chunks(rest: &mut &[u8]) -> Read<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let Some(line) = take_line(rest)? else {
            return Ok(None);
        };
        let text = std::str::from_utf8(line).unwrap_or_default();
        let digits = (1..=15).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        let size = usize::from_str_radix(text, 16).ok().filter(|_| digits);
        let size = size.ok_or_else(|| format!("no chunk size: {text:?}"))?;
        if size == 0 {
            break;
        }
        let Some(chunk) = take(rest, size) else {
            return Ok(None);
        };
        body.extend(chunk);
        match take(rest, 2).as_deref() {
            Some(b"\r\n") => {}
            Some(_) => return Err("a chunk that does not end".to_owned()),
            None => return Ok(None),
        }
    }
    let Some(trailers) = fields(rest)? else {
        return Ok(None);
    };
    let framing = [
        "host",
        "content-length",
        "transfer-encoding",
        "trailer",
        "te",
        "connection",
    ];
    match trailers
        .iter()
        .find(|(name, _)| framing.contains(&name.as_str()))
    {
        Some((name, _)) => Err(format!("{name} in the trailers")),
        None => Ok(Some(body)),
    }
}
