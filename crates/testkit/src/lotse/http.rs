//! Questions to the server's HTTP interfaces.

use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

use super::Lotse;

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// A header's text; empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

/// Reads the answer to a request.
///
/// # Panics
/// When there is none.
pub(super) async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("the server answers");
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        text: response.text().await.expect("the answer is whole"),
    }
}

impl Lotse {
    /// A request to an address of the server, such as `/-/health`, without any token.
    pub fn bare_request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url()))
    }

    /// A request to the API, such as `/projects`, as `root`.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare_request(method, &format!("/api/v4{path}"))
            .header("private-token", &self.token)
    }

    /// Asks, and returns the answer whatever it is.
    pub async fn ask(&self, request: RequestBuilder) -> Answer {
        answer(request).await
    }

    /// Reads something of the API.
    ///
    /// # Panics
    /// When the answer is no success.
    pub async fn get(&self, path: &str) -> Value {
        expect_success(answer(self.request(Method::GET, path)).await, path)
    }

    /// Changes something by the API.
    ///
    /// # Panics
    /// When the answer is no success.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.request(Method::POST, path).json(body);
        expect_success(answer(request).await, path)
    }
}

fn expect_success(answer: Answer, path: &str) -> Value {
    assert!((200..300).contains(&answer.status), "{path}: {answer:?}");
    answer.json()
}

/// A path in one part of an address: `group/name` is `group%2Fname`.
pub(super) fn encoded(path: &str) -> String {
    path.replace('/', "%2F")
}

/// A client that follows nothing and knows no proxy.
///
/// # Panics
/// Never: it holds no certificates that could be bad.
pub fn client() -> Client {
    let _already_there = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .build()
        .expect("a client without certificates can be made")
}
