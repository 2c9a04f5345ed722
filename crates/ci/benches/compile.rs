//! How long a compilation takes, and how it grows with the number of jobs.

#![allow(
    missing_docs,
    reason = "the macros of the harness make public functions"
)]
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark stops at what it did not expect"
)]

use std::fmt::Write as _;
use std::hint::black_box;

use ci::{Fetched, Input, Location};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use model::GitRef;

/// Of the size and kind of the file that Lotse was first made for.
const SMALL: &str = r#"
stages: [build, one, two]
build:
  stage: build
  before_script:
    - echo "$CI_REGISTRY_PASSWORD" | docker login -u "$CI_REGISTRY_USER" --password-stdin "$CI_REGISTRY"
    - docker image prune -f
  script:
    - docker build --no-cache -t "$CI_REGISTRY_IMAGE":$CI_COMMIT_TAG .
    - docker push "$CI_REGISTRY_IMAGE":$CI_COMMIT_TAG
  after_script: [docker logout $CI_REGISTRY]
  only: [tags]
  tags: [shell]
one:
  stage: one
  before_script: [docker-compose pull]
  script: [docker-compose up -d, curl --fail http://localhost/ping]
  only: [tags]
  tags: [prod01]
two:
  stage: two
  before_script: [docker-compose pull]
  script: [docker-compose up -d, curl --fail http://localhost/ping]
  only: [tags]
  tags: [prod02]
"#;

fn input(text: &str) -> Input {
    Input::new(".gitlab-ci.yml", text, GitRef::tag("v1.0.0").unwrap())
}

/// Jobs that extend, alias and have rules.
fn many(jobs: usize) -> String {
    let mut text = String::from(
        "stages: [build, test, deploy]\n\
         variables: {LEVEL: prod, REGION: eu}\n\
         .rules: &rules\n  - if: $CI_COMMIT_BRANCH == \"none\"\n    when: never\n  - if: $LEVEL =~ /^prod/\n    variables: {EXTRA: yes}\n\
         .base:\n  image: debian:12\n  before_script: [echo one, echo two]\n  variables: {BASE: x}\n\
         .more:\n  extends: .base\n  tags: [shell]\n",
    );
    for job in 0..jobs {
        let stage = ["build", "test", "deploy"][job * 3 / jobs.max(1)];
        write!(
            text,
            "job{job}:\n  extends: .more\n  stage: {stage}\n  rules: *rules\n  script: [echo $BASE {job}, make job{job}]\n"
        )
        .unwrap();
    }
    text
}

fn seed(criterion: &mut Criterion) {
    let input = input(SMALL);
    criterion.bench_function("compile/small", |bench| {
        bench.iter(|| ci::compile(black_box(&input)));
    });
}

fn growth(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compile/jobs");
    group.sample_size(10);
    for jobs in [500, 5_000, 50_000] {
        let input = input(&many(jobs));
        assert_eq!(ci::compile(&input).graph.unwrap().jobs.len(), jobs);
        group.throughput(Throughput::Elements(jobs as u64));
        group.bench_with_input(BenchmarkId::from_parameter(jobs), &input, |bench, input| {
            bench.iter(|| ci::compile(black_box(input)));
        });
    }
}

fn includes(criterion: &mut Criterion) {
    let names: Vec<_> = (0..150).map(|number| format!("ci/{number}.yml")).collect();
    let mut input = input(&format!("include: [{}]\n", names.join(", ")));
    for (number, path) in names.into_iter().enumerate() {
        let text = SMALL
            .replace("\nbuild:", &format!("\nbuild{number}:"))
            .replace("\none:", &format!("\none{number}:"))
            .replace("\ntwo:", &format!("\ntwo{number}:"));
        input
            .files
            .insert(Location::Local { path }, Fetched::Text(text));
    }
    assert_eq!(ci::compile(&input).graph.unwrap().jobs.len(), 450);
    criterion.bench_function("compile/150 includes", |bench| {
        bench.iter(|| ci::compile(black_box(&input)));
    });
}

criterion_group!(benches, seed, growth, includes);
criterion_main!(benches);
