//! HTTP/1.1 over a connector's streams, and what bollard leaves out: the API's version in the path,
//! credentials in the alphabet that the Engine reads, and answers that it has no type for.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bollard::errors::Error as Reply;
use bytes::Bytes;
use futures_util::Stream;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Either, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use crate::connector::{ByteStream, Connector};
use crate::error::{NotConnected, Problem};
use crate::version::ApiVersion;

/// The largest answer that is read as one piece, in bytes.
const ENOUGH: usize = 64 << 20;

/// The body of a request, in bollard's form.
pub(crate) type Body = Either<
    Full<Bytes>,
    StreamBody<Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, io::Error>> + Send>>>,
>;

/// The way to one engine.
pub(crate) struct Transport {
    connector: Arc<dyn Connector>,
    version: OnceLock<ApiVersion>,
    connect: Duration,
}

impl Transport {
    pub(crate) fn new(connector: Arc<dyn Connector>, connect: Duration) -> Self {
        Self {
            connector,
            version: OnceLock::new(),
            connect,
        }
    }

    /// Every request from now on is meant in this version.
    pub(crate) fn speak(&self, version: ApiVersion) {
        let _spoken_already = self.version.set(version);
    }

    /// Sends a request over a stream of its own and returns when the answer begins.
    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, Reply> {
        let request = self.complete(request)?;
        let stream = TokioIo::new(self.open().await?);
        let (mut sender, connection) = http1::handshake(stream).await?;
        tokio::spawn(async move {
            // What breaks the connection is seen by whoever reads the answer.
            let _broken = connection.with_upgrades().await;
        });
        Ok(sender.send_request(request).await?)
    }

    /// Asks for a JSON answer.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        let request = request(Method::GET, path, bollard::body_full(Bytes::new()))?;
        let answer = self.answer(request).await?;
        parse(&answer)
    }

    /// Sends JSON and asks for a JSON answer.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        content: &impl Serialize,
    ) -> Result<T, Problem> {
        let content =
            serde_json::to_vec(content).map_err(|error| Problem::Strange(error.to_string()))?;
        let request = request(Method::POST, path, bollard::body_full(content.into()))?;
        let answer = self.answer(request).await?;
        parse(&answer)
    }

    /// Sends a request whose answer is read as it comes.
    pub(crate) async fn start(&self, request: Request<Body>) -> Result<Incoming, Problem> {
        let answer = self.send(request).await?;
        let status = answer.status();
        let body = answer.into_body();
        match status.is_success() {
            true => Ok(body),
            false => Err(refusal(status.as_u16(), &whole(body).await?)),
        }
    }

    async fn answer(&self, request: Request<Body>) -> Result<Bytes, Problem> {
        whole(self.start(request).await?).await
    }

    async fn open(&self) -> Result<Box<dyn ByteStream>, Reply> {
        let opened = timeout(self.connect, self.connector.connect()).await;
        let opened = opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        opened.map_err(|error| Reply::IOError {
            err: io::Error::other(NotConnected(error)),
        })
    }

    fn complete(&self, mut request: Request<Body>) -> Result<Request<Body>, Reply> {
        let path = request.uri().path_and_query();
        let path = path.map_or("/", PathAndQuery::as_str);
        let path = match self.version.get() {
            Some(version) => format!("/v{version}{path}"),
            None => path.to_owned(),
        };
        *request.uri_mut() = path.parse::<Uri>()?;
        let host = HeaderValue::from_static("docker");
        request.headers_mut().insert(header::HOST, host);
        mend_credentials(&mut request);
        Ok(request)
    }
}

async fn whole(body: Incoming) -> Result<Bytes, Problem> {
    let body = Limited::new(body, ENOUGH).collect().await;
    let body = body.map_err(|error| Problem::Broken(error.to_string()))?;
    Ok(body.to_bytes())
}

/// The Engine reads credentials in base64's alphabet for addresses (RFC 4648, section 5), and takes
/// what it cannot read for none.
fn mend_credentials(request: &mut Request<Body>) {
    for name in ["x-registry-auth", "x-registry-config"] {
        let Some(value) = request.headers_mut().get_mut(name) else {
            continue;
        };
        let mended: Vec<u8> = value.as_bytes().iter().map(url_safe).collect();
        if let Ok(mut mended) = HeaderValue::from_bytes(&mended) {
            mended.set_sensitive(true);
            *value = mended;
        }
    }
}

fn url_safe(byte: &u8) -> u8 {
    match byte {
        b'+' => b'-',
        b'/' => b'_',
        other => *other,
    }
}

fn request(method: Method, path: &str, body: Body) -> Result<Request<Body>, Problem> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(body)
        .map_err(|error| Problem::Strange(error.to_string()))
}

fn parse<T: DeserializeOwned>(answer: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(answer).map_err(|error| Problem::Strange(error.to_string()))
}

fn refusal(status: u16, body: &[u8]) -> Problem {
    let message = serde_json::from_slice::<Value>(body)
        .ok()
        .and_then(|answer| Some(answer.get("message")?.as_str()?.to_owned()))
        .unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    Problem::from(Reply::DockerResponseServerError {
        status_code: status,
        message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UnixConnector;

    #[test]
    fn a_request_is_completed() {
        let connector = Arc::new(UnixConnector::new("/nowhere"));
        let transport = Transport::new(connector, Duration::ZERO);
        transport.speak(ApiVersion::new(1, 41));
        let request = Request::get("http://docker/images/json?all=true")
            .header("X-Registry-Auth", "ab+/c=")
            .body(bollard::body_full(Bytes::new()))
            .unwrap();
        let request = transport.complete(request).unwrap();
        assert_eq!(request.uri(), "/v1.41/images/json?all=true");
        assert_eq!(request.headers()["host"], "docker");
        let credentials = &request.headers()["x-registry-auth"];
        assert_eq!(credentials, "ab-_c=");
        assert!(credentials.is_sensitive());
    }
}
