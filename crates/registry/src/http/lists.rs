//! Lists: tags, repositories, referrers.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_TYPE, HeaderName, LINK};
use model::Digest;
use serde_json::json;

use super::Call;
use super::failure::{Code, Failure};
use crate::manifest::OCI_INDEX;
use crate::{Action, Permission, RepositoryName};

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// What part of a list is wanted (OCI distribution specification, "Listing Tags").
struct Page {
    limit: usize,
    /// The list goes on after this entry.
    after: Option<String>,
}

impl Page {
    /// Cuts the page out of a list in order; says whether more follows.
    fn cut<T: AsRef<str>>(&self, all: impl Iterator<Item = T>) -> (Vec<T>, bool) {
        let mut rest = all.skip_while(|entry| {
            let after = self.after.as_deref();
            after.is_some_and(|after| entry.as_ref() <= after)
        });
        let page = rest.by_ref().take(self.limit).collect();
        (page, rest.next().is_some())
    }

    /// The `Link` to the next page, when this one ended with `last`.
    fn link(&self, path: &str, last: &str) -> [(HeaderName, String); 1] {
        let limit = self.limit;
        [(
            LINK,
            format!("<{path}?n={limit}&last={last}>; rel=\"next\""),
        )]
    }
}

impl Call {
    /// `GET /v2/<name>/tags/list`.
    pub(super) async fn tags(self, name: RepositoryName) -> Result<Response, Failure> {
        let page = self.page()?;
        let repository = name.clone();
        let tags = self
            .with_store(move |store| store.tags(&repository))
            .await?;
        let tags = tags.ok_or_else(|| {
            let message = format!("nothing was pushed to {name} yet");
            Failure::new(Code::NameUnknown, message)
        })?;
        let (tags, has_more) = page.cut(tags.iter().map(|tag| tag.as_str()));
        let body = Json(json!({ "name": name.as_str(), "tags": tags }));
        Ok(match tags.last() {
            Some(last) if has_more => {
                let link = page.link(&format!("/v2/{name}/tags/list"), last);
                (link, body).into_response()
            }
            _ => body.into_response(),
        })
    }

    /// `GET /v2/_catalog`: the repositories that the caller may pull from.
    pub(super) async fn catalog(self) -> Result<Response, Failure> {
        let page = self.page()?;
        let all = self.with_store(|store| store.repositories()).await?;
        let mut visible = Vec::new();
        for name in all {
            let is_later = page
                .after
                .as_deref()
                .is_none_or(|after| name.as_str() > after);
            if is_later && self.permission(&name, Action::Pull).await? == Permission::Granted {
                visible.push(name);
            }
            if visible.len() > page.limit {
                break;
            }
        }
        let (names, has_more) = page.cut(visible.iter().map(RepositoryName::as_str));
        let body = Json(json!({ "repositories": names }));
        Ok(match names.last() {
            Some(last) if has_more => (page.link("/v2/_catalog", last), body).into_response(),
            _ => body.into_response(),
        })
    }

    /// `GET /v2/<name>/referrers/<digest>`.
    pub(super) async fn referrers(
        self,
        name: RepositoryName,
        subject: Digest,
    ) -> Result<Response, Failure> {
        let wanted = self.query("artifactType")?;
        let mut found = self
            .with_store(move |store| store.referrers(&name, &subject))
            .await?;
        if wanted.is_some() {
            found.retain(|descriptor| descriptor.artifact_type == wanted);
        }
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found });
        let answer = ([(CONTENT_TYPE, OCI_INDEX)], index.to_string());
        Ok(match wanted {
            Some(_) => ([(FILTERS_APPLIED, "artifactType")], answer).into_response(),
            None => answer.into_response(),
        })
    }

    fn page(&self) -> Result<Page, Failure> {
        let limit = match self.query("n")? {
            None => usize::MAX - 1,
            Some(text) => text.parse::<u32>().map_err(|_| {
                let message = format!("n={text} is no number of entries");
                Failure::new(Code::PageInvalid, message)
            })? as usize,
        };
        Ok(Page {
            limit,
            after: self.query("last")?,
        })
    }
}
