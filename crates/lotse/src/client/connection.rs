//! Requests and answers.

use std::time::Duration;

use model::Secret;
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use serde::Serialize;
use serde_json::Value;

use super::{ServerAddress, tls};
use crate::output::Failure;

/// How long a server may take to accept a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// How long a server may say nothing at all; streams of events are kept alive more often.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

/// The longest JSON answer, in bytes.
const ANSWER_LIMIT: usize = 64 << 20;

/// What follows `?` in an address.
pub(crate) type Query<'a> = &'a [(&'a str, String)];

/// A server and who talks to it.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    server: ServerAddress,
    token: Option<Secret>,
}

impl Client {
    pub(crate) fn new(server: ServerAddress, token: Option<Secret>) -> Result<Self, Failure> {
        let tls = if server.is_secure() {
            tls::trusting_the_machine()?
        } else {
            tls::trusting_nobody()?
        };
        let mut http = reqwest::Client::builder();
        if server.is_here() {
            http = http.no_proxy();
        }
        let http = http
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("lotse/", env!("CARGO_PKG_VERSION")))
            // A redirect would carry the token to wherever it leads.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_LIMIT)
            .read_timeout(SILENCE_LIMIT)
            .build()
            .map_err(|error| Failure::internal("cannot make an HTTP client").because(&error))?;
        Ok(Self {
            http,
            server,
            token,
        })
    }

    pub(crate) fn server(&self) -> &ServerAddress {
        &self.server
    }

    pub(crate) async fn get(&self, path: &[&str], query: Query<'_>) -> Result<Value, Failure> {
        let response = self
            .send(self.request(Method::GET, path).query(query))
            .await?;
        self.json(response).await
    }

    pub(crate) async fn post(
        &self,
        path: &[&str],
        body: &(impl Serialize + Sync),
    ) -> Result<Value, Failure> {
        let response = self
            .send(self.request(Method::POST, path).json(body))
            .await?;
        self.json(response).await
    }

    pub(crate) async fn put(
        &self,
        path: &[&str],
        body: &(impl Serialize + Sync),
    ) -> Result<Option<Value>, Failure> {
        let response = self
            .exchange(self.request(Method::PUT, path).json(body))
            .await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let response = self.check(response).await?;
        self.json(response).await.map(Some)
    }

    pub(crate) async fn delete(&self, path: &[&str]) -> Result<(), Failure> {
        self.send(self.request(Method::DELETE, path))
            .await
            .map(drop)
    }

    /// The first `limit` items of a list, over as many pages as that takes.
    pub(crate) async fn list(
        &self,
        path: &[&str],
        query: Query<'_>,
        limit: usize,
    ) -> Result<Vec<Value>, Failure> {
        let mut items = Vec::new();
        let mut page = "1".to_owned();
        while items.len() < limit && !page.is_empty() {
            let request = self
                .request(Method::GET, path)
                .query(query)
                .query(&[("per_page", limit.min(100).to_string()), ("page", page)]);
            let response = self.send(request).await?;
            page = next_page(&response);
            match self.json(response).await? {
                Value::Array(more) if !more.is_empty() => items.extend(more),
                Value::Array(_) => break,
                _ => return Err(self.not_understood()),
            }
        }
        items.truncate(limit);
        Ok(items)
    }

    /// A request that is put together further by the caller.
    pub(crate) fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let request = self.http.request(method, self.server.api(path));
        match &self.token {
            Some(token) => request.header("PRIVATE-TOKEN", token.expose()),
            None => request,
        }
    }

    /// Sends it and returns the answer if it is a success.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = self.exchange(request).await?;
        self.check(response).await
    }

    /// Sends it and returns whatever is answered.
    pub(crate) async fn exchange(&self, request: RequestBuilder) -> Result<Response, Failure> {
        request
            .send()
            .await
            .map_err(|error| self.unreachable(error))
    }

    /// A failure for an answer that is no success.
    pub(crate) async fn check(&self, mut response: Response) -> Result<Response, Failure> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        if let Some(location) = response.headers().get(header::LOCATION) {
            let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
            return Err(
                Failure::user(format!("{} sends us on to {location}", self.server))
                    .hint("log in to the address that it names: `lotse login URL`"),
            );
        }
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await
            && body.len() < 100_000
        {
            body.extend_from_slice(&chunk);
        }
        Err(self.refused(status, &serde_json::from_slice(&body).unwrap_or_default()))
    }

    async fn json(&self, mut response: Response) -> Result<Value, Failure> {
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.unreachable(error))?
        {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_LIMIT {
                return Err(Failure::user(format!(
                    "{} does not stop answering",
                    self.server
                )));
            }
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|_| self.not_understood())
    }

    fn unreachable(&self, error: reqwest::Error) -> Failure {
        let timed_out = error.is_timeout();
        // Without the address: it is in our own words already.
        let error = error.without_url();
        let server = &self.server;
        if timed_out {
            return Failure::user(format!("{server} does not answer in time"))
                .hint("is the server busy, or a firewall in the way?");
        }
        let cause = root_cause(&error);
        if error.is_connect() {
            return Failure::user(format!("cannot reach {server}: {cause}"))
                .hint("is the address right and the server running (`lotse serve`)?");
        }
        Failure::user(format!("the connection to {server} broke: {cause}")).hint("try again")
    }

    fn refused(&self, status: StatusCode, body: &Value) -> Failure {
        let said = message(body).map(|text| without_status(&text, status));
        let said = said.unwrap_or_else(|| format!("{} answers {status}", self.server));
        let hint = body["hint"].as_str().map(str::to_owned);
        if status.is_server_error() && status != StatusCode::INSUFFICIENT_STORAGE {
            let failure = Failure::internal(said);
            return hint.into_iter().fold(failure, Failure::hint);
        }
        let hint = hint.or_else(|| self.usual_hint(status));
        hint.into_iter().fold(Failure::user(said), Failure::hint)
    }

    fn usual_hint(&self, status: StatusCode) -> Option<String> {
        let server = &self.server;
        match status {
            StatusCode::UNAUTHORIZED if self.token.is_none() => {
                Some(format!("log in with `lotse login {server}`"))
            }
            StatusCode::UNAUTHORIZED => Some(format!(
                "the token is wrong, expired or revoked; log in again with `lotse login {server}`"
            )),
            StatusCode::FORBIDDEN => Some("your token or your role does not allow this".to_owned()),
            StatusCode::NOT_FOUND => Some("check the name; you may also lack access".to_owned()),
            _ => None,
        }
    }

    pub(crate) fn not_understood(&self) -> Failure {
        Failure::user(format!(
            "{} does not answer like a Lotse server",
            self.server
        ))
        .hint("check the address: is something else listening there?")
    }
}

/// GitLab names the next page, and nothing after the last one.
fn next_page(response: &Response) -> String {
    let header = response.headers().get("x-next-page");
    let text = header.and_then(|value| value.to_str().ok());
    text.unwrap_or_default().to_owned()
}

fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// GitLab's errors are `{"message": …}` or `{"error": …}`, of texts, lists and maps of lists.
fn message(body: &Value) -> Option<String> {
    let said = [&body["message"], &body["error_description"], &body["error"]];
    said.into_iter().map(flatten).find(|text| !text.is_empty())
}

fn flatten(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(flatten).collect();
            items.join(", ")
        }
        Value::Object(map) => {
            let items: Vec<_> = map
                .iter()
                .map(|(key, value)| format!("{key} {}", flatten(value)))
                .collect();
            items.join("; ")
        }
        _ => String::new(),
    }
}

/// `404 Not Found: there is no …` without what only machines need.
fn without_status(text: &str, status: StatusCode) -> String {
    let heading = format!("{status}: ");
    text.strip_prefix(&heading).unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_of_all_shapes() {
        for (body, expected) in [
            (json!({"message": "404 Not Found: gone"}), Some("gone")),
            (
                json!({"message": {"key": ["is taken", "is odd"]}}),
                Some("key is taken, is odd"),
            ),
            (
                json!({"error": "invalid_token", "error_description": "expired"}),
                Some("expired"),
            ),
            (json!("text"), None),
            (Value::Null, None),
        ] {
            let said = message(&body).map(|text| without_status(&text, StatusCode::NOT_FOUND));
            assert_eq!(said.as_deref(), expected, "{body}");
        }
    }
}
