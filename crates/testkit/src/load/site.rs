//! What a load knows of the site that it asks: where each kind of request goes, and which release
//! a good answer is of.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct Site {
    /// What a small GET asks.
    pub get: &'static str,
    /// The same of another service.
    pub api: &'static str,
    /// A page and what belongs to it, in a browser's order.
    pub page: &'static [&'static str],
    /// What takes POSTs and uploads.
    pub store: &'static str,
    /// Whether an upload must say its length before it begins.
    pub wants_length: bool,
    /// The release of an answer that is good; else what is wrong with it.
    pub release: fn(&Answer<'_>) -> Result<u64, String>,
}

/// An answer that came whole, and what was asked.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The path, or with HTTP/2 the whole address.
    pub path: &'a str,
    /// The length of the request's body.
    pub sent: usize,
    /// The answer's status.
    pub status: StatusCode,
    /// Its fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

const PAGE: [&str; 2] = ["/page", "/static/site.css"];

/// The application that tests deploy ([`crate::application`]); the targets of the edge's tests speak
/// like it.
pub(super) const APPLICATION: Site = Site {
    get: "/",
    api: "/api/",
    page: &PAGE,
    store: "/",
    wants_length: false,
    release,
};

/// A stamp, which the body agrees with.
fn release(answer: &Answer<'_>) -> Result<u64, String> {
    let text = String::from_utf8_lossy(&answer.body);
    let stamp = stamp(answer).ok_or_else(|| format!("{}: {text}", answer.status))?;
    if !PAGE.contains(&answer.path) {
        let right = text == format!("release {stamp} took {}", answer.sent);
        return right
            .then_some(stamp)
            .ok_or_else(|| format!("release {stamp} sends {text:?}"));
    }
    let named: Vec<u64> = text.split(' ').filter_map(number).collect();
    match named[..] {
        [release, ref others @ ..] if others.iter().all(|other| *other == release) => Ok(release),
        _ => Err(format!("mixed: release {stamp} sends {text:?}")),
    }
}

/// The one stamp of a good answer.
fn stamp(answer: &Answer<'_>) -> Option<u64> {
    let stamps: Vec<_> = answer.headers.get_all("x-release").iter().collect();
    match stamps[..] {
        [stamp] if answer.status == StatusCode::OK => stamp.to_str().ok()?.parse().ok(),
        _ => None,
    }
}

/// `3` or `3\n<link`.
fn number(word: &str) -> Option<u64> {
    word.lines().next()?.parse().ok()
}
