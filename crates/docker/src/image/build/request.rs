//! A build as the Engine API asks for it (`POST /build`): all of it in the query, but for the
//! context and the credentials.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use form_urlencoded::Serializer;
use http::{HeaderValue, Request, header};
use serde_json::{Value, json};

use super::{BuildContext, BuildSpec};
use crate::archive::Sent;
use crate::container::spec::Ulimit;
use crate::error::Problem;
use crate::image::{Credentials, credentials_for};
use crate::transport::Body;

/// The request, and how much of it has been sent.
pub(super) fn of(spec: BuildSpec) -> Result<(Request<Body>, Sent), Problem> {
    let strange = |error: http::Error| Problem::Strange(error.to_string());
    let request = Request::post(format!("/build?{}", query(&spec)))
        .header(header::CONTENT_TYPE, "application/x-tar")
        .header("X-Registry-Config", registries(&spec.credentials)?);
    let (body, sent) = match spec.context {
        BuildContext::Archive(archive) => archive.into_body(),
        BuildContext::Remote(_) => (bollard::body_full(Bytes::new()), Sent::whole()),
    };
    Ok((request.body(body).map_err(strange)?, sent))
}

fn query(spec: &BuildSpec) -> String {
    let mut query = Serializer::new(String::new());
    let mut one = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            query.append_pair(name, &value);
        }
    };
    if let BuildContext::Remote(address) = &spec.context {
        one("remote", Some(address.clone()));
    }
    one("dockerfile", spec.dockerfile.clone());
    for name in &spec.names {
        one("t", Some(name.to_string()));
    }
    for host in &spec.extra_hosts {
        one(
            "extrahosts",
            Some(format!("{}:{}", host.name, host.address)),
        );
    }
    let args = spec.args.iter().map(|(name, value)| (name, value.expose()));
    one(
        "buildargs",
        unless_empty(json!(args.collect::<BTreeMap<_, _>>())),
    );
    one("labels", unless_empty(json!(spec.labels)));
    one("cachefrom", unless_empty(json!(spec.cache_from)));
    one(
        "ulimits",
        unless_empty(Value::Array(ulimits(&spec.ulimits))),
    );
    one("target", spec.target.clone());
    one("networkmode", spec.network.clone());
    one("shmsize", spec.shm_size.map(|bytes| bytes.to_string()));
    one("memory", spec.memory.map(|bytes| bytes.to_string()));
    one("isolation", spec.isolation.clone());
    one("platform", spec.platform.clone());
    one("nocache", spec.no_cache.then(|| "1".to_owned()));
    one("pull", spec.pull.then(|| "1".to_owned()));
    one("rm", Some("1".to_owned()));
    // Also after a step that failed: nobody looks for what is left of it.
    one("forcerm", Some("1".to_owned()));
    query.finish()
}

fn unless_empty(value: Value) -> Option<String> {
    let is_empty = match &value {
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    };
    (!is_empty).then(|| value.to_string())
}

fn ulimits(ulimits: &BTreeMap<String, Ulimit>) -> Vec<Value> {
    ulimits
        .iter()
        .map(|(name, limit)| json!({ "Name": name, "Soft": limit.soft, "Hard": limit.hard }))
        .collect()
}

/// All of them in one header; the engine picks those of the base images' registries.
fn registries(known: &BTreeMap<String, Credentials>) -> Result<HeaderValue, Problem> {
    let known: BTreeMap<_, _> = known
        .iter()
        .map(|(registry, who)| (registry, credentials_for(who, registry)))
        .collect();
    let strange = || Problem::Strange("the credentials cannot be written".to_owned());
    let text = serde_json::to_vec(&known).map_err(|_| strange())?;
    let mut value = HeaderValue::try_from(URL_SAFE.encode(text)).map_err(|_| strange())?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use model::Secret;

    use super::*;
    use crate::Archive;
    use crate::container::spec::ExtraHost;

    fn plain() -> BuildSpec {
        BuildSpec::of(BuildContext::Archive(Archive::whole("")))
    }

    fn check(change: impl FnOnce(&mut BuildSpec), expected: &[(&str, &str)]) {
        let mut spec = plain();
        change(&mut spec);
        let query = query(&spec);
        let found: Vec<_> = form_urlencoded::parse(query.as_bytes())
            .filter(|(name, _)| name != "rm" && name != "forcerm")
            .collect();
        let found: Vec<(&str, &str)> = found
            .iter()
            .map(|(name, value)| (name.as_ref(), value.as_ref()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_asked_for() {
        check(|_| {}, &[]);
        check(
            |spec| {
                spec.names = vec!["a:1".parse().unwrap(), "b".parse().unwrap()];
                spec.args = BTreeMap::from([("K".to_owned(), Secret::new("a&b=c d"))]);
                spec.labels = BTreeMap::from([("l".to_owned(), "\"".to_owned())]);
            },
            &[
                ("t", "a:1"),
                ("t", "b"),
                ("buildargs", r#"{"K":"a&b=c d"}"#),
                ("labels", r#"{"l":"\""}"#),
            ],
        );
        check(
            |spec| {
                spec.context = BuildContext::Remote("https://x.example/a.git#main:web".to_owned());
                spec.dockerfile = Some("web/Dockerfile".to_owned());
                spec.extra_hosts = ["10.0.0.1", "::1"]
                    .map(|address| ExtraHost {
                        name: "db".to_owned(),
                        address: address.to_owned(),
                    })
                    .to_vec();
                let limit = Ulimit { soft: 1, hard: -1 };
                spec.ulimits = BTreeMap::from([("nofile".to_owned(), limit)]);
                spec.shm_size = Some(1 << 32);
                (spec.no_cache, spec.pull) = (true, true);
            },
            &[
                ("remote", "https://x.example/a.git#main:web"),
                ("dockerfile", "web/Dockerfile"),
                ("extrahosts", "db:10.0.0.1"),
                ("extrahosts", "db:::1"),
                ("ulimits", r#"[{"Hard":-1,"Name":"nofile","Soft":1}]"#),
                ("shmsize", "4294967296"),
                ("nocache", "1"),
                ("pull", "1"),
            ],
        );
    }

    #[test]
    fn credentials_go_along_and_are_not_told() {
        let mut spec = plain();
        let who = Credentials {
            user: "carla".to_owned(),
            password: Secret::new("hunter2"),
        };
        spec.credentials = BTreeMap::from([("r.example.org".to_owned(), who)]);
        let (request, _) = of(spec).unwrap();
        let header = &request.headers()["x-registry-config"];
        assert!(header.is_sensitive());
        let text = URL_SAFE.decode(header.as_bytes()).unwrap();
        let found: Value = serde_json::from_slice(&text).unwrap();
        let found = &found["r.example.org"];
        assert_eq!(
            (
                &found["username"],
                &found["password"],
                &found["serveraddress"]
            ),
            (&json!("carla"), &json!("hunter2"), &json!("r.example.org"))
        );
    }
}
