//! What the same change costs without `lotse deploy`, under the same load: the first form of the
//! pipeline (`down`, prune, `up`), and `docker-compose up -d` on one host after the other.

use std::time::{Duration, Instant};

use crate::laptop::{HOSTS, Laptop, example, run};
use crate::visitors::Visitors;

/// From 1.0.0 to 1.0.1 and back. Requests fail here.
pub(crate) async fn measure(laptop: &Laptop) {
    let visitors = Visitors::come(&laptop.doors(), "v1.0.0");
    visitors.expect("v1.0.1");
    let took = first_form(laptop).await;
    let failed = tell("the first form's `down`, prune, `up -d`", took, visitors).await;
    assert!(failed > 10, "visitors see what fails");

    let visitors = Visitors::come(&laptop.doors(), "v1.0.1");
    visitors.expect("v1.0.0");
    let took = up(laptop).await;
    tell("`docker-compose up -d`", took, visitors).await;
}

async fn tell(what: &str, took: Duration, visitors: Visitors) -> usize {
    let (failed, sent) = visitors.leave().await;
    println!("{what}: {took:.1?}, {failed} of {sent} requests failed");
    failed
}

/// As the tag's own pipeline does it: the time of its two deploy jobs, and until the site answers.
async fn first_form(laptop: &Laptop) -> Duration {
    laptop.push_tag("v1.0.1").await;
    let end = Instant::now();
    for host in HOSTS {
        laptop.await_release(host, "v1.0.1").await;
    }
    let jobs = laptop.job_took("prod_one-deploy").await + laptop.job_took("prod_two-deploy").await;
    jobs + end.elapsed()
}

async fn up(laptop: &Laptop) -> Duration {
    let begin = Instant::now();
    for host in HOSTS {
        let file = ["--file", "docker-compose.prod.yml", "up", "-d"];
        let mut command = laptop.command("/usr/bin/docker-compose", &file);
        let socket = laptop.host(host).docker_socket();
        command
            .env("DOCKER_HOST", format!("unix://{}", socket.display()))
            .env("CI_REGISTRY", "registry.lotse.lab")
            .env("CI_REGISTRY_IMAGE", "registry.lotse.lab/invenio/repository")
            .env("TAG_PROD", "v1.0.0")
            .env("ENV_FILE_PROD", example().join("env.prod"));
        run(command).await;
        laptop.await_release(host, "v1.0.0").await;
    }
    begin.elapsed()
}
