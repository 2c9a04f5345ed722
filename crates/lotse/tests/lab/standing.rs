//! The better way to deploy the demo's services: all five as standing services of one project. They are
//! moved over from the first form with their data, then deployed from a laptop and by a job; a bad image
//! of one leaves what ran.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::laptop::{Laptop, run};
use crate::services::{Record, SERVICES, found, sql};

const TEST: &str = "invenio03-test";
const NAMES: [&str; 5] = ["cache", "elasticsearch", "exim4", "postgresql", "rabbitmq"];

pub(crate) async fn tell(laptop: &Laptop) {
    let kept = Record::post(laptop, "compass", 0).await;
    kept.await_done(laptop).await;
    let begin = Instant::now();
    // the test host first, as whoever moves would
    move_over(laptop, "services-test", TEST).await;
    move_over(laptop, "services", SERVICES).await;
    println!("both hosts' services moved over in {:.1?}", begin.elapsed());
    the_site_has_what_it_had(laptop, &kept).await;

    by_a_job(laptop).await;
    the_site_has_what_it_had(laptop, &kept).await;
    a_bad_image_leaves_what_ran(laptop).await;
    and_back_again(laptop).await;
}

async fn move_over(laptop: &Laptop, environment: &str, host: &str) {
    let host = format!("deploy@{host}");
    let words = [environment, &host];
    run(command(laptop, environment, "./move", &words)).await;
    all_are_well(laptop, environment).await;
}

/// `git push`: test host, then production; the database is dumped before each.
async fn by_a_job(laptop: &Laptop) {
    let dumps = || laptop.exec(SERVICES, &["ls", "/var/backups/postgresql"]);
    let before = dumps().lines().count();
    let push = ["push", "--quiet", "lotse", "master"];
    run(command(laptop, "services", "git", &push)).await;
    run(command(laptop, "services", LOTSE, &["pipeline", "watch"])).await;
    let dumps = dumps();
    assert_eq!(dumps.lines().count(), before + 1, "{dumps}");
}

/// The new cache ends as soon as it starts.
async fn a_bad_image_leaves_what_ran(laptop: &Laptop) {
    let set = "REDISCLI_AUTH=$REDIS_PASSWORD redis-cli set kept yes";
    let get = "REDISCLI_AUTH=$REDIS_PASSWORD redis-cli get kept";
    let cache = |script: &'static str| {
        [
            "exec",
            "-T",
            "services-test",
            "cache",
            "--",
            "sh",
            "-c",
            script,
        ]
    };
    run(command(laptop, "services-test", LOTSE, &cache(set))).await;
    push_a_bad_cache(laptop);
    let begin = Instant::now();
    let mut deploy = command(laptop, "services-test", LOTSE, &["deploy", "services-test"]);
    let output = tokio::task::spawn_blocking(move || deploy.output().unwrap());
    let output = output.await.unwrap();
    let said = testkit::dockerd::text_of(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cache ended and was started again"), "{said}");
    assert!(said.contains("no cache today"), "{said}");
    println!(
        "a bad image of the cache was taken back after {:.1?}",
        begin.elapsed()
    );
    let got = run(command(laptop, "services-test", LOTSE, &cache(get))).await;
    assert_eq!(got.trim(), "yes");
    all_are_well(laptop, "services-test").await;
}

/// The containers of the first form take the test host's services again, with all that they have. Who
/// was cut off at it says it once more.
async fn and_back_again(laptop: &Laptop) {
    let back = ["--back", &format!("deploy@{TEST}")];
    for _ in 0..2 {
        run(command(laptop, "services-test", "./move", &back)).await;
    }
    let get = "REDISCLI_AUTH=$REDIS_PASSWORD redis-cli get kept";
    let words = ["docker", "exec", "cache", "sh", "-c", get];
    let deadline = Instant::now() + Duration::from_secs(60);
    while laptop.host(TEST).exec(&words).unwrap().stdout != b"yes\n" {
        assert!(Instant::now() < deadline, "the cache has lost what it had");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Somebody pushes an image that does not run.
fn push_a_bad_cache(laptop: &Laptop) {
    let script = r#"
        image=registry.lotse.lab/invenio/cache
        docker login --username root --password-stdin registry.lotse.lab
        docker pull $image
        printf 'FROM %s\nCMD ["sh", "-c", "echo no cache today; exit 3"]\n' $image |
            DOCKER_BUILDKIT=0 docker build --tag $image -
        docker push $image"#;
    let mut build = laptop
        .host("build")
        .command(&["sh", "-ec", script][..].into())
        .unwrap();
    let token = fs_err::File::open(laptop.folder().join("data/first-token")).unwrap();
    let output = build.stdin(token.into_file()).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        testkit::dockerd::text_of(&output)
    );
}

async fn all_are_well(laptop: &Laptop, environment: &str) {
    let status = run(command(
        laptop,
        environment,
        LOTSE,
        &["status", environment, "--json"],
    ))
    .await;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let text = status.to_string();
    for name in NAMES {
        assert!(text.contains(name), "{name}: {text}");
    }
}

async fn the_site_has_what_it_had(laptop: &Laptop, kept: &Record) {
    let stored = format!(
        "SELECT count(*) FROM records_metadata WHERE id = '{}'",
        kept.id
    );
    assert_eq!(sql(laptop, &stored), "1");
    assert_eq!(kept.read(laptop).await["announced"], true);
    assert_eq!(found(laptop, &kept.word).await, [kept.id.as_str()]);
    assert_eq!(kept.mails(laptop), 1);
    Record::post(laptop, "sextant", 0)
        .await
        .await_done(laptop)
        .await;
}

const LOTSE: &str = env!("CARGO_BIN_EXE_lotse");

/// A program in the work tree of the services, with the passwords of an environment.
fn command(laptop: &Laptop, environment: &str, program: &str, arguments: &[&str]) -> Command {
    let mut command = laptop.command(program, arguments);
    command.current_dir(laptop.folder().join("services"));
    let secrets = laptop.folder().join("secrets").join(environment);
    for name in ["postgresql", "rabbitmq", "cache"] {
        let variable = format!("{}_ENV", name.to_uppercase());
        command.env(variable, secrets.join(format!("{name}.env")));
    }
    let programs = std::path::Path::new(LOTSE).parent().unwrap();
    command.env(
        "PATH",
        format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", programs.display()),
    );
    command
}
