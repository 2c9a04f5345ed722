//! Stories of labs on this machine. They need root; without it they are skipped, aloud.

#![allow(
    clippy::unwrap_used,
    reason = "a story that cannot go on shall stop there"
)]

mod leftovers;
mod story;

use std::process::Command;
use std::time::Duration;

use lab::{Detached, Error, Lab, Spec, Started};
use leftovers::leftovers;
use story::{Story, is_root, ups};

#[test]
fn two_labs_live_side_by_side() {
    let Some(story) = Story::begin("two_labs_live_side_by_side") else {
        return;
    };
    let first = story.up(
        "a",
        &["one", "two"],
        &["registry.example=gateway", "peer.example=two"],
    );
    let second = story.up("b", &["one"], &[]);
    assert_ne!(first.subnet(), second.subnet());
    assert_ne!(
        first.host("one").unwrap().address(),
        second.host("one").unwrap().address()
    );

    hosts_reach_each_other(&first);
    engines_are_separate(&first, &second);
    containers_reach_names_and_the_outside(&first, &second);

    let (first_name, first_folder) = (first.name().clone(), first.folder().path().to_owned());
    drop(first);
    assert_eq!(leftovers(&first_name, &first_folder), [""; 0]);
    assert_eq!(
        story::run(
            &second.host("one").unwrap(),
            &["docker", "info", "--format", "{{.Name}}"]
        ),
        "one"
    );
}

fn hosts_reach_each_other(lab: &Lab) {
    let one = lab.host("one").unwrap();
    let two = lab.host("two").unwrap();
    assert_eq!(story::run(&one, &["hostname"]), "one");
    for (name, address) in [
        ("two", two.address()),
        ("two.lab", two.address()),
        ("peer.example", two.address()),
        ("lotse.lab", lab.gateway()),
        ("registry.example", lab.gateway()),
    ] {
        let found = story::run(&one, &["getent", "ahostsv4", name]);
        assert!(found.starts_with(&address.to_string()), "{name}: {found}");
    }
    assert_eq!(
        story::run(
            &one,
            &[
                "ssh",
                "-o",
                "BatchMode=yes",
                "two.lab",
                "hostname; command -v docker"
            ]
        ),
        "two\n/usr/bin/docker"
    );
    let from_here = Command::new("ssh")
        .arg("-F")
        .arg(one.ssh_config())
        .args(["two", "hostname"])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&from_here.stdout),
        "two\n",
        "{from_here:?}"
    );
    // What belongs to this machine is out of sight.
    assert_eq!(
        story::run(&one, &["sh", "-c", "ls /home /tmp /mnt; ls -A /root"]),
        "/home:\n\n/mnt:\n\n/tmp:\n.ssh"
    );
}

fn engines_are_separate(first: &Lab, second: &Lab) {
    let one = first.host("one").unwrap();
    story::import_image(&one);
    let images = ["docker", "images", "--quiet"];
    assert_ne!(story::run(&one, &images), "");
    assert_eq!(story::run(&first.host("two").unwrap(), &images), "");
    assert_eq!(story::run(&second.host("one").unwrap(), &images), "");
    let socket = format!("unix://{}", one.docker_socket().display());
    let from_here = Command::new("/usr/bin/docker")
        .args(["--host", &socket, "images", "--quiet"])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&from_here.stdout).trim(),
        story::run(&one, &images)
    );
}

fn containers_reach_names_and_the_outside(first: &Lab, second: &Lab) {
    // The second lab is "outside" for the first: the way there is forwarded and translated.
    let outside = second.host("one").unwrap();
    story::import_image(&outside);
    story::serve(&outside, "hello from outside");
    let address = outside.address().to_string();
    assert_eq!(
        story::ask(&address),
        "hello from outside",
        "a published port answers this machine"
    );

    let one = first.host("one").unwrap();
    let in_container = |script: &str| {
        story::run(
            &one,
            &["docker", "run", "--rm", "image", "bash", "-c", script],
        )
    };
    let ask = format!("exec 3<>/dev/tcp/{address}/8000; read -r line <&3; echo \"$line\"");
    assert_eq!(in_container(&ask), "hello from outside");
    let names = in_container("getent ahostsv4 lotse.lab; getent ahostsv4 peer.example");
    assert!(names.contains(&first.gateway().to_string()), "{names}");
    assert!(
        names.contains(&first.host("two").unwrap().address().to_string()),
        "{names}"
    );
}

#[test]
fn up_again_mends_what_is_broken_and_leaves_the_rest() {
    let Some(story) = Story::begin("up_again_mends_what_is_broken_and_leaves_the_rest") else {
        return;
    };
    let lab = story.up("a", &["one"], &[]);
    let one = lab.host("one").unwrap();
    story::import_image(&one);
    assert_eq!(
        ups(&story.spec("a", &["one"], &[])),
        [("one".to_owned(), vec![])],
        "all is healthy"
    );

    story::run(&one, &["pkill", "-KILL", "dockerd"]);
    assert_eq!(
        ups(&story.spec("a", &[], &[])),
        [("one".to_owned(), vec!["engine"])]
    );

    story::kill_first_process(lab.name(), "one");
    assert!(!one.is_running());
    assert!(matches!(one.exec(&["true"]), Err(Error::HostDown { .. })));
    assert_eq!(
        ups(&story.spec("a", &[], &[])),
        [("one".to_owned(), vec!["host", "sshd", "engine"])]
    );
    assert_ne!(
        story::run(&one, &["docker", "images", "--quiet", "image"]),
        "",
        "the engine's data is kept"
    );

    let mut added = ups(&story.spec("a", &["two"], &["new.example=two"]));
    added.sort();
    assert_eq!(
        added,
        [
            ("one".to_owned(), vec![]),
            ("two".to_owned(), vec!["host", "sshd", "engine"])
        ]
    );
    assert!(
        story::run(&one, &["getent", "ahostsv4", "new.example"]).starts_with("10.87."),
        "old hosts learn new names"
    );
}

#[test]
fn a_shared_folder_is_the_same_on_its_hosts_also_after_one_was_off() {
    let Some(story) =
        Story::begin("a_shared_folder_is_the_same_on_its_hosts_also_after_one_was_off")
    else {
        return;
    };
    let spec = story.spec("a", &["one", "two", "three"], &[]);
    let spec = spec.share("/storage=one,two".parse().unwrap());
    let lab = Lab::up(&spec).unwrap().throwaway();
    let hosts = ["one", "two", "three"].map(|name| lab.host(name).unwrap());
    story::run(&hosts[0], &["sh", "-c", "echo shared >/storage/file"]);
    assert_eq!(story::run(&hosts[1], &["cat", "/storage/file"]), "shared");
    assert_eq!(story::run(&hosts[2], &["ls", "/storage"]), "");

    story::run(&hosts[1], &["sh", "-c", "echo own >/srv/file"]);
    lab.stop("two").unwrap();
    assert!(!hosts[1].is_running());
    lab.stop("two").unwrap();
    story::run(&hosts[0], &["sh", "-c", "echo later >/storage/file"]);
    let mut started = ups(&story.spec("a", &[], &[]));
    started.retain(|(_, parts)| !parts.is_empty());
    assert_eq!(started, [("two".into(), vec!["host", "sshd", "engine"])]);
    assert_eq!(story::run(&hosts[1], &["cat", "/storage/file"]), "later");
    assert_eq!(story::run(&hosts[1], &["cat", "/srv/file"]), "own");

    let late = story
        .spec("a", &[], &[])
        .share("/srv=three".parse().unwrap());
    assert!(matches!(Lab::up(&late), Err(Error::ShareTooLate { .. })));
    lab.stop("three").unwrap();
    Lab::up(&late).unwrap();
}

#[test]
fn down_leaves_nothing_also_after_a_crash() {
    let Some(story) = Story::begin("down_leaves_nothing_also_after_a_crash") else {
        return;
    };
    let lab = story.up("a", &["one", "two"], &[]);
    let (name, folder) = (lab.name().clone(), lab.folder().path().to_owned());
    let one = lab.host("one").unwrap();
    story::import_image(&one);
    story::serve(&one, "x");
    assert_ne!(
        leftovers(&name, &folder),
        [""; 0],
        "the search finds a lab that is up"
    );

    // As if its maker had died in the middle: one host half there, the record not written.
    story::kill_first_process(&name, "two");
    fs_err::remove_file(folder.join("lab.json")).unwrap();
    Lab::remove(&name, &folder).unwrap();
    assert_eq!(leftovers(&name, &folder), [""; 0]);
    Lab::remove(&name, &folder).unwrap();
}

#[test]
fn a_maker_killed_at_any_moment_can_be_followed_by_up_or_down() {
    let Some(story) = Story::begin("a_maker_killed_at_any_moment_can_be_followed_by_up_or_down")
    else {
        return;
    };
    let before = story::own_files_of_this_machine();
    let (name, folder) = (story.name("a"), story.path("a"));
    for milliseconds in [10, 40, 80, 120, 160, 200, 300, 500, 800] {
        story.kill_a_maker("a", Duration::from_millis(milliseconds));
        if milliseconds % 3 == 0 {
            let lab = story.up("a", &["one"], &[]);
            assert_eq!(
                story::run(
                    &lab.host("one").unwrap(),
                    &["docker", "info", "--format", "{{.Name}}"]
                ),
                "one"
            );
        }
        Lab::remove(&name, &folder).unwrap();
        assert_eq!(
            leftovers(&name, &folder),
            [""; 0],
            "killed after {milliseconds} ms"
        );
    }
    assert_eq!(story::own_files_of_this_machine(), before);
}

/// Not a test of its own: the process that the test above kills.
#[test]
#[ignore = "started and killed by another test"]
fn maker() {
    if let (Ok(name), Ok(folder)) = (std::env::var("MAKER_LAB"), std::env::var("MAKER_FOLDER")) {
        let spec = Spec::new(name.parse().unwrap()).folder(folder);
        Lab::up(
            &spec
                .host("one".parse().unwrap())
                .host("two".parse().unwrap()),
        )
        .unwrap();
    }
}

#[test]
fn commands_pass_through_and_detached_ones_stay_until_the_lab_goes() {
    let Some(story) =
        Story::begin("commands_pass_through_and_detached_ones_stay_until_the_lab_goes")
    else {
        return;
    };
    let lab = story.up("a", &["one"], &[]);
    let one = lab.host("one").unwrap();
    let output = one
        .exec(&["sh", "-c", "echo out; echo err >&2; exit 7"])
        .unwrap();
    assert_eq!(
        (output.status.code(), &output.stdout[..], &output.stderr[..]),
        (Some(7), &b"out\n"[..], &b"err\n"[..])
    );

    let log = story.path("sleeper.log");
    let mut sleeper = Detached {
        name: "sleeper".parse().unwrap(),
        invocation: (&["sh", "-c", "echo $GREETING from $PWD; exec sleep 1000"][..]).into(),
        log: Some(log.clone()),
    };
    sleeper
        .invocation
        .variables
        .push(("GREETING".into(), "hello".into()));
    sleeper.invocation.folder = Some("/storage".into());
    assert_eq!(one.start(&sleeper).unwrap(), Started::Now);
    assert_eq!(one.start(&sleeper).unwrap(), Started::Before);
    story::await_that("the sleeper wrote its line", || {
        fs_err::read_to_string(&log).unwrap() == "hello from /storage\n"
    });
    one.stop(&sleeper.name).unwrap();
    assert_eq!(one.start(&sleeper).unwrap(), Started::Now);
    assert_eq!(
        story::run(&one, &["pgrep", "--count", "--full", "^sleep 1000$"]),
        "1"
    );

    sleeper.name = "nothing".parse().unwrap();
    sleeper.invocation.words = vec!["no-such-command".into()];
    let error = one.start(&sleeper).unwrap_err().to_string();
    assert!(error.contains("no-such-command: not found"), "{error}");

    let processes = || {
        Command::new("pgrep")
            .args(["--full", "^sleep 1000$"])
            .output()
            .unwrap()
            .stdout
    };
    assert_ne!(processes(), b"");
    drop(lab);
    assert_eq!(String::from_utf8_lossy(&processes()), "");
}

#[test]
fn a_folder_that_is_not_a_labs_is_neither_used_nor_removed() {
    let Some(story) = Story::begin("a_folder_that_is_not_a_labs_is_neither_used_nor_removed")
    else {
        return;
    };
    let folder = story.path("precious");
    fs_err::create_dir(&folder).unwrap();
    fs_err::write(folder.join("letter"), "dear").unwrap();
    let spec = Spec::new("precious".parse().unwrap())
        .folder(&folder)
        .host("one".parse().unwrap());
    assert!(matches!(Lab::up(&spec), Err(Error::NotALab { .. })));
    Lab::remove(&"precious".parse().unwrap(), &folder).unwrap();
    assert_eq!(
        fs_err::read_to_string(folder.join("letter")).unwrap(),
        "dear"
    );
}

#[test]
fn one_lab_of_a_name_and_one_in_a_folder() {
    let Some(story) = Story::begin("one_lab_of_a_name_and_one_in_a_folder") else {
        return;
    };
    let lab = story.up("a", &["one"], &[]);
    let elsewhere = story.spec("a", &["one"], &[]).folder(story.path("b"));
    assert!(matches!(Lab::up(&elsewhere), Err(Error::NameTaken { .. })));
    assert!(!story.path("b").exists(), "a refusal leaves nothing");
    let intruder = story.spec("b", &["two"], &[]).folder(story.path("a"));
    assert!(matches!(Lab::up(&intruder), Err(Error::FolderTaken { .. })));
    let removed = Lab::remove(&story.name("b"), &story.path("a"));
    assert!(matches!(removed, Err(Error::FolderTaken { .. })));
    assert_eq!(story::run(&lab.host("one").unwrap(), &["hostname"]), "one");
}

#[test]
fn a_folder_too_deep_for_sockets_is_refused() {
    let Some(story) = Story::begin("a_folder_too_deep_for_sockets_is_refused") else {
        return;
    };
    let spec = story.spec(&"deep/".repeat(20), &["one"], &[]);
    let error = Lab::up(&spec).unwrap_err();
    assert!(matches!(error, Error::FolderTooDeep { .. }), "{error}");
    Lab::remove(
        &story.name(&"deep/".repeat(20)),
        &story.path(&"deep/".repeat(20)),
    )
    .unwrap();
}

#[test]
fn without_root_a_lab_says_so() {
    if is_root() {
        return;
    }
    let spec = Spec::new("demo".parse().unwrap()).host("one".parse().unwrap());
    let error = Lab::up(&spec).unwrap_err();
    assert!(error.hint().unwrap().starts_with("run: sudo "), "{error}");
}
