//! The runner protocol's calls over HTTP: what to send, and what an answer means.
//!
//! Every call is made once; who calls decides whether and when to try again.

mod error;

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use model::Secret;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use runner_api::{
    ByteRange, ErrorBody, JobRequest, JobResponse, JobStatus, RegisterRequest, RegisterResponse,
    UnregisterRequest, UpdateRequest, VerifyRequest, name,
};

use tokio::io::AsyncWriteExt as _;
use tokio_util::io::ReaderStream;

use crate::artifacts::Parcel;
use crate::config::RunnerConfig;
use crate::tls;

pub use error::ClientError;

/// A server may hold a request for a job this long before the connection counts as dead.
const POLL_LIMIT: Duration = Duration::from_secs(150);
/// Any other call.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// The way of an archive.
const TRANSFER_LIMIT: Duration = Duration::from_secs(60 * 60);
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// No answer that is kept in memory is longer, in bytes.
const BODY_LIMIT: usize = 32 * 1024 * 1024;

/// Speaks to one server.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
}

/// The answer to a request for a job.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) job: Option<Box<JobResponse>>,
    /// The queue's cursor, to be sent with the next request.
    pub(crate) last_update: Option<String>,
}

/// What every answer about a job can say beside its status.
#[derive(Debug, Clone, Default)]
pub(crate) struct Remarks {
    pub(crate) status: Option<JobStatus>,
    pub(crate) interval: Option<Duration>,
    /// How much of the trace the server has.
    pub(crate) received: Option<u64>,
}

/// The answer to a part of the trace.
#[derive(Debug)]
pub(crate) enum Patched {
    /// It was taken.
    Taken(Remarks),
    /// The server wants it from another place on.
    Elsewhere(Remarks),
    /// The job is no longer ours.
    Gone,
}

/// The answer to a job's state.
#[derive(Debug)]
pub(crate) enum Updated {
    /// It was taken.
    Taken(Remarks),
    /// Not yet: ask again.
    Later(Remarks),
    /// The trace is damaged: send it again, then ask again.
    TraceDamaged,
    /// The job is no longer ours.
    Gone,
}

impl Client {
    pub(crate) fn new(url: &str, ca_file: Option<&Path>) -> Result<Self, ClientError> {
        let base = url.trim_end_matches('/');
        let wrong = || ClientError::Address {
            url: url.chars().take(200).collect(),
        };
        let parsed = reqwest::Url::parse(base).map_err(|_| wrong())?;
        if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
            return Err(wrong());
        }
        let mut http = reqwest::Client::builder();
        if parsed.host_str().is_some_and(is_this_machine) {
            http = http.no_proxy();
        }
        let http = http
            .tls_backend_preconfigured(tls::client_config(ca_file).map_err(ClientError::Tls)?)
            .user_agent(concat!("lotse-runner ", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_LIMIT)
            .tcp_keepalive(Duration::from_secs(15))
            .build()
            .map_err(ClientError::Setup)?;
        Ok(Self {
            http,
            base: base.to_owned(),
        })
    }

    pub(crate) fn of(runner: &RunnerConfig) -> Result<Self, ClientError> {
        Self::new(&runner.url, runner.ca_file.as_deref())
    }

    pub(crate) async fn register(
        &self,
        request: &RegisterRequest,
    ) -> Result<RegisterResponse, ClientError> {
        let call = Call::new(self, "register a runner", Method::POST, "runners");
        call.json(request).await?.decoded().await
    }

    pub(crate) async fn verify(
        &self,
        request: &VerifyRequest,
    ) -> Result<RegisterResponse, ClientError> {
        let call = Call::new(
            self,
            "verify the runner's token",
            Method::POST,
            "runners/verify",
        );
        call.json(request).await?.decoded().await
    }

    pub(crate) async fn unregister(&self, token: &Secret) -> Result<(), ClientError> {
        let request = UnregisterRequest {
            token: token.clone(),
            system_id: String::new(),
        };
        let call = Call::new(self, "unregister the runner", Method::DELETE, "runners");
        call.json(&request).await?.ok().await.map(drop)
    }

    /// Waits for a job as long as the server holds the request.
    pub(crate) async fn request_job(&self, request: &JobRequest) -> Result<Work, ClientError> {
        let call = Call::new(self, "ask for a job", Method::POST, "jobs/request");
        let answer = call.limit(POLL_LIMIT).json(request).await?;
        let last_update = answer.header(name::LAST_UPDATE);
        let job = match answer.response.status() {
            StatusCode::CREATED => Some(answer.decoded().await?),
            StatusCode::NO_CONTENT => None,
            _ => return Err(answer.refused().await),
        };
        Ok(Work { job, last_update })
    }

    pub(crate) async fn patch_trace(
        &self,
        job: JobKey<'_>,
        start: u64,
        part: Bytes,
    ) -> Result<Patched, ClientError> {
        let path = format!("jobs/{}/trace", job.id);
        let call = Call::new(self, "send the job's log", Method::PATCH, &path);
        let range = ByteRange::of_content(start, part.len() as u64).to_string();
        let request = |request: RequestBuilder| {
            request
                .header(name::JOB_TOKEN, job.token.expose())
                .header(header::CONTENT_RANGE, range)
                .header(header::CONTENT_TYPE, "text/plain")
                .body(part)
        };
        let answer = call.send(request).await?;
        match answer.response.status() {
            StatusCode::ACCEPTED | StatusCode::OK => Ok(Patched::Taken(answer.remarks())),
            StatusCode::RANGE_NOT_SATISFIABLE => Ok(Patched::Elsewhere(answer.remarks())),
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Ok(Patched::Gone),
            _ => Err(answer.refused().await),
        }
    }

    pub(crate) async fn update_job(
        &self,
        id: i64,
        request: &UpdateRequest,
    ) -> Result<Updated, ClientError> {
        let path = format!("jobs/{id}");
        let call = Call::new(self, "report the job's state", Method::PUT, &path);
        let answer = call.json(request).await?;
        match answer.response.status() {
            StatusCode::OK => Ok(Updated::Taken(answer.remarks())),
            StatusCode::ACCEPTED => Ok(Updated::Later(answer.remarks())),
            StatusCode::PRECONDITION_FAILED => Ok(Updated::TraceDamaged),
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Ok(Updated::Gone),
            _ => Err(answer.refused().await),
        }
    }
}

impl Client {
    pub(crate) async fn upload_artifacts(
        &self,
        job: JobKey<'_>,
        parcel: &Parcel,
    ) -> Result<(), ClientError> {
        let path = format!("jobs/{}/artifacts", job.id);
        let call = Call::new(self, "upload artifacts", Method::POST, &path).limit(TRANSFER_LIMIT);
        let cannot_read = |source| ClientError::File {
            path: parcel.file.clone(),
            source,
        };
        let file = fs_err::tokio::File::open(&parcel.file)
            .await
            .map_err(cannot_read)?;
        let length = file.metadata().await.map_err(cannot_read)?.len();
        let stream = reqwest::Body::wrap_stream(ReaderStream::with_capacity(file, 64 * 1024));
        let part = Part::stream_with_length(stream, length).file_name(parcel.name.clone());
        let form = Form::new().part("file", part);
        let mut query = vec![
            ("artifact_format", parcel.format),
            ("artifact_type", parcel.kind.as_str()),
        ];
        query.extend(parcel.expire_in.as_deref().map(|time| ("expire_in", time)));
        let request = |request: RequestBuilder| {
            request
                .header(name::JOB_TOKEN, job.token.expose())
                .query(&query)
                .multipart(form)
        };
        call.send(request).await?.ok().await.map(drop)
    }

    /// Writes the archive into `file`.
    pub(crate) async fn download_artifacts(
        &self,
        job: JobKey<'_>,
        file: &Path,
    ) -> Result<(), ClientError> {
        const ACTION: &str = "download artifacts";
        let path = format!("jobs/{}/artifacts", job.id);
        let call = Call::new(self, ACTION, Method::GET, &path).limit(TRANSFER_LIMIT);
        let request = |request: RequestBuilder| request.header(name::JOB_TOKEN, job.token.expose());
        let mut answer = call.send(request).await?.ok().await?;
        let cannot_write = |source| ClientError::File {
            path: file.to_owned(),
            source,
        };
        let mut to = fs_err::tokio::File::create(file)
            .await
            .map_err(cannot_write)?;
        loop {
            match answer.response.chunk().await {
                Ok(Some(chunk)) => to.write_all(&chunk).await.map_err(cannot_write)?,
                Ok(None) => break,
                Err(source) => return Err(self.no_answer(ACTION, source)),
            }
        }
        to.flush().await.map_err(cannot_write)
    }
}

/// Whether the host of an address is this machine: no proxy of the environment leads to it.
pub fn is_this_machine(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// What a call about one job is made with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JobKey<'a> {
    pub(crate) id: i64,
    pub(crate) token: &'a Secret,
}

/// One call on its way.
struct Call<'a> {
    client: &'a Client,
    action: &'static str,
    request: RequestBuilder,
}

impl<'a> Call<'a> {
    fn new(client: &'a Client, action: &'static str, method: Method, path: &str) -> Self {
        let url = format!("{}/api/v4/{path}", client.base);
        let request = client.http.request(method, url).timeout(CALL_LIMIT);
        Self {
            client,
            action,
            request,
        }
    }

    fn limit(mut self, limit: Duration) -> Self {
        self.request = self.request.timeout(limit);
        self
    }

    async fn json(self, body: &impl serde::Serialize) -> Result<Answer<'a>, ClientError> {
        self.send(|request| request.json(body)).await
    }

    async fn send(
        self,
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Answer<'a>, ClientError> {
        let Self {
            client,
            action,
            request,
        } = self;
        match with(request).send().await {
            Ok(response) => Ok(Answer {
                client,
                action,
                response,
            }),
            Err(source) => Err(client.no_answer(action, source)),
        }
    }
}

impl Client {
    fn no_answer(&self, action: &'static str, source: reqwest::Error) -> ClientError {
        ClientError::NoAnswer {
            action,
            server: self.base.clone(),
            source: source.without_url(),
        }
    }
}

/// What came back.
struct Answer<'a> {
    client: &'a Client,
    action: &'static str,
    response: Response,
}

impl Answer<'_> {
    fn header(&self, name: &str) -> Option<String> {
        let value = self.response.headers().get(name)?;
        Some(value.to_str().ok()?.to_owned())
    }

    fn remarks(&self) -> Remarks {
        let seconds = self.header(name::TRACE_UPDATE_INTERVAL);
        let range = self.header(name::RANGE);
        Remarks {
            status: self.header(name::JOB_STATUS).and_then(|s| s.parse().ok()),
            interval: seconds
                .and_then(|s| s.parse().ok())
                .map(Duration::from_secs),
            received: range.and_then(|r| r.parse().ok()).map(ByteRange::size),
        }
    }

    async fn ok(self) -> Result<Self, ClientError> {
        if self.response.status().is_success() {
            Ok(self)
        } else {
            Err(self.refused().await)
        }
    }

    async fn decoded<T: serde::de::DeserializeOwned>(self) -> Result<T, ClientError> {
        let mut answer = self.ok().await?;
        let body = answer.body().await?;
        serde_json::from_slice(&body).map_err(|source| ClientError::Nonsense {
            action: answer.action,
            server: answer.client.base.clone(),
            source,
        })
    }

    async fn refused(mut self) -> ClientError {
        let status = self.response.status();
        let retry_after = self.header("retry-after");
        let body = self.body().await.unwrap_or_default();
        let message = serde_json::from_slice::<ErrorBody>(&body).unwrap_or_default();
        ClientError::Refused {
            action: self.action,
            server: self.client.base.clone(),
            status,
            message: message.message.chars().take(500).collect(),
            retry_after: retry_after
                .and_then(|s| s.parse().ok())
                .map(Duration::from_secs),
        }
    }

    /// The whole body; what is longer than [`BODY_LIMIT`] is cut, and then makes no sense.
    async fn body(&mut self) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        loop {
            match self.response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= BODY_LIMIT => {
                    body.extend_from_slice(&chunk);
                }
                Ok(_) => return Ok(body),
                Err(source) => return Err(self.client.no_answer(self.action, source)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_needs_no_proxy() {
        for host in ["localhost", "127.0.0.1", "127.1.2.3", "[::1]"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["example.org", "10.0.0.1", "localhost.example.org", "[::2]"] {
            assert!(!is_this_machine(host), "{host}");
        }
    }

    #[test]
    fn addresses() {
        for url in ["http://localhost:8080", "https://example.org/gitlab/"] {
            assert!(Client::new(url, None).is_ok(), "{url}");
        }
        for url in ["", "localhost", "ssh://host", "http://", "file:///x"] {
            assert!(Client::new(url, None).is_err(), "{url}");
        }
    }
}
