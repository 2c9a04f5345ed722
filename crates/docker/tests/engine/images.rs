//! Images: by name and id, named further, removed, loaded, and pulled from a registry that asks
//! who is there.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::thread;

use docker::image::{BuildContext, BuildProgress, BuildSpec, Credentials, Pull};
use docker::{Archive, Filter, ImageRef, if_found};

use crate::support::{Desk, TOOLS, image};

#[tokio::test]
async fn names_and_removal() {
    let Some(desk) = Desk::start().await else {
        return;
    };
    let engine = &desk.engine;
    let seen = engine.inspect_image(&image(TOOLS)).await.unwrap();
    assert_eq!(seen.command, ["sleep", "1000"]);
    assert_eq!(seen.labels["made-by"], "test");
    assert_eq!(seen.tags, [TOOLS]);
    let by_id: ImageRef = seen.id.as_str().parse().unwrap();
    assert_eq!(engine.inspect_image(&by_id).await.unwrap(), seen);

    let other = image("shop/web:2");
    engine.tag_image(&image(TOOLS), &other).await.unwrap();
    let listed = engine
        .list_images(Filter::all().label("made-by", "test"))
        .await
        .unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].tags.len(), 2);
    engine.remove_image(&other).await.unwrap();
    assert!(
        if_found(engine.inspect_image(&other).await)
            .unwrap()
            .is_none()
    );
    assert!(
        engine
            .remove_image(&other)
            .await
            .unwrap_err()
            .is_not_found()
    );

    let web = desk.run("web", |_| {}).await;
    assert!(
        engine
            .remove_image(&image(TOOLS))
            .await
            .unwrap_err()
            .is_conflict(),
        "{web} uses it"
    );
    let use_ = engine.disk_use().await.unwrap();
    assert!(use_.layers > 1_000_000, "{use_:?}");
}

#[tokio::test]
async fn saved_images_are_loaded() {
    let Some(desk) = Desk::start().await else {
        return;
    };
    let client = testkit::dockerd::clients().pop_first().unwrap();
    let saved = desk
        .daemon
        .client(&client)
        .args(["save", TOOLS])
        .output()
        .unwrap();
    desk.engine.remove_image(&image(TOOLS)).await.unwrap();
    let said = desk
        .engine
        .load_images(Archive::whole(saved.stdout))
        .await
        .unwrap();
    assert_eq!(said, [format!("Loaded image: {TOOLS}")]);
    desk.engine.inspect_image(&image(TOOLS)).await.unwrap();
    let nonsense = desk.engine.load_images(Archive::whole("no archive")).await;
    assert!(nonsense.is_err());
}

#[tokio::test]
async fn a_pull_brings_its_credentials_and_the_registrys_words() {
    let Some(desk) = Desk::start().await else {
        return;
    };
    let listener = desk.daemon.listen();
    let registry = listener.local_addr().unwrap();
    let asked = thread::spawn(move || refuse_until_credentials(&listener));
    // Their base64 has characters that differ between the two alphabets.
    let password = "~~~???>>>ÿÿÿ";
    let pull = |credentials| Pull {
        image: image(&format!("{registry}/shop/web:1")),
        credentials,
        platform: None,
    };
    let error = desk
        .engine
        .pull_image(&pull(None), |_| {})
        .await
        .unwrap_err();
    let text = format!("{error}: {}", error.problem());
    assert!(
        text.contains("cannot pull the image") && text.contains("auth"),
        "{text}"
    );
    let who = Credentials {
        user: "carla".to_owned(),
        password: password.into(),
    };
    let error = desk
        .engine
        .pull_image(&pull(Some(who)), |_| {})
        .await
        .unwrap_err();
    assert!(!format!("{error:?}").contains(password));
    let authorization = asked.join().unwrap();
    assert_eq!(authorization, "Basic Y2FybGE6fn5+Pz8/Pj4+w7/Dv8O/");
}

#[tokio::test]
async fn a_build_shows_its_base_images_registry_who_asks() {
    let Some(desk) = Desk::start().await else {
        return;
    };
    let listener = desk.daemon.listen();
    let registry = listener.local_addr().unwrap().to_string();
    let asked = thread::spawn(move || refuse_until_credentials(&listener));
    let dockerfile = format!("FROM {registry}/shop/web:1\n");
    let who = Credentials {
        user: "carla".to_owned(),
        password: "~~~???>>>ÿÿÿ".into(),
    };
    let other = Credentials {
        user: "other".to_owned(),
        password: "x".into(),
    };
    let spec = build(
        &dockerfile,
        BTreeMap::from([(registry, who), ("r.example.org".to_owned(), other)]),
    );
    let error = desk.engine.build_image(spec, |_| {}).await.unwrap_err();
    assert!(
        error.to_string().contains("build the image `built:1`"),
        "{error}"
    );
    assert_eq!(asked.join().unwrap(), "Basic Y2FybGE6fn5+Pz8/Pj4+w7/Dv8O/");
}

#[tokio::test]
async fn a_build_is_heard_and_named() {
    let Some(desk) = Desk::start().await else {
        return;
    };
    let mut heard = String::new();
    let spec = build("FROM tools:1\nRUN echo hard at work\n", BTreeMap::new());
    let id = desk.engine.build_image(spec, |said| match said {
        BuildProgress::Output(text) => heard += &text,
        BuildProgress::Pull(step) => panic!("{step:?}"),
    });
    let id = id.await.unwrap();
    assert!(heard.contains("hard at work"), "{heard}");
    let seen = desk.engine.inspect_image(&image("built:1")).await.unwrap();
    assert_eq!(seen.id, id);
    let spec = build("FRO tools:1\n", BTreeMap::new());
    let error = desk.engine.build_image(spec, |_| {}).await.unwrap_err();
    assert!(error.problem().to_string().contains("FRO"), "{error:?}");
}

fn build(dockerfile: &str, credentials: BTreeMap<String, Credentials>) -> BuildSpec {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(dockerfile.len() as u64);
    header.set_mode(0o644);
    archive
        .append_data(&mut header, "Dockerfile", dockerfile.as_bytes())
        .unwrap();
    let archive = Archive::whole(archive.into_inner().unwrap());
    BuildSpec {
        names: vec![image("built:1")],
        credentials,
        ..BuildSpec::of(BuildContext::Archive(archive))
    }
}

/// Answers 401 until somebody says who they are, and returns what they said.
fn refuse_until_credentials(listener: &TcpListener) -> String {
    loop {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let mut head = lines
            .by_ref()
            .map_while(Result::ok)
            .take_while(|line| !line.is_empty());
        let said = head.find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("authorization")
                .then(|| value.to_owned())
        });
        let body = r#"{"errors":[{"code":"UNAUTHORIZED","message":"who are you?"}]}"#;
        let answer = format!(
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\n\
             Docker-Distribution-Api-Version: registry/2.0\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let _gone = stream.write_all(answer.as_bytes());
        if let Some(said) = said {
            return said;
        }
    }
}
