//! From an accepted push to the first line of the first job.
//!
//! Accepted is the push when git shows its user the server's line with the pipeline's number. From
//! then on a follower waits for the log, so the follower's own connection is in the figure.

use std::process::Stdio;
use std::time::{Duration, Instant};

use testkit::lotse::{Lotse, Repository};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::table::Table;

const ROUNDS: usize = 20;
const PROJECT: &str = "bench/push";
const CI: &str = "hello: {script: [echo of the script]}";

pub(crate) async fn measure(lotse: &Lotse, table: &mut Table) {
    let _runner = lotse.runner(&[]).await;
    let (repository, warm_up) = lotse.pushed(PROJECT, CI).await;
    lotse.finished(PROJECT, warm_up).await;
    let mut rounds = Vec::new();
    for number in 0..ROUNDS {
        repository.write("file", &format!("{number}\n"));
        repository.commit("another").await;
        rounds.push(one(lotse, &repository).await);
    }
    let mut column = |what: &str, aim: &str, of: fn(&Round) -> Duration| {
        let mut times: Vec<_> = rounds.iter().map(of).collect();
        table.times(what, aim, &mut times);
    };
    column(
        "push accepted → first line of the job's log",
        "300 ms",
        |r| r.first_line,
    );
    column(
        "push accepted → first line that the script writes",
        "300 ms",
        |r| r.script,
    );
    column(
        "`git push` started → first line that the script writes",
        "",
        |r| r.begun,
    );
    column("`git push`, start to end", "", |r| r.push);
}

struct Round {
    first_line: Duration,
    script: Duration,
    /// The same, counted from the start of git.
    begun: Duration,
    push: Duration,
}

async fn one(lotse: &Lotse, repository: &Repository) -> Round {
    let begin = Instant::now();
    let mut git = tokio::process::Command::from(repository.command(&["push", "lotse", "main"]));
    let mut git = git.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(git.stderr.take().unwrap()).lines();
    let pipeline = loop {
        let line = lines.next_line().await.unwrap().unwrap();
        if let Some((_, rest)) = line.split_once("pipeline #") {
            let number = rest.split(' ').next().unwrap();
            break number.parse::<i64>().unwrap();
        }
    };
    let accepted = Instant::now();
    let follow = async {
        let job = lotse.pipeline(PROJECT, pipeline).await.job_id("hello");
        lotse.log_when(PROJECT, job, |log| log.contains('\n')).await;
        let first_line = accepted.elapsed();
        lotse
            .log_when(PROJECT, job, |log| log.contains("\nof the script"))
            .await;
        (first_line, accepted.elapsed(), begin.elapsed())
    };
    let end = async {
        while lines.next_line().await.unwrap().is_some() {}
        git.wait().await.unwrap();
        begin.elapsed()
    };
    let ((first_line, script, begun), push) = tokio::join!(follow, end);
    lotse.finished(PROJECT, pipeline).await;
    Round {
        first_line,
        script,
        begun,
        push,
    }
}
