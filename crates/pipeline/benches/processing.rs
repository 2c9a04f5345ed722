//! How long a pipeline takes from its creation to the end of its last job, without the jobs.

#![allow(
    missing_docs,
    reason = "the macros of the harness make public functions"
)]
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark stops at what it did not expect"
)]

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::hint::black_box;

use ci::{Graph, Input};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use model::GitRef;
use pipeline::{Effect, Event, Run, Status};

/// Ten stages; every third job needs two of the stage before.
fn graph(jobs: usize) -> Graph {
    let stages: Vec<_> = (0..10).map(|stage| format!("s{stage}")).collect();
    let mut text = format!("stages: [{}]\n", stages.join(", "));
    let of_stage = jobs / 10;
    for job in 0..jobs {
        let stage = job / of_stage;
        write!(text, "j{job}: {{stage: s{stage}, script: make").unwrap();
        if job % 3 == 0 && stage > 0 {
            let need = job - of_stage;
            write!(text, ", needs: [j{need}, j{}]", need - need % of_stage).unwrap();
        }
        text.push_str("}\n");
    }
    let input = Input::new("ci.yml", text, GitRef::branch("main").unwrap());
    ci::compile(&input).graph.unwrap()
}

/// Every job starts and ends well, in the order they become ready.
fn play(graph: &Graph) -> Status {
    let (mut run, effects) = Run::new(graph);
    let mut ready = VecDeque::new();
    let pending = |effects: Vec<Effect>, ready: &mut VecDeque<usize>| {
        ready.extend(effects.into_iter().filter_map(|effect| match effect {
            Effect::Job {
                job,
                status: Status::Pending,
            } => Some(job),
            _ => None,
        }));
    };
    pending(effects, &mut ready);
    while let Some(job) = ready.pop_front() {
        run.apply(Event::Start { job }).unwrap();
        pending(run.apply(Event::Succeeded { job }).unwrap(), &mut ready);
    }
    run.status()
}

fn growth(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("processing/jobs");
    group.sample_size(10);
    for jobs in [500, 5_000, 50_000] {
        let graph = graph(jobs);
        assert_eq!(play(&graph), Status::Success);
        group.throughput(Throughput::Elements(jobs as u64));
        group.bench_with_input(BenchmarkId::from_parameter(jobs), &graph, |bench, graph| {
            bench.iter(|| play(black_box(graph)));
        });
    }
}

criterion_group!(benches, growth);
criterion_main!(benches);
