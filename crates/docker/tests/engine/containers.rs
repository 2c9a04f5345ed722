//! Containers' lives.

use std::time::Duration;

use docker::container::spec::{HealthTest, Healthcheck, Restart};
use docker::container::{HealthStatus, LogRequest, OutputStream, Removal, State, WaitFor};
use docker::exec::{ExecLimits, ExecSpec};
use docker::{Archive, Filter, Problem, if_found};
use futures_util::StreamExt as _;

use crate::support::{Desk, image, name, shell, spec};

#[tokio::test]
async fn a_life() {
    let Some(desk) = Desk::start().await else {
        return;
    };
    let engine = &desk.engine;
    let web = desk
        .create("web", |spec| {
            spec.command = shell("echo out; echo err >&2; sleep 1000");
            spec.labels.insert("stack".into(), "7".into());
            let secret = Some("hunter2".into());
            spec.environment.insert("PASSWORD".into(), secret);
            spec.stop_signal = Some("SIGKILL".into());
        })
        .await;
    assert_eq!(desk.seen(&web).await.state, State::Created);
    engine.start_container(&web).await.unwrap();
    engine.start_container(&web).await.unwrap();
    let seen = desk.seen(&web).await;
    assert!(matches!(
        seen.state,
        State::Running {
            pid: 1..,
            since: Some(_)
        }
    ));
    assert_eq!(seen.labels["made-by"], "test");
    assert_eq!(seen.environment["PASSWORD"].expose(), "hunter2");
    assert!(!format!("{seen:?}").contains("hunter2"));

    let listed = engine
        .list_containers(Filter::all().label("stack", "7"))
        .await
        .unwrap();
    assert_eq!((listed.len(), listed[0].state.as_str()), (1, "running"));
    let others = engine
        .list_containers(Filter::all().label("stack", "8"))
        .await
        .unwrap();
    assert!(others.is_empty());

    let new = name("web-old");
    engine.rename_container(&web, &new).await.unwrap();
    let waiting = engine.wait_container(&new, WaitFor::NotRunning);
    let stopping = engine.stop_container(&new, Some(Duration::from_secs(5)));
    let (code, stopped) = tokio::join!(waiting, stopping);
    stopped.unwrap();
    assert_eq!(code.unwrap(), 137);
    assert!(matches!(
        desk.seen(&new).await.state,
        State::Exited { exit_code: 137, .. }
    ));
    // The two outputs come through two pipes.
    let lines = engine.last_lines(&new, 5).await.unwrap();
    assert!(
        lines.contains("out\n") && lines.contains("err\n"),
        "{lines}"
    );
    assert_eq!(engine.last_lines(&new, 1).await.unwrap().lines().count(), 1);
    engine
        .remove_container(&new, Removal::Stopped)
        .await
        .unwrap();
    assert!(
        if_found(engine.inspect_container(&new).await)
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn output_programs_and_files() {
    let Some(desk) = Desk::start().await else {
        return;
    };
    let engine = &desk.engine;
    let talker = desk
        .run("talker", |spec| {
            let line =
                "for i in 1 2 3; do echo line $i; done; echo bad >&2; read x; echo $x; exit 3";
            spec.command = shell(line);
            spec.open_stdin = true;
        })
        .await;
    let request = LogRequest {
        follow: true,
        ..LogRequest::default()
    };
    let mut logs = engine.logs(&talker, request);
    let mut text = String::new();
    while !text.contains("line 3") || !text.contains("bad") {
        let chunk = logs.next().await.unwrap().unwrap();
        let piece = String::from_utf8_lossy(&chunk.bytes).into_owned();
        assert_eq!(chunk.stream == OutputStream::Error, piece.contains("bad"));
        text.push_str(&piece);
    }
    let tail = LogRequest {
        tail: Some(1),
        ..LogRequest::default()
    };
    assert_eq!(engine.logs(&talker, tail).count().await, 1);

    let echo = ExecSpec::new(["sh", "-c", "cat; echo $WHO >&2; exit 4"]);
    let mut echo_as = echo.clone();
    echo_as.environment.insert("WHO".into(), "me".into());
    let input = vec![b'x'; 300_000];
    let done = engine
        .run_exec(&talker, &echo_as, &input, ExecLimits::default())
        .await
        .unwrap();
    assert_eq!((done.exit_code, done.output.len()), (4, input.len()));
    assert_eq!(done.errors, b"me\n");
    let little = ExecLimits {
        output: 10,
        ..ExecLimits::default()
    };
    let error = engine
        .run_exec(&talker, &echo, &input, little)
        .await
        .unwrap_err();
    assert!(matches!(error.problem(), Problem::TooLong(10)), "{error:?}");
    let short = ExecLimits {
        time: Duration::from_millis(200),
        ..ExecLimits::default()
    };
    let sleep = ExecSpec::new(["sleep", "100"]);
    let error = engine
        .run_exec(&talker, &sleep, b"", short)
        .await
        .unwrap_err();
    assert!(matches!(error.problem(), Problem::TimedOut(_)), "{error:?}");

    let mut files = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(2);
    header.set_mode(0o640);
    files.append_data(&mut header, "new", &b"hi"[..]).unwrap();
    let files = files.into_inner().unwrap();
    engine
        .copy_in(&talker, "/srv", Archive::whole(files))
        .await
        .unwrap();
    let out: Vec<_> = engine.copy_out(&talker, "/srv/new").collect().await;
    let out: Vec<u8> = out
        .into_iter()
        .flat_map(|chunk| chunk.unwrap().to_vec())
        .collect();
    let mut out = tar::Archive::new(&out[..]);
    let mut entries = out.entries().unwrap();
    let content = std::io::read_to_string(entries.next().unwrap().unwrap()).unwrap();
    assert_eq!(content, "hi");
    let nowhere = engine
        .copy_in(&talker, "/nowhere", Archive::whole(Vec::new()))
        .await;
    assert!(nowhere.unwrap_err().is_not_found());
}

#[tokio::test]
async fn restarts_and_health() {
    let Some(desk) = Desk::start().await else {
        return;
    };
    let engine = &desk.engine;
    let test = |line: &str| {
        Some(Healthcheck::Test(HealthTest {
            command: vec!["CMD-SHELL".into(), line.into()],
            interval: Some(Duration::from_millis(100)),
            retries: Some(1),
            ..HealthTest::default()
        }))
    };
    let kind = Filter::all().with("event", "health_status");
    let mut events = engine.events(kind);
    let sick = desk.run("sick", |spec| {
        spec.healthcheck = test("echo no good; test -e /tmp/well");
    });
    let sick = sick.await;
    assert_eq!(
        events.next().await.unwrap().unwrap().action,
        "health_status: unhealthy"
    );
    let health = desk.seen(&sick).await.health.unwrap();
    assert_eq!(health.status, HealthStatus::Unhealthy);
    assert_eq!(health.output.trim(), "no good");
    let touch = ExecSpec::new(["touch", "/tmp/well"]);
    engine
        .run_exec(&sick, &touch, b"", ExecLimits::default())
        .await
        .unwrap();
    let event = events.next().await.unwrap().unwrap();
    assert_eq!(event.action, "health_status: healthy");
    assert_eq!(
        (event.kind.as_str(), event.attributes["name"].as_str()),
        ("container", "sick")
    );
    assert_eq!(desk.health(&sick).await, Some(HealthStatus::Healthy));

    let mut deaths = engine.events(Filter::all().with("event", "die"));
    let dying = desk
        .run("dying", |spec| {
            spec.command = shell("exit 5");
            spec.restart = Restart::OnFailure(Some(2));
        })
        .await;
    for _ in 0..3 {
        assert_eq!(
            deaths.next().await.unwrap().unwrap().attributes["exitCode"],
            "5"
        );
    }
    let code = engine
        .wait_container(&dying, WaitFor::NotRunning)
        .await
        .unwrap();
    assert_eq!((code, desk.seen(&dying).await.restarts), (5, 2));
}

#[tokio::test]
async fn what_goes_wrong_is_told_apart() {
    let Some(desk) = Desk::start().await else {
        return;
    };
    let engine = &desk.engine;
    let web = desk.run("web", |_| {}).await;

    let error = engine
        .create_container(&web, &spec(|_| {}))
        .await
        .unwrap_err();
    assert!(error.is_conflict(), "{error:?}");
    assert!(
        error
            .to_string()
            .starts_with("cannot create the container `web` at unix:///")
    );
    let no_image = spec(|spec| spec.image = image("missing:1"));
    let error = engine
        .create_container(&name("other"), &no_image)
        .await
        .unwrap_err();
    assert!(error.is_not_found(), "{error:?}");
    assert!(
        error.problem().to_string().contains("missing:1"),
        "{error:?}"
    );
    let error = engine
        .remove_container(&web, Removal::Stopped)
        .await
        .unwrap_err();
    assert!(error.is_conflict(), "{error:?}");
    let error = engine.start_container(&name("nobody")).await.unwrap_err();
    assert!(error.is_not_found(), "{error:?}");

    let broken = desk
        .create("broken", |spec| {
            spec.command = Some(vec!["/no/such/program".into()]);
        })
        .await;
    let error = engine.start_container(&broken).await.unwrap_err();
    let reason = error.problem().to_string();
    assert!(reason.contains("/no/such/program"), "{error:?}");
    engine.kill_container(&web, "SIGKILL").await.unwrap();
    assert_eq!(
        engine
            .wait_container(&web, WaitFor::NotRunning)
            .await
            .unwrap(),
        137
    );
    let error = engine.kill_container(&web, "SIGTERM").await.unwrap_err();
    assert!(error.is_conflict(), "{error:?}");
    let nothing = ExecSpec::new(["true"]);
    let run = engine.run_exec(&web, &nothing, b"", ExecLimits::default());
    assert!(run.await.unwrap_err().is_conflict());
}
