//! A registry on a free port with a few users and projects, and a client that talks to it.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _};
use model::{Digest, Secret};
use registry::{
    Access, AccessError, Action, Identity, Permission, Registry, RepositoryName, TokenKey,
};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tempfile::TempDir;

/// `maintainer` may do all, `developer` may pull from and push to `team`, `reporter` may only pull from it,
/// `stranger` may do nothing; everybody may pull from `public`. Each has their name backwards for a password. `broken` cannot be asked about.
pub(crate) struct People;

impl Access for People {
    fn authenticate<'a>(
        &'a self,
        user: &'a str,
        password: &'a Secret,
    ) -> BoxFuture<'a, Result<Option<Identity>, AccessError>> {
        let backwards: String = user.chars().rev().collect();
        let is_known = ["maintainer", "reporter", "developer", "stranger"].contains(&user);
        let fits = is_known && password.expose() == backwards;
        async move { Ok(fits.then(|| Identity::new(user))) }.boxed()
    }

    fn permitted<'a>(
        &'a self,
        identity: Option<&'a Identity>,
        repository: &'a RepositoryName,
        action: Action,
    ) -> BoxFuture<'a, Result<Permission, AccessError>> {
        let group = repository.as_str().split('/').next().unwrap_or_default();
        let answer = match (group, identity.map(Identity::as_str), action) {
            ("broken", ..) => Err("the database is on fire".into()),
            ("team" | "public" | "secret", Some("maintainer"), _)
            | ("team", Some("developer"), Action::Pull | Action::Push)
            | ("team", Some("reporter"), Action::Pull)
            | ("public", _, Action::Pull) => Ok(Permission::Granted),
            ("team" | "public", ..) => Ok(Permission::Denied),
            _ => Ok(Permission::UnknownRepository),
        };
        async move { answer }.boxed()
    }
}

pub(crate) struct Server {
    pub(crate) registry: Registry,
    pub(crate) address: SocketAddr,
    folder: Folder,
    http: reqwest::Client,
}

enum Folder {
    Own(TempDir),
    Given(PathBuf),
}

impl Server {
    /// A registry in a folder of its own.
    pub(crate) async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        Self::serve(Folder::Own(folder), listener).await
    }

    /// A registry in this folder.
    pub(crate) async fn start_in(folder: &Path) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        Self::serve(Folder::Given(folder.to_owned()), listener).await
    }

    /// A registry that is reached through this listener.
    pub(crate) async fn start_on(listener: TcpListener) -> Self {
        Self::serve(Folder::Own(TempDir::new().unwrap()), listener).await
    }

    async fn serve(folder: Folder, listener: TcpListener) -> Self {
        let _already_there = rustls::crypto::ring::default_provider().install_default();
        let path = match &folder {
            Folder::Own(folder) => folder.path(),
            Folder::Given(path) => path,
        };
        let registry = Registry::open(path).unwrap();
        let router = registry::router(registry.clone(), Arc::new(People), TokenKey::new([7; 32]));
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            registry,
            address,
            folder,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        match &self.folder {
            Folder::Own(folder) => folder.path(),
            Folder::Given(path) => path,
        }
    }

    /// The files in one of the store's folders.
    pub(crate) fn files(&self, folder: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        collect_files(&self.folder().join(folder), &mut found);
        found
    }

    /// A request without credentials.
    pub(crate) fn anonymous(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.http
            .request(method, format!("http://{}{path}", self.address))
    }

    /// A request of `maintainer`, who may do all.
    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.request_as("maintainer", method, path)
    }

    pub(crate) fn request_as(&self, user: &str, method: &str, path: &str) -> RequestBuilder {
        let password: String = user.chars().rev().collect();
        self.anonymous(method, path)
            .basic_auth(user, Some(password))
    }

    /// Begins an upload and returns its address.
    pub(crate) async fn start_upload(&self, name: &str) -> String {
        let path = format!("/v2/{name}/blobs/uploads/");
        let response = expect(self.request("POST", &path), 202).await;
        header(&response, "location").to_owned()
    }

    /// Pushes a blob in one request.
    pub(crate) async fn push_blob(&self, name: &str, content: &[u8]) -> Digest {
        let digest = Digest::of(content);
        let path = format!("/v2/{name}/blobs/uploads/?digest={digest}");
        expect(self.request("POST", &path).body(content.to_vec()), 201).await;
        digest
    }

    /// Pushes an image of one layer and returns its manifest's text and digest.
    pub(crate) async fn push_image(&self, name: &str, tag: &str, layer: &[u8]) -> (String, Digest) {
        self.push_blob(name, layer).await;
        self.push_blob(name, b"{}").await;
        let manifest = image_of(layer);
        let put = self
            .request("PUT", &format!("/v2/{name}/manifests/{tag}"))
            .header("content-type", OCI_IMAGE)
            .body(manifest.clone());
        expect(put, 201).await;
        let digest = Digest::of(manifest.as_bytes());
        (manifest, digest)
    }

    /// Sends these bytes as they are, closes that direction, and returns the answer.
    pub(crate) async fn raw(&self, request: &str) -> String {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

pub(crate) const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A manifest of an image with an empty configuration and one layer.
pub(crate) fn image_of(layer: &[u8]) -> String {
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_IMAGE}","config":{},"layers":[{}]}}"#,
        descriptor("application/vnd.oci.image.config.v1+json", b"{}"),
        descriptor("application/vnd.oci.image.layer.v1.tar", layer),
    )
}

pub(crate) fn descriptor(media_type: &str, content: &[u8]) -> String {
    let (digest, size) = (Digest::of(content), content.len());
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
}

/// Sends a request and insists on the answer's status.
pub(crate) async fn expect(request: RequestBuilder, status: u16) -> Response {
    let response = request.send().await.unwrap();
    if response.status() != StatusCode::from_u16(status).unwrap() {
        let (url, actual) = (response.url().clone(), response.status());
        let body = response.text().await.unwrap_or_default();
        panic!("expected {status}, got {actual} from {url}: {body}");
    }
    response
}

/// Sends a request that must fail with this status and code, and returns the message.
pub(crate) async fn refused(request: RequestBuilder, status: u16, code: &str) -> String {
    let response = expect(request, status).await;
    let body: Value = response.json().await.unwrap();
    let error = &body["errors"][0];
    assert_eq!(error["code"], code, "{body}");
    error["message"].as_str().unwrap().to_owned()
}

pub(crate) fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    let value = response.headers().get(name);
    value
        .unwrap_or_else(|| panic!("no `{name}` in {:?}", response.headers()))
        .to_str()
        .unwrap()
}

/// Bytes that do not repeat soon.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(|| next().to_le_bytes())
        .take(length.div_ceil(8))
        .flatten()
        .collect();
    bytes.truncate(length);
    bytes
}

fn collect_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_files(&path, found);
        } else {
            found.push(path);
        }
    }
}
