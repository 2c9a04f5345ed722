//! Volumes stay, until somebody names one.

use crate::site::{self, Site};

const COMPOSE: &str = "
services:
  web:
    image: shop:${TAG:?}
    pull_policy: never
    stop_signal: SIGKILL
    ports: ['8080:8080']
    volumes: ['pages:/srv', 'uploads:/uploads']
  worker:
    image: shop:${TAG:?}
    pull_policy: never
    stop_signal: SIGKILL
    volumes: ['uploads:/uploads']
volumes:
  pages:
    x-lotse: { per: release }
  uploads: {}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_goes_when_it_is_named_and_nobody_has_it() {
    let Some(site) = Site::start(1).await else {
        return;
    };
    site.project.write("compose.yml", COMPOSE);
    site.settings("keep = 0", "500ms");
    for version in ["v1", "v2"] {
        site.image(version, site::SERVES).await;
        site.lotse(version, &["deploy", "prod"]).succeeds();
    }

    let listed = site.lotse("v2", &["volume", "list", "prod", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed.succeeds()).unwrap();
    let volume = |name: &str| {
        let all = listed.as_array().unwrap();
        let found = all.iter().find(|volume| volume["name"] == name);
        found.unwrap_or_else(|| panic!("{name} is missing: {listed}"))
    };
    assert_eq!(listed.as_array().unwrap().len(), 3, "{listed}");
    assert_eq!(volume("shop_pages-r1")["release"], 1);
    assert_eq!(volume("shop_pages-r1")["used_by"], serde_json::json!([]));
    assert_eq!(volume("shop_pages-r2")["used_by"][0], "shop-r2-web-1");
    assert!(volume("shop_uploads")["release"].is_null());

    let remove =
        |arguments: &[&str]| site.lotse("v2", &[&["volume", "remove", "prod"], arguments].concat());
    let used = remove(&["shop_uploads", "--yes"]).fails();
    assert!(used.contains("is used by shop-r2-"), "{used}");
    let unknown = remove(&["other_uploads", "--yes"]).fails();
    assert!(
        unknown.contains("has no volume `other_uploads`"),
        "{unknown}"
    );
    let unasked = remove(&["shop_pages-r1"]).ends_with(2);
    assert!(unasked.contains("no terminal to ask on"), "{unasked}");
    remove(&["shop_pages-r1", "--host", "elsewhere", "--yes"]).fails();
    remove(&["shop_pages-r1", "--yes"]).succeeds();

    let left = site
        .lotse("v2", &["volume", "list", "prod", "--size"])
        .succeeds();
    assert!(!left.contains("shop_pages-r1"), "{left}");
    for name in ["shop_pages-r2", "shop_uploads"] {
        assert!(left.contains(name), "{left}");
    }
}
