//! What changes in a message's head on its way through.
//!
//! Fields that belong to one connection go (RFC 9110, section 7.6.1), those that tell the target
//! about the client come. `Host` stays what the client said.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, Request, StatusCode, Uri, Version};

use crate::settings::Network;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What is known of the connection that a request came on.
pub(crate) struct Origin {
    pub(crate) client: SocketAddr,
    pub(crate) server: SocketAddr,
    pub(crate) tls: bool,
    pub(crate) trusted: bool,
    /// The client's address as text.
    client_text: HeaderValue,
    /// The port that it came to as text.
    port_text: HeaderValue,
    /// What `Forwarded` says of every request of the connection (RFC 7239).
    forwarded: String,
}

impl Origin {
    pub(crate) fn new(client: SocketAddr, server: SocketAddr) -> Self {
        let text = HeaderValue::try_from(client.ip().to_string());
        Self {
            client,
            server,
            tls: false,
            trusted: false,
            client_text: text.expect("an address has no characters that a field cannot have"),
            port_text: HeaderValue::from(server.port()),
            forwarded: match client.ip() {
                IpAddr::V4(ip) => format!("for={ip};proto=http"),
                IpAddr::V6(ip) => format!("for=\"[{ip}]\";proto=http"),
            },
        }
    }

    /// The same, when the client came by TLS.
    pub(crate) fn with_tls(mut self, tls: bool) -> Self {
        self.tls = tls;
        if tls {
            self.forwarded.push('s');
        }
        self
    }
}

/// The host that a request is for, in lower case and without port; or why it is refused.
///
/// # Errors
/// The status that the standard asks for: RFC 9110 section 7.2, RFC 9112 sections 3.2 and 6.1.
pub(crate) fn screen<B>(request: &Request<B>) -> Result<String, StatusCode> {
    let headers = request.headers();
    if request.method() == Method::CONNECT {
        return Err(StatusCode::NOT_IMPLEMENTED);
    }
    screen_framing(request)?;
    screen_target(request.uri())?;
    let expect = headers.get(EXPECT).map(HeaderValue::as_bytes);
    if expect.is_some_and(|expect| !expect.eq_ignore_ascii_case(b"100-continue")) {
        return Err(StatusCode::EXPECTATION_FAILED);
    }
    let mut hosts = headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return Err(StatusCode::BAD_REQUEST),
        (Some(host), None) => host.to_str().map_err(|_| StatusCode::BAD_REQUEST)?,
        (None, None) => "",
    };
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    if host.is_empty()
        && authority.is_none()
        && request.version() == Version::HTTP_11
        && !headers.contains_key(HOST)
    {
        return Err(StatusCode::BAD_REQUEST);
    }
    // What the request's target names goes before the field (RFC 9112, section 3.2.2).
    bare_host(authority.unwrap_or(host)).ok_or(StatusCode::BAD_REQUEST)
}

fn screen_framing<B>(request: &Request<B>) -> Result<(), StatusCode> {
    let headers = request.headers();
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        if headers.contains_key(CONTENT_LENGTH) || request.version() != Version::HTTP_11 {
            return Err(StatusCode::BAD_REQUEST);
        }
        if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(StatusCode::NOT_IMPLEMENTED);
        }
    }
    let lengths = headers.get_all(CONTENT_LENGTH).iter();
    for length in lengths {
        let digits = length.as_bytes();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(StatusCode::BAD_REQUEST);
        }
    }
    Ok(())
}

/// Bytes beyond ASCII have to be written as `%C3%A4` (RFC 3986, section 2.1); the parser lets them
/// pass.
fn screen_target(uri: &Uri) -> Result<(), StatusCode> {
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    match target.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(()),
        false => Err(StatusCode::BAD_REQUEST),
    }
}

/// Takes the port off and checks what is left.
fn bare_host(authority: &str) -> Option<String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, port)
        }
        None => match authority.find(':') {
            Some(colon) => authority.split_at(colon),
            None => (authority, ""),
        },
    };
    let port_fits = match port.strip_prefix(':') {
        Some(digits) => digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit()),
        None => port.is_empty(),
    };
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._~:%!$&'()*+,;=".contains(&b);
    if !port_fits || host.len() > 255 || !host.bytes().all(fits) {
        return None;
    }
    Some(host.trim_end_matches('.').to_ascii_lowercase())
}

/// What a request asks to change its connection to, when it does (RFC 9110, section 7.8).
pub(crate) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let asked = headers.get_all(CONNECTION).iter().any(|value| {
        let text = value.to_str().unwrap_or_default();
        text.split(',')
            .any(|word| word.trim().eq_ignore_ascii_case("upgrade"))
    });
    let upgrade = headers.get(UPGRADE)?;
    // HTTP/2 is not come to by this way any more (RFC 9113, section 3.1): it would be spoken past
    // the edge.
    let text = upgrade.to_str().ok()?;
    let mut protocols = text.split(',').map(str::trim);
    let other = protocols.all(|protocol| !protocol.eq_ignore_ascii_case("h2c"));
    (asked && other).then(|| upgrade.clone())
}

/// Fields that belong to one connection whether `Connection` names them or not.
static HOP_BY_HOP: [HeaderName; 8] = [
    KEEP_ALIVE,
    PROXY_CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    HTTP2_SETTINGS,
];

/// Removes what belongs to one connection.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // Most heads have none of these, or one, and comparing names is far cheaper than looking each up.
    let mut connection = false;
    let mut found = [false; HOP_BY_HOP.len()];
    for name in headers.keys() {
        if *name == CONNECTION {
            connection = true;
        } else if let Some(place) = HOP_BY_HOP.iter().position(|own| own == name) {
            found[place] = true;
        }
    }
    if connection {
        remove_named(headers);
        headers.remove(CONNECTION);
    }
    if !found.contains(&true) {
        return;
    }
    let takes_trailers = headers.get(TE).is_some_and(|te| {
        let text = te.to_str().unwrap_or_default();
        text.split(',')
            .any(|word| word.trim().eq_ignore_ascii_case("trailers"))
    });
    for (name, found) in HOP_BY_HOP.iter().zip(found) {
        if found {
            headers.remove(name);
        }
    }
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Removes the fields that `Connection` names.
fn remove_named(headers: &mut HeaderMap) {
    let mut values = headers.get_all(CONNECTION).iter();
    let names_nothing = |value: &HeaderValue| {
        value.as_bytes().eq_ignore_ascii_case(b"keep-alive")
            || value.as_bytes().eq_ignore_ascii_case(b"close")
    };
    if values.all(names_nothing) {
        return;
    }
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .filter_map(|word| word.trim().parse().ok())
        .filter(|name| *name != HOST && *name != CONTENT_LENGTH)
        .collect();
    for name in named {
        headers.remove(name);
    }
}

/// Makes a request's target and `Host` what a server gets: the path alone, and the host that the
/// target named.
///
/// # Errors
/// 400 when there is no path.
pub(crate) fn to_origin_form<B>(request: &mut Request<B>) -> Result<(), StatusCode> {
    let uri = request.uri();
    if uri.authority().is_some() && uri.scheme().is_none() {
        // `GET example.org`: a form that only CONNECT has (RFC 9112, section 3.2.3).
        return Err(StatusCode::BAD_REQUEST);
    }
    if let Some(authority) = uri.authority() {
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        let host = HeaderValue::from_str(host).map_err(|_| StatusCode::BAD_REQUEST)?;
        request.headers_mut().insert(HOST, host);
        let uri = request.uri();
        let path = uri.path_and_query().cloned();
        *request.uri_mut() = path.map_or_else(|| Uri::from_static("/"), Uri::from);
    }
    let path = request.uri().path();
    match path.starts_with('/') || (path == "*" && request.method() == Method::OPTIONS) {
        true => Ok(()),
        false => Err(StatusCode::BAD_REQUEST),
    }
}

/// The name that a request has for all that handle it: its own, when a trusted proxy gave it one.
pub(crate) fn request_id(
    headers: &HeaderMap,
    origin: &Origin,
    make: impl FnOnce() -> HeaderValue,
) -> HeaderValue {
    let given = origin.trusted.then(|| headers.get(X_REQUEST_ID)).flatten();
    let fits = given.filter(|id| id.len() <= 200 && !id.is_empty());
    fits.cloned().unwrap_or_else(make)
}

const HOST_IS: &[u8] = b";host=\"";

/// Tells the target who the client is. What a client says about itself is believed only when it is
/// a trusted proxy.
pub(crate) fn tell_origin(headers: &mut HeaderMap, origin: &Origin, id: HeaderValue) {
    headers.reserve(7);
    headers.insert(X_REQUEST_ID, id);
    let proto = HeaderValue::from_static(if origin.tls { "https" } else { "http" });
    let host = headers.get(HOST).cloned();
    let forwarded = forwarded(headers, origin, host.as_ref());
    headers.insert(FORWARDED, forwarded);
    if origin.trusted {
        append_for(headers, &origin.client_text);
        headers.entry(X_FORWARDED_PROTO).or_insert(proto);
        let port = origin.port_text.clone();
        headers.entry(X_FORWARDED_PORT).or_insert(port);
        if let Some(host) = host {
            headers.entry(X_FORWARDED_HOST).or_insert(host);
        }
        return;
    }
    headers.insert(X_FORWARDED_FOR, origin.client_text.clone());
    headers.insert(X_FORWARDED_PROTO, proto);
    headers.insert(X_FORWARDED_PORT, origin.port_text.clone());
    headers.insert(X_REAL_IP, origin.client_text.clone());
    match host {
        Some(host) => headers.insert(X_FORWARDED_HOST, host),
        None => headers.remove(X_FORWARDED_HOST),
    };
}

fn append_for(headers: &mut HeaderMap, client: &HeaderValue) {
    let mut all: Vec<u8> = Vec::new();
    for value in headers.get_all(X_FORWARDED_FOR) {
        all.extend_from_slice(value.as_bytes());
        all.extend_from_slice(b", ");
    }
    all.extend_from_slice(client.as_bytes());
    let value = HeaderValue::from_bytes(&all).unwrap_or_else(|_| client.clone());
    headers.insert(X_FORWARDED_FOR, value);
}

/// RFC 7239; after what proxies have said already, when they are trusted.
fn forwarded(headers: &HeaderMap, origin: &Origin, host: Option<&HeaderValue>) -> HeaderValue {
    let host = host.map_or(&b""[..], HeaderValue::as_bytes);
    let mut value: Vec<u8> =
        Vec::with_capacity(origin.forwarded.len() + HOST_IS.len() + host.len() + 1);
    if origin.trusted {
        for earlier in headers.get_all(FORWARDED) {
            value.extend_from_slice(earlier.as_bytes());
            value.extend_from_slice(b", ");
        }
    }
    value.extend_from_slice(origin.forwarded.as_bytes());
    if memchr::memchr2(b'"', b'\\', host).is_none() && !host.is_empty() {
        value.extend_from_slice(HOST_IS);
        value.extend_from_slice(host);
        value.push(b'"');
    }
    HeaderValue::from_maybe_shared(Bytes::from(value)).expect("fields and an address make a field")
}

/// The client as the last proxy that is not trusted saw it.
pub(crate) fn first_untrusted(headers: &HeaderMap, client: IpAddr, trusted: &[Network]) -> IpAddr {
    let mut last = client;
    for value in headers.get_all(X_FORWARDED_FOR).iter().rev() {
        for part in value.to_str().unwrap_or_default().rsplit(',') {
            if !trusted.iter().any(|network| network.contains(last)) {
                return last;
            }
            match part.trim().parse() {
                Ok(address) => last = address,
                Err(_) => return last,
            }
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn screening() {
        type Case<'a> = (
            &'a str,
            &'a str,
            &'a [(&'a str, &'a str)],
            Result<&'a str, u16>,
        );
        let cases: &[Case<'_>] = &[
            (
                "GET",
                "/",
                &[("host", "Example.ORG:8080")],
                Ok("example.org"),
            ),
            ("GET", "/", &[("host", "example.org.")], Ok("example.org")),
            ("GET", "/", &[("host", "[::1]:80")], Ok("::1")),
            ("GET", "/", &[("host", "")], Ok("")),
            ("GET", "/", &[], Err(400)),
            ("GET", "/", &[("host", "a"), ("host", "a")], Err(400)),
            ("GET", "/", &[("host", "a b")], Err(400)),
            ("GET", "/", &[("host", "a/b")], Err(400)),
            ("GET", "/", &[("host", "a@b")], Err(400)),
            ("GET", "/", &[("host", "a:b")], Err(400)),
            ("GET", "/", &[("host", "[::1")], Err(400)),
            ("GET", "http://one/", &[("host", "two")], Ok("one")),
            ("CONNECT", "one:80", &[("host", "one")], Err(501)),
            ("GET", "/", &[("host", "a"), ("expect", "200-ok")], Err(417)),
            (
                "GET",
                "/",
                &[("host", "a"), ("expect", "100-Continue")],
                Ok("a"),
            ),
            (
                "POST",
                "/",
                &[("host", "a"), ("transfer-encoding", "chunked")],
                Ok("a"),
            ),
            (
                "POST",
                "/",
                &[("host", "a"), ("transfer-encoding", "gzip, chunked")],
                Err(501),
            ),
            (
                "POST",
                "/",
                &[
                    ("host", "a"),
                    ("transfer-encoding", "chunked"),
                    ("transfer-encoding", "chunked"),
                ],
                Err(501),
            ),
            (
                "POST",
                "/",
                &[
                    ("host", "a"),
                    ("transfer-encoding", "chunked"),
                    ("content-length", "1"),
                ],
                Err(400),
            ),
            (
                "POST",
                "/",
                &[("host", "a"), ("content-length", "+1")],
                Err(400),
            ),
        ];
        for (method, target, headers, expected) in cases {
            let found = screen(&request(method, target, headers));
            let found = found.as_deref().map_err(|status| status.as_u16());
            assert_eq!(found, *expected, "{method} {target} {headers:?}");
        }
    }

    #[test]
    fn hop_by_hop_fields_go() {
        let request = request(
            "GET",
            "/",
            &[
                ("host", "a"),
                ("connection", "close, X-Mine, host"),
                ("connection", "x-second"),
                ("x-mine", "1"),
                ("x-second", "1"),
                ("keep-alive", "timeout=5"),
                ("te", "gzip, trailers"),
                ("proxy-connection", "keep-alive"),
                ("upgrade", "x"),
                ("x-stays", "1"),
            ],
        );
        let mut headers = request.headers().clone();
        strip_hop_by_hop(&mut headers);
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["host", "te", "x-stays"]);
        assert_eq!(headers[TE], "trailers");
    }

    fn told(trusted: bool, given: &[(&str, &str)]) -> HeaderMap {
        let mut headers = request("GET", "/", given).headers().clone();
        let (client, server) = ("192.0.2.7:1234", "192.0.2.1:443");
        let mut origin =
            Origin::new(client.parse().unwrap(), server.parse().unwrap()).with_tls(true);
        origin.trusted = trusted;
        let id = request_id(&headers, &origin, || HeaderValue::from_static("new-id"));
        tell_origin(&mut headers, &origin, id);
        headers
    }

    #[test]
    fn a_client_cannot_say_who_it_is() {
        let lies = [
            ("host", "example.org"),
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "evil"),
            ("x-forwarded-port", "1"),
            ("x-real-ip", "6.6.6.6"),
            ("forwarded", "for=6.6.6.6"),
            ("x-request-id", "mine"),
        ];
        let headers = told(false, &lies);
        let expected = [
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "example.org"),
            ("x-forwarded-port", "443"),
            ("x-real-ip", "192.0.2.7"),
            (
                "forwarded",
                "for=192.0.2.7;proto=https;host=\"example.org\"",
            ),
            ("x-request-id", "new-id"),
        ];
        for (name, value) in expected {
            assert_eq!(headers[name], value, "{name}");
        }
    }

    #[test]
    fn a_trusted_proxy_can() {
        let given = [
            ("host", "inner"),
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "2.2.2.2"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "outer"),
            ("forwarded", "for=1.1.1.1"),
            ("x-request-id", "theirs"),
        ];
        let headers = told(true, &given);
        assert_eq!(headers["x-forwarded-for"], "1.1.1.1, 2.2.2.2, 192.0.2.7");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-host"], "outer");
        assert_eq!(
            headers["forwarded"],
            "for=1.1.1.1, for=192.0.2.7;proto=https;host=\"inner\""
        );
        assert_eq!(headers["x-request-id"], "theirs");
    }

    #[test]
    fn the_client_behind_trusted_proxies() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let cases = [
            ("192.0.2.7", "1.1.1.1", "192.0.2.7"),
            ("10.0.0.1", "1.1.1.1", "1.1.1.1"),
            ("10.0.0.1", "6.6.6.6, 1.1.1.1, 10.0.0.2", "1.1.1.1"),
            ("10.0.0.1", "nonsense", "10.0.0.1"),
        ];
        for (client, forwarded, expected) in cases {
            let request = request("GET", "/", &[("x-forwarded-for", forwarded)]);
            let found = first_untrusted(request.headers(), client.parse().unwrap(), &trusted);
            assert_eq!(found.to_string(), expected, "{client} {forwarded}");
        }
    }

    #[test]
    fn absolute_targets_become_paths() {
        let mut absolute = request("GET", "http://one:81/path?x", &[("host", "two")]);
        to_origin_form(&mut absolute).unwrap();
        assert_eq!(absolute.uri(), "/path?x");
        assert_eq!(absolute.headers()[HOST], "one:81");
        assert!(to_origin_form(&mut request("OPTIONS", "*", &[])).is_ok());
        for bad in ["*", "admin", "one:80"] {
            assert!(
                to_origin_form(&mut request("GET", bad, &[])).is_err(),
                "{bad}"
            );
        }
    }
}
