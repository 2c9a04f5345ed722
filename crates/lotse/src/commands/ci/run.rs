//! `lotse ci run`: the pipeline of the work tree, on this machine.

mod choose;
mod show;
mod workplace;

use std::process::ExitCode;
use std::time::Duration;

use ci::{Compiled, Fetched, Graph, Input, Missing, Source};
use clap::Args;
use pipeline::Status;
use runner::{Runner, RunnerConfig, Shutdown};
use server::local::{self, Blueprint, ChildWish, Happening, Local};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use super::elsewhere::Elsewhere;
use super::facts::{self, For};
use super::worktree::{Copy, WorkTree};
use crate::output::{Failure, Screen};
use choose::{Chosen, Wish};
use show::Display;
use workplace::Workplace;

/// The file that says what to do.
const CONFIG_FILE: &str = ".gitlab-ci.yml";
/// What a runner may take to end when all jobs have.
const LAST_WORDS: Duration = Duration::from_secs(20);

/// Run the pipeline of the work tree on this machine, without a server
///
/// Jobs run in a shell, in a clean copy of the work tree: what git has of it, with changes that are
/// not committed yet and new files that are not ignored. Your own folder is not touched. Each job runs
/// here whatever its `tags` and `image` say.
///
/// The exit code is 0 only when the pipeline succeeds. Ctrl-C cancels it; once more stops it at once.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Run these jobs alone, and at once if they are manual or delayed [default: the whole pipeline]
    #[arg(value_name = "JOB")]
    jobs: Vec<String>,
    /// Run also all that these jobs wait for
    #[arg(long, requires = "jobs")]
    needs: bool,
    /// Play this manual or delayed job as soon as it can be (repeatable)
    #[arg(long, value_name = "JOB")]
    manual: Vec<String>,
    #[command(flatten)]
    what: For,
    #[command(flatten)]
    elsewhere: Elsewhere,
    /// Print each event as a JSON object on a line of its own
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: &Arguments, screen: Screen) -> Result<ExitCode, Failure> {
    let mut stops = stops()?;
    workplace::clear_away();
    let workplace = Workplace::make()?;
    let tree = WorkTree::here()?;
    let copy = tree.copy(workplace.path(), &arguments.what)?;
    let files = Files {
        tree: &tree,
        copy: &copy,
        arguments,
    };
    let compiled = files.compile().await?;
    let Some(graph) = &compiled.graph else {
        return Err(facts::refused(&compiled));
    };
    let wish = Wish {
        jobs: &arguments.jobs,
        with_needs: arguments.needs,
        manual: &arguments.manual,
    };
    let chosen = choose::choose(&compiled, graph, &wish)?;
    tell_notes(&compiled, &chosen.graph);
    let mut display = Display::new(screen, arguments.json, &chosen.graph);
    let at_work = play(&workplace, &copy, chosen, arguments).await?;
    let (status, interrupted) = at_work.attend(&mut stops, &mut display, &files).await?;
    display.finish(status)?;
    workplace.remove();
    if interrupted {
        return Err(Failure::interrupted());
    }
    Ok(match status {
        Status::Success => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// What pipelines are compiled from.
struct Files<'a> {
    tree: &'a WorkTree,
    copy: &'a Copy,
    arguments: &'a Arguments,
}

impl Files<'_> {
    /// Compiles the copy's file, as the server would at that commit.
    async fn compile(&self) -> Result<Compiled, Failure> {
        let text = self.copy.read(CONFIG_FILE)?.ok_or_else(|| {
            Failure::user(format!("the work tree has no {CONFIG_FILE}"))
                .hint("it belongs to the root of the repository, and git must not ignore it")
        })?;
        let mut input = self.input(CONFIG_FILE, text);
        input.variables.predefined = self.copy.subject.variables();
        Ok(self.with_included(input).await)
    }

    /// Compiles what a trigger job names.
    async fn compile_child(&self, wish: &ChildWish) -> Compiled {
        let mut input = self.input(&wish.name, wish.text.clone());
        input.source = Source::ParentPipeline;
        input.files = wish.files.clone();
        input.variables.predefined = wish.predefined.clone();
        input.variables.manual = wish.variables.clone();
        self.with_included(input).await
    }

    fn input(&self, name: &str, text: String) -> Input {
        let subject = &self.copy.subject;
        let mut input = Input::new(name, text, subject.git_ref.clone());
        input.tree = Some(self.copy.files.clone());
        input.source = subject.source;
        input.default_branch = subject.commit.default_branch.clone();
        input.project = subject.project.to_string();
        input.changes = self.copy.changes.clone();
        input.variables.project = self.arguments.what.settings();
        input
    }

    async fn with_included(&self, input: Input) -> Compiled {
        let elsewhere = &self.arguments.elsewhere;
        let compare = |name: &str| self.tree.compare(name);
        let compiled = elsewhere.compile(input, |path| fetch(self.copy, path), compare);
        compiled.await
    }
}

fn fetch(copy: &Copy, path: &str) -> Fetched {
    match copy.read(path) {
        Ok(Some(text)) => Fetched::Text(text),
        Ok(None) => Fetched::Failed(Missing::new("there is no such file in the work tree")),
        Err(failure) => Fetched::Failed(Missing::new(failure.to_string())),
    }
}

/// Warnings, and what is not carried out, before anything runs.
fn tell_notes(compiled: &Compiled, graph: &Graph) {
    if !compiled.diagnostics.is_empty() {
        eprintln!("{}", compiled.render());
    }
    let note = local::note(graph);
    if !note.is_empty() {
        eprintln!("{}", note.trim_start());
    }
    let images = graph.jobs.iter().filter(|job| job.image.is_some()).count();
    if images > 0 {
        eprintln!("note: jobs run in this machine's shell: `image` of {images} of them is ignored");
    }
}

/// Orders to stop, from now on: none may be lost while we are busy, and none may end us before the
/// jobs are ended.
fn stops() -> Result<UnboundedReceiver<()>, Failure> {
    let (sender, stops) = unbounded_channel();
    for kind in [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ] {
        let mut signals = signal(kind)
            .map_err(|error| Failure::user("cannot listen to signals").because(&error))?;
        let sender = sender.clone();
        tokio::spawn(
            async move { while signals.recv().await.is_some() && sender.send(()).is_ok() {} },
        );
    }
    Ok(stops)
}

/// A pipeline at work: who decides, who executes, and what they tell.
struct AtWork {
    local: Local,
    shutdown: Shutdown,
    runner: JoinHandle<()>,
    happenings: UnboundedReceiver<Happening>,
}

async fn play(
    workplace: &Workplace,
    copy: &Copy,
    chosen: Chosen,
    arguments: &Arguments,
) -> Result<AtWork, Failure> {
    let (sender, happenings) = unbounded_channel();
    let blueprint = Blueprint {
        graph: chosen.graph,
        subject: copy.subject.clone(),
        settings: arguments.what.settings(),
        play: chosen.play,
        repository: copy.repository.clone(),
        folder: workplace.path().to_owned(),
    };
    let local = Local::start(blueprint, sender).await.map_err(|error| {
        Failure::user("cannot listen on an address of this machine").because(&error)
    })?;
    let shutdown = Shutdown::default();
    Ok(AtWork {
        runner: start_runner(&local, workplace, &shutdown)?,
        local,
        shutdown,
        happenings,
    })
}

fn start_runner(
    local: &Local,
    workplace: &Workplace,
    shutdown: &Shutdown,
) -> Result<JoinHandle<()>, Failure> {
    let at_once = std::thread::available_parallelism().map_or(2, |count| count.get().max(2));
    let config = RunnerConfig {
        name: "lotse ci run".to_owned(),
        url: local.url().to_owned(),
        id: 1,
        token: local.runner_token().clone(),
        system_id: workplace.mark(),
        concurrent: u32::try_from(at_once).unwrap_or(2),
        directory: workplace.path().join("runner"),
        shell: None,
        output_limit_kib: 64 << 10,
        ca_file: None,
        environment: std::collections::BTreeMap::new(),
    };
    let runners = runner::Config {
        runners: vec![config],
    };
    let runner = Runner::new(runners, shutdown.clone())
        .map_err(|error| Failure::user("the jobs cannot be run").because(&error))?;
    Ok(tokio::spawn(runner.run()))
}

impl AtWork {
    /// Shows what happens until nothing does any more. Returns the pipeline's status, and whether the
    /// user stopped it.
    async fn attend(
        mut self,
        stops: &mut UnboundedReceiver<()>,
        display: &mut Display,
        files: &Files<'_>,
    ) -> Result<(Status, bool), Failure> {
        let outcome = self.until_it_ends(stops, display, files).await;
        if outcome.is_err() {
            self.shutdown.abort.cancel();
        }
        self.shutdown.drain.cancel();
        if !self.runner.is_finished() {
            let ended = tokio::time::timeout(LAST_WORDS, &mut self.runner).await;
            if ended.is_err() {
                self.runner.abort();
            }
        }
        outcome
    }

    async fn until_it_ends(
        &mut self,
        stops: &mut UnboundedReceiver<()>,
        display: &mut Display,
        files: &Files<'_>,
    ) -> Result<(Status, bool), Failure> {
        let mut interrupted = false;
        loop {
            tokio::select! {
                happening = self.happenings.recv() => match happening {
                    Some(Happening::Ended { status }) => return Ok((status, interrupted)),
                    Some(Happening::Child(wish)) => self.child(&wish, display, files).await?,
                    Some(happening) => display.show(&happening)?,
                    None => return Err(Failure::internal("the pipeline ended without a word")),
                },
                Some(()) = stops.recv() => {
                    self.stop(interrupted);
                    interrupted = true;
                }
                _ = &mut self.runner => return Err(Failure::internal("the runner ended early")),
            }
        }
    }

    /// Starts the pipeline that a trigger job wants, or says in its log why there is none.
    async fn child(
        &self,
        wish: &ChildWish,
        display: &mut Display,
        files: &Files<'_>,
    ) -> Result<(), Failure> {
        let compiled = files.compile_child(wish).await;
        match &compiled.graph {
            Some(graph) if !graph.is_empty() => {
                if self.local.begin(wish, graph.clone()).is_some() {
                    display.add(Some(wish.place), graph);
                    tell_notes(&compiled, graph);
                }
                return Ok(());
            }
            Some(_) => display.say(wish.place, "ERROR: nothing in it runs here")?,
            None => display.say(wish.place, &compiled.render())?,
        }
        self.local.refuse(wish);
        Ok(())
    }

    fn stop(&self, again: bool) {
        if again {
            self.shutdown.abort.cancel();
            return;
        }
        eprintln!(
            "interrupted: jobs are stopped, their after_script runs; once more stops all at once"
        );
        self.local.cancel();
    }
}
