//! Sends a request to a target, and to another one when that is safe.
//!
//! Safe is: nothing of the request has left, or the request may be repeated (RFC 9110, section
//! 9.2.2) and has no body. A kept connection that the target closed in the moment of sending is
//! nobody's fault; requests that may not be repeated are not sent over kept connections.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use http::header::{CONNECTION, COOKIE, EXPECT, HOST, HeaderMap, HeaderValue, TE};
use http::{Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;

use crate::alarm::Alarm;
use crate::request::affinity;
use crate::request::body::{BodyFault, BodyLimits, Gate, RequestBody, Upload};
use crate::request::forward;
use crate::request::proxy::{Client, Refusal};
use crate::target::connect::{self, Connection, Wanted};
use crate::target::http1::Http1Connection;
use crate::target::pool::{Lease, Pool, TargetLease};

/// So often is one request sent.
const ATTEMPTS: usize = 6;
/// How long a body waits for the target's `100 Continue`.
const CONTINUE_PATIENCE: Duration = Duration::from_secs(1);

/// A request that looks for a target.
pub(crate) struct Outgoing<'c> {
    client: &'c Client,
    request: Option<Request<RequestBody>>,
    /// The head once more, when the request may be repeated; it does not tell yet who the client is.
    replay: Option<http::request::Parts>,
    id: HeaderValue,
    /// What a choice by cookie needs.
    cookies: HeaderMap,
    upload: Arc<Upload>,
}

/// A target's answer, and what is held until it has been passed on.
pub(crate) struct Answered {
    pub(crate) response: Response<Incoming>,
    pub(crate) connection: Option<Http1Connection>,
    pub(crate) target: TargetLease,
    pub(crate) pool: Lease,
    pub(crate) upload: Arc<Upload>,
    /// The cookie that keeps the client at this target.
    pub(crate) cookie: Option<HeaderValue>,
}

enum Failure {
    /// A kept connection was gone already.
    Stale,
    /// The target is to blame.
    Target(StatusCode),
    /// Another try would not help.
    Final(StatusCode),
}

type Sent = (Response<Incoming>, Option<Http1Connection>);

impl<'c> Outgoing<'c> {
    pub(crate) fn new(
        client: &'c Client,
        request: Request<Incoming>,
        id: HeaderValue,
        limits: BodyLimits,
    ) -> Self {
        let (mut parts, body) = request.into_parts();
        join_cookies(&mut parts.headers);
        let (gate, open) = match parts.headers.contains_key(EXPECT) {
            true => Some(Gate::new(CONTINUE_PATIENCE)).unzip(),
            false => (None, None),
        };
        let (body, upload) = RequestBody::new(body, limits, gate);
        let repeatable = body.is_empty() && parts.method.is_idempotent();
        let replay = repeatable.then(|| parts.clone());
        forward::tell_origin(&mut parts.headers, &client.origin, id.clone());
        let mut request = Request::from_parts(parts, body);
        if let Some(open) = open {
            open_on_continue(&mut request, open);
        }
        Self {
            client,
            request: Some(request),
            replay,
            id,
            cookies: HeaderMap::new(),
            upload,
        }
    }

    /// The first answer that a target gives.
    pub(crate) async fn send(&mut self, mut pool: Lease) -> Result<Answered, Refusal> {
        let mut tried: Vec<SocketAddr> = Vec::new();
        let mut status = None;
        let mut fresh = self.replay.is_none();
        self.keep_cookies(&pool);
        for _ in 0..ATTEMPTS {
            let Some(target) = self.pick(&pool, &tried) else {
                pool = self
                    .other_pool(&pool)
                    .ok_or_else(|| nobody(&pool, status))?;
                tried.clear();
                continue;
            };
            match self.attempt(&pool, &target, fresh).await {
                Ok((response, connection)) => {
                    return Ok(self.answered(response, connection, target, pool));
                }
                Err(Failure::Final(status)) => return Err(status.into()),
                Err(Failure::Stale) => fresh = true,
                Err(Failure::Target(bad)) => {
                    status = Some(bad);
                    tried.push(target.address);
                    pool.counters.retries.fetch_add(1, Ordering::Relaxed);
                    if pool.cut.is_cancelled() {
                        pool = self.other_pool(&pool).unwrap_or(pool);
                    } else {
                        target.failed();
                    }
                }
            }
            self.renew()
                .ok_or(status.unwrap_or(StatusCode::BAD_GATEWAY))?;
        }
        Err(nobody(&pool, status))
    }

    fn keep_cookies(&mut self, pool: &Pool) {
        if let (true, Some(request)) = (pool.spec.affinity, &self.request) {
            for cookie in request.headers().get_all(COOKIE) {
                self.cookies.append(COOKIE, cookie.clone());
            }
        }
    }

    fn pick(&self, pool: &Pool, tried: &[SocketAddr]) -> Option<TargetLease> {
        let kept = match pool.spec.affinity {
            true => affinity::pick(pool, &self.cookies, tried),
            false => None,
        };
        kept.or_else(|| pool.pick(tried))
    }

    /// The pool that took this one's place, or the one that it took the place of.
    fn other_pool(&self, pool: &Lease) -> Option<Lease> {
        let other = self.client.shared.table.fall_back(pool)?;
        (other.generation != pool.generation).then_some(other)
    }

    /// Makes the request ready to be sent again; nothing when it must not be.
    fn renew(&mut self) -> Option<()> {
        if self.request.is_none() {
            let mut parts = self.replay.clone()?;
            forward::tell_origin(&mut parts.headers, &self.client.origin, self.id.clone());
            self.request = Some(Request::from_parts(parts, RequestBody::Empty));
        }
        Some(())
    }

    async fn attempt(
        &mut self,
        pool: &Pool,
        target: &TargetLease,
        fresh: bool,
    ) -> Result<Sent, Failure> {
        let wanted = Wanted {
            kept: (!fresh).then_some(self.client.worker),
            client: self.client.origin.client,
            server: self.client.origin.server,
        };
        let connected = connect::connection(pool, target, wanted).await;
        let connection = connected.map_err(|error| {
            tracing::debug!(%error, "a target does not answer");
            Failure::Target(StatusCode::BAD_GATEWAY)
        })?;
        let limit = pool.spec.response_timeout.get();
        let request = self
            .request
            .take()
            .ok_or(Failure::Final(StatusCode::BAD_GATEWAY))?;
        match connection {
            Connection::Http1 {
                mut connection,
                reused,
            } => {
                let sending = pin!(connection.sender.try_send_request(for_http1(request)));
                let alarm = &mut connection.alarm;
                let answered = in_time(sending, alarm, &self.upload, limit).await;
                let response = self.judge(answered, reused)?;
                Ok((response, Some(connection)))
            }
            Connection::Http2 { mut sender, reused } => {
                let request = for_http2(request).map_err(Failure::Final)?;
                let sending = pin!(sender.try_send_request(request));
                let alarm = &mut Alarm::default();
                let answered = in_time(sending, alarm, &self.upload, limit).await;
                let response = self.judge(answered, reused)?;
                Ok((response, None))
            }
        }
    }

    /// Tells whose fault a failure is.
    fn judge(
        &mut self,
        answered: Option<SendResult>,
        reused: bool,
    ) -> Result<Response<Incoming>, Failure> {
        let error = match answered {
            None => return Err(Failure::Final(StatusCode::GATEWAY_TIMEOUT)),
            Some(Ok(response)) => {
                self.upload.answered();
                return Ok(response);
            }
            Some(Err(error)) => error,
        };
        self.recover(error);
        match self.upload.fault() {
            Some(BodyFault::TooLarge) => return Err(Failure::Final(StatusCode::PAYLOAD_TOO_LARGE)),
            Some(BodyFault::Stalled) => return Err(Failure::Final(StatusCode::REQUEST_TIMEOUT)),
            Some(BodyFault::Broken | BodyFault::Refused) => {
                return Err(Failure::Final(StatusCode::BAD_REQUEST));
            }
            None => {}
        }
        match reused {
            true => Err(Failure::Stale),
            false => Err(Failure::Target(StatusCode::BAD_GATEWAY)),
        }
    }

    /// Takes the request back when nothing of it was sent.
    fn recover(&mut self, mut error: TrySendError<Request<RequestBody>>) {
        self.request = error.take_message();
        tracing::debug!(error = %error.error(), unsent = self.request.is_some(), "a target did not answer");
    }

    fn answered(
        &self,
        response: Response<Incoming>,
        connection: Option<Http1Connection>,
        target: TargetLease,
        pool: Lease,
    ) -> Answered {
        target.succeeded();
        let cookie = match pool.spec.affinity {
            true => affinity::cookie(&self.cookies, target.address),
            false => None,
        };
        Answered {
            response,
            connection,
            target,
            pool,
            upload: Arc::clone(&self.upload),
            cookie,
        }
    }
}

type SendResult = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>;

/// Waits for an answer; the time counts from the last part of the request that was sent.
async fn in_time(
    mut sending: Pin<&mut impl Future<Output = SendResult>>,
    alarm: &mut Alarm,
    upload: &Upload,
    limit: Duration,
) -> Option<SendResult> {
    let mut deadline = Instant::now() + limit;
    poll_fn(|context| {
        if let Poll::Ready(answered) = sending.as_mut().poll(context) {
            return Poll::Ready(Some(answered));
        }
        loop {
            ready!(alarm.poll(deadline.into(), context));
            deadline = upload.last_moved() + limit;
            if deadline <= Instant::now() {
                return Poll::Ready(None);
            }
        }
    })
    .await
}

fn nobody(pool: &Pool, status: Option<StatusCode>) -> Refusal {
    match (status, &pool.spec.unavailable_page) {
        (Some(status), _) if pool.is_available() => Refusal::Status(status),
        (_, Some(page)) => Refusal::Page(StatusCode::SERVICE_UNAVAILABLE, page.clone()),
        _ => Refusal::Status(StatusCode::SERVICE_UNAVAILABLE),
    }
}

/// HTTP/2 may send a cookie in pieces; HTTP/1 has one field (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut all = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (all.next(), all.next()) else {
        return;
    };
    let mut joined = first.as_bytes().to_vec();
    for piece in std::iter::once(second).chain(all) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(piece.as_bytes());
    }
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(COOKIE, joined);
    }
}

fn open_on_continue(request: &mut Request<RequestBody>, open: tokio::sync::oneshot::Sender<()>) {
    let open = std::sync::Mutex::new(Some(open));
    hyper::ext::on_informational(request, move |response| {
        if response.status() == StatusCode::CONTINUE {
            let mut open = open
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            if let Some(open) = open.take() {
                let _ = open.send(());
            }
        }
    });
}

fn for_http1(mut request: Request<RequestBody>) -> Request<RequestBody> {
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    // A client of HTTP/1.0 need not name a host; in HTTP/1.1 the field has to be there (RFC 9112,
    // section 3.2).
    if !headers.contains_key(HOST) {
        headers.insert(HOST, HeaderValue::from_static(""));
    }
    // TE has to be named (RFC 9110, section 10.1.4); a request to change the protocol needs none.
    if headers.contains_key(CONNECTION) {
        headers.remove(TE);
    } else if headers.contains_key(TE) {
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    request
}

fn for_http2(mut request: Request<RequestBody>) -> Result<Request<RequestBody>, StatusCode> {
    *request.version_mut() = Version::HTTP_2;
    let host = request.headers_mut().remove(HOST);
    let host = host
        .as_ref()
        .map_or(&b"localhost"[..], HeaderValue::as_bytes);
    let path = request.uri().path_and_query().cloned();
    let uri = Uri::builder()
        .scheme("http")
        .authority(host)
        .path_and_query(path.unwrap_or_else(|| http::uri::PathAndQuery::from_static("/")));
    *request.uri_mut() = uri.build().map_err(|_| StatusCode::BAD_REQUEST)?;
    Ok(request)
}
