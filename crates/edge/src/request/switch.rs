//! A connection that changes from HTTP to something else, such as WebSocket (RFC 9110, section 7.8).

use http::Request;
use http::Response;
use http::header::{CONNECTION, HeaderMap, HeaderValue, UPGRADE};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::request::attempt::Answered;
use crate::request::body::ResponseBody;
use crate::request::forward;
use crate::target::http1::Http1Connection;
use crate::target::pool::{Lease, TargetLease};
use crate::tunnel;

/// A client's wish.
pub(crate) struct Switch {
    protocol: HeaderValue,
}

/// A target's consent: the way from the client's connection to the target's.
pub(crate) struct Passage {
    theirs: OnUpgrade,
    pool: Lease,
    _held: (TargetLease, Option<Http1Connection>),
}

impl Switch {
    pub(crate) fn asked(request: &mut Request<Incoming>, pool: &Lease) -> Option<Self> {
        let protocol = forward::upgrade(request.headers())?;
        if request.version() != http::Version::HTTP_11 || pool.spec.target_http2 {
            return None;
        }
        // The client's end is given back when its connection has said so: see `serve::http1`.
        request.extensions_mut().remove::<OnUpgrade>();
        Some(Self { protocol })
    }

    pub(crate) fn ask(&self, headers: &mut HeaderMap) {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, self.protocol.clone());
    }

    /// Passes the target's consent on; what follows on the connection are bytes.
    pub(crate) fn make(self, answered: Answered) -> Response<ResponseBody> {
        let Answered {
            mut response,
            connection,
            target,
            pool,
            ..
        } = answered;
        let passage = Passage {
            theirs: hyper::upgrade::on(&mut response),
            pool,
            _held: (target, connection),
        };
        let (mut parts, _) = response.into_parts();
        let protocol = parts.headers.get(UPGRADE).cloned();
        forward::strip_hop_by_hop(&mut parts.headers);
        let upgrade = HeaderValue::from_static("upgrade");
        parts.headers.insert(CONNECTION, upgrade);
        if let Some(protocol) = protocol {
            parts.headers.insert(UPGRADE, protocol);
        }
        Response::from_parts(parts, ResponseBody::switching(passage))
    }
}

impl Passage {
    /// Passes bytes on until both sides have ended or the pool is cut.
    pub(crate) async fn run<C>(self, mut client: C)
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        let Ok(theirs) = self.theirs.await else {
            return;
        };
        let ended = tunnel::run(&mut client, &mut TokioIo::new(theirs), &self.pool.cut).await;
        tracing::trace!(?ended, "an upgraded connection ended");
    }
}
