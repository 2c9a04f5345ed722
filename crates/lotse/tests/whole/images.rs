//! Images belong to a project, and go with it.

use reqwest::Method;
use serde_json::json;

use crate::serve;

/// The digest of nothing.
const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[tokio::test]
async fn images_go_with_their_project_and_no_others() {
    let lotse = serve().await;
    for path in ["site/web", "site/webshop"] {
        lotse
            .post("/projects", &json!({ "path_with_namespace": path }))
            .await;
    }
    let image = |method, path: &str| {
        let request = lotse.bare_request(method, &format!("/v2/{path}"));
        request.basic_auth("root", Some(lotse.token()))
    };
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": EMPTY, "size": 0 },
        "layers": [],
    });
    let repositories = ["site/web", "site/web/api", "site/webshop"];
    for repository in repositories {
        let blob = format!("{repository}/blobs/uploads/?digest={EMPTY}");
        let sent = lotse.ask(image(Method::POST, &blob).body("")).await;
        assert_eq!(sent.status, 201, "{sent:?}");
        let tag = image(Method::PUT, &format!("{repository}/manifests/v1"))
            .header("content-type", "application/vnd.oci.image.manifest.v1+json")
            .body(manifest.to_string());
        let sent = lotse.ask(tag).await;
        assert_eq!(sent.status, 201, "{sent:?}");
    }
    let tags = |repository: &'static str| {
        let image = &image;
        let lotse = &lotse;
        async move {
            let list = image(Method::GET, &format!("{repository}/tags/list"));
            lotse.ask(list).await.status
        }
    };
    for repository in repositories {
        assert_eq!(tags(repository).await, 200, "{repository}");
    }

    let delete = lotse.request(Method::DELETE, "/projects/site%2Fweb");
    let gone = lotse.ask(delete).await;
    assert_eq!(gone.status, 202, "{gone:?}");
    lotse
        .post("/projects", &json!({ "path_with_namespace": "site/web" }))
        .await;
    for (repository, status) in [
        ("site/web", 404),
        ("site/web/api", 404),
        ("site/webshop", 200),
    ] {
        assert_eq!(tags(repository).await, status, "{repository}");
    }
    let head = image(Method::HEAD, &format!("site/web/blobs/{EMPTY}"));
    assert_eq!(lotse.ask(head).await.status, 404);
}
