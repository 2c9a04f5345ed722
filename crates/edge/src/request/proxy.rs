//! A request on its way to a target, and the answer on its way back.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderValue, LOCATION, STRICT_TRANSPORT_SECURITY,
    TRANSFER_ENCODING,
};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::client::workers::Worker;
use crate::edge::shared::Shared;
use crate::edge::table::Found;
use crate::request::attempt::{Answered, Outgoing};
use crate::request::body::{BodyLimits, ResponseBody, Stream};
use crate::request::forward::{self, Origin};
use crate::request::pages;
use crate::request::record::Record;
use crate::request::switch::Switch;
use crate::route::Listen;
use crate::target::pool::Lease;

/// What a connection's requests have in common.
pub(crate) struct Client {
    pub(crate) shared: Arc<Shared>,
    pub(crate) listen: Listen,
    pub(crate) origin: Origin,
    pub(crate) worker: Worker,
}

/// Why a request gets an answer of the edge's own.
pub(crate) enum Refusal {
    Status(StatusCode),
    Page(StatusCode, String),
    Redirect(HeaderValue),
    /// What a CA wants to see before it gives a certificate.
    Challenge(String),
}

/// The answer to one request, from a target or from the edge itself.
pub(crate) async fn answer(client: &Client, request: Request<Incoming>) -> Response<ResponseBody> {
    let caller = client.caller(request.headers());
    let mut record = Box::new(Record::begin(&request, caller, client.shared.log.as_ref()));
    let proxied = proxy(client, request, &mut record).await;
    let mut response = proxied.unwrap_or_else(Refusal::page);
    record.status = response.status().as_u16();
    response.body_mut().record = Some(record);
    response
}

async fn proxy(
    client: &Client,
    mut request: Request<Incoming>,
    record: &mut Record,
) -> Result<Response<ResponseBody>, Refusal> {
    let host = forward::screen(&request)?;
    forward::to_origin_form(&mut request)?;
    if let Some(answer) = client.shared.acme.challenges.answer(request.uri().path()) {
        return Err(Refusal::Challenge(answer));
    }
    let pool = find_pool(client, &host, request.uri().path()).await?;
    record.counters = Some(Arc::clone(&pool.counters));
    if let Some(port) = pool.spec.redirect_https {
        return Err(to_https(&host, port, request.uri()));
    }
    let limits = client.body_limits(&pool);
    refuse_large(request.headers(), limits.size)?;

    let switch = Switch::asked(&mut request, &pool);
    forward::strip_hop_by_hop(request.headers_mut());
    if let Some(switch) = &switch {
        switch.ask(request.headers_mut());
    }
    let make_id = || client.shared.ids.make();
    let id = forward::request_id(request.headers(), &client.origin, make_id);
    record.named(&id);

    let mut outgoing = Outgoing::new(client, request, id, limits);
    let answered = outgoing.send(pool).await?;
    record.answered_by(answered.target.address, answered.pool.generation);
    finish(client, answered, switch)
}

/// The pool of the request's route; waits while the route is paused.
async fn find_pool(client: &Client, host: &str, path: &str) -> Result<Lease, Refusal> {
    loop {
        match client.shared.table.find(client.listen, host, path) {
            Found::Pool(lease) => return Ok(lease),
            Found::Nothing => return Err(StatusCode::NOT_FOUND.into()),
            Found::Maintenance(page) => {
                return Err(Refusal::Page(
                    StatusCode::SERVICE_UNAVAILABLE,
                    page.to_string(),
                ));
            }
            Found::Paused(until, mut mode) => {
                let changed = tokio::time::timeout_at(until.into(), mode.changed()).await;
                changed.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?.ok();
            }
        }
    }
}

/// Method and body stay what they are (RFC 9110, section 15.4.9).
fn to_https(host: &str, port: u16, uri: &http::Uri) -> Refusal {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    let place = match port {
        443 => format!("https://{host}{path}"),
        port => format!("https://{host}:{port}{path}"),
    };
    match HeaderValue::try_from(place) {
        Ok(place) if !host.is_empty() => Refusal::Redirect(place),
        _ => StatusCode::BAD_REQUEST.into(),
    }
}

fn refuse_large(headers: &HeaderMap, size: u64) -> Result<(), Refusal> {
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok());
    match length.map(str::parse::<u64>) {
        Some(Ok(length)) if length > size => Err(StatusCode::PAYLOAD_TOO_LARGE.into()),
        _ => Ok(()),
    }
}

fn finish(
    client: &Client,
    answered: Answered,
    switch: Option<Switch>,
) -> Result<Response<ResponseBody>, Refusal> {
    if answered.response.status() == StatusCode::SWITCHING_PROTOCOLS {
        // A target that changes the protocol unasked cannot be followed.
        let switch = switch.ok_or(StatusCode::BAD_GATEWAY)?;
        return Ok(switch.make(answered));
    }
    let Answered {
        response,
        connection,
        target,
        pool,
        upload,
        cookie,
    } = answered;
    let (mut parts, body) = response.into_parts();
    if has_other_coding(&parts.headers) {
        return Err(StatusCode::BAD_GATEWAY.into());
    }
    // The length of a chunked body is not for passing on (RFC 9112, section 6.3).
    if parts.headers.contains_key(TRANSFER_ENCODING) {
        parts.headers.remove(CONTENT_LENGTH);
    }
    forward::strip_hop_by_hop(&mut parts.headers);
    parts.version = http::Version::HTTP_11;
    if let Some(cookie) = cookie {
        parts.headers.append(http::header::SET_COOKIE, cookie);
    }
    if let (true, Some(hsts)) = (client.origin.tls, pool.spec.hsts) {
        let value = format!("max-age={}", hsts.get().as_secs());
        let value = HeaderValue::try_from(value).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        parts.headers.insert(STRICT_TRANSPORT_SECURITY, value);
    }
    let body = ResponseBody::stream(Stream {
        body,
        upload,
        connection,
        worker: client.worker,
        target,
        pool,
    });
    Ok(Response::from_parts(parts, body))
}

/// Whether a body is coded beneath its chunks. Nobody asked for that (RFC 9112, section 7.4), and
/// what it is coded with is not told to the client.
fn has_other_coding(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
}

impl Refusal {
    fn page(self) -> Response<ResponseBody> {
        match self {
            Self::Page(status, page) => pages::html(status, page),
            Self::Challenge(answer) => pages::text(answer),
            Self::Redirect(place) => {
                let mut response = pages::plain(StatusCode::PERMANENT_REDIRECT);
                response.headers_mut().insert(LOCATION, place);
                response
            }
            Self::Status(status) => {
                let mut response = pages::plain(status);
                // After a request whose end is unclear, nothing on the connection is sure.
                if matches!(status.as_u16(), 400 | 408 | 413 | 501) {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(CONNECTION, close);
                }
                response
            }
        }
    }
}

impl From<StatusCode> for Refusal {
    fn from(status: StatusCode) -> Self {
        Self::Status(status)
    }
}

impl Client {
    fn caller(&self, headers: &HeaderMap) -> IpAddr {
        let ip = self.origin.client.ip();
        match self.origin.trusted {
            true => forward::first_untrusted(headers, ip, &self.shared.settings.trusted),
            false => ip,
        }
    }

    fn body_limits(&self, pool: &Lease) -> BodyLimits {
        let limits = &self.shared.settings.limits;
        BodyLimits {
            size: pool.spec.max_body.unwrap_or(limits.body_size),
            stall: limits.stall.get(),
        }
    }
}
