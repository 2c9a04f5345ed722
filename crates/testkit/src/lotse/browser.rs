//! The pages, as somebody sees them who has logged in.

use reqwest::{Method, RequestBuilder};

use super::Lotse;
use super::http::{Answer, answer};

/// A session on the pages.
pub struct Browser<'a> {
    lotse: &'a Lotse,
    cookie: String,
}

impl Lotse {
    /// Logs in on the page, with the token of `root`.
    ///
    /// # Panics
    /// When that is refused.
    pub async fn browser(&self) -> Browser<'_> {
        let form = [("token", self.token()), ("next", "/")];
        let request = self.bare_request(Method::POST, "/-/login").form(&form);
        let answer = answer(request).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        let cookie = answer.header("set-cookie").split(';').next();
        Browser {
            lotse: self,
            cookie: cookie.unwrap_or_default().to_owned(),
        }
    }
}

impl Browser<'_> {
    /// A request with the session's cookie.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.lotse
            .bare_request(method, path)
            .header("cookie", &self.cookie)
    }

    /// A page, whatever its status.
    pub async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    /// The HTML of a page.
    ///
    /// # Panics
    /// When the status is not 200.
    pub async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.text
    }

    /// Presses a button.
    pub async fn post(&self, path: &str) -> Answer {
        answer(self.request(Method::POST, path)).await
    }
}
