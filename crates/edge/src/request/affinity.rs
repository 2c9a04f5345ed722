//! Sends a client that came once to the same target again, by a cookie.
//!
//! The cookie names the target by a hash, so that addresses inside stay inside. A target that is
//! gone or ill is no reason to fail: the client then gets another, and its name.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;

use http::header::{COOKIE, HeaderMap, HeaderValue};

use crate::target::pool::{Pool, TargetLease};

const NAME: &str = "lotse_edge";

/// The target that the client's cookie names, when it can be sent requests.
pub(crate) fn pick(pool: &Pool, headers: &HeaderMap, tried: &[SocketAddr]) -> Option<TargetLease> {
    let wanted = named(headers)?;
    let target = pool
        .targets
        .iter()
        .find(|target| name(target.address) == wanted)?;
    if tried.contains(&target.address) {
        return None;
    }
    pool.pick_address(target.address)
}

/// The cookie that a client gets, unless it has it already.
pub(crate) fn cookie(headers: &HeaderMap, target: SocketAddr) -> Option<HeaderValue> {
    let name = name(target);
    if named(headers) == Some(&name) {
        return None;
    }
    HeaderValue::from_str(&format!("{NAME}={name}; Path=/; HttpOnly; SameSite=Lax")).ok()
}

fn named(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(NAME)?.strip_prefix('='))
}

fn name(target: SocketAddr) -> String {
    let mut hasher = DefaultHasher::new();
    target.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
