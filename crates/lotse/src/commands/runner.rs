//! `lotse runner …`: makes a runner known to a server, and has it work.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand};
use model::Secret;
use runner::{Config, Registration, Runner, RunnerConfig, Shutdown};
use tokio::signal::unix::{SignalKind, signal};

/// Execute jobs of a server on this machine
#[derive(Debug, Subcommand)]
pub(crate) enum RunnerCommand {
    /// Make this machine a runner of a server
    ///
    /// The token is a runner's own (`glrt-…`; `lotse token runner` on the server makes one), or a
    /// registration token. GitLab's tokens do as well. The entry is added to the configuration
    /// file; `lotse runner run` then works with it.
    Register(Register),
    /// Execute jobs until told to stop
    ///
    /// The first SIGTERM, SIGQUIT or ctrl-c lets the jobs at work finish and takes no new ones; the
    /// second stops them. With --url and --token, a configuration without runners is filled on the
    /// first start.
    Run(Run),
    /// Ask the servers whether the runners' tokens are still good
    Verify(Chosen),
    /// Tell the server to forget a runner, and remove it from the configuration
    Unregister(Chosen),
    /// Show the runners of the configuration
    List(List),
}

#[derive(Debug, Args)]
pub(crate) struct ConfigFile {
    /// The configuration file [default: /etc/lotse/runner.toml for root, else
    /// ~/.config/lotse/runner.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Register {
    #[command(flatten)]
    file: ConfigFile,
    /// The server, such as https://lotse.example.org
    #[arg(long)]
    url: String,
    #[command(flatten)]
    token: Token,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    file: ConfigFile,
    /// Register at this server when the configuration has no runner yet
    #[arg(long)]
    url: Option<String>,
    #[command(flatten)]
    token: Token,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
struct Token {
    /// The registration token, or a runner's own. Others on this machine can see arguments: the
    /// environment or --token-file keeps it from them
    #[arg(long, env = "LOTSE_RUNNER_TOKEN", hide_env_values = true)]
    token: Option<Secret>,
    /// Read the token from a file
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Settings {
    /// What people call the runner [default: this machine's name]
    #[arg(long)]
    name: Option<String>,
    /// Jobs with these tags are for it; with a token glrt-… the server knows them already
    #[arg(long, value_delimiter = ',', value_name = "TAG,…")]
    tags: Vec<String>,
    /// Also take jobs without tags; a runner without tags does anyway
    #[arg(long)]
    run_untagged: bool,
    /// How many jobs at a time
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    concurrent: u32,
    /// Where sources are checked out [default: /var/lib/lotse/runner for root, else
    /// ~/.local/share/lotse/runner]
    #[arg(long, value_name = "FOLDER")]
    directory: Option<PathBuf>,
    /// Certificates (PEM) to trust beyond the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Chosen {
    #[command(flatten)]
    file: ConfigFile,
    /// Only the runner of this name [default: the one runner there is, or all for verify]
    #[arg(long)]
    name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    file: ConfigFile,
    /// As JSON; tokens are left out
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(command: RunnerCommand) -> anyhow::Result<()> {
    match command {
        RunnerCommand::Register(arguments) => register(arguments).await,
        RunnerCommand::Run(arguments) => work(arguments).await,
        RunnerCommand::Verify(arguments) => verify(arguments).await,
        RunnerCommand::Unregister(arguments) => unregister(arguments).await,
        RunnerCommand::List(arguments) => list(&arguments),
    }
}

async fn register(arguments: Register) -> anyhow::Result<()> {
    let path = arguments.file.path()?;
    let registration = registration(arguments.url, &arguments.token, arguments.settings)?;
    let added = add(&path, &registration).await?;
    println!(
        "registered runner {} ({}) at {}",
        added.id, added.name, added.url
    );
    println!(
        "hint: `lotse runner run --config {}` executes its jobs",
        path.display()
    );
    Ok(())
}

/// Registers, and keeps the new entry. The file is written before, too: a token that could not be
/// kept would be lost.
async fn add(path: &std::path::Path, registration: &Registration) -> anyhow::Result<RunnerConfig> {
    let mut config = Config::load(path)?;
    if config.find(&registration.name).is_some() {
        bail!(
            "{} has a runner `{name}` already: choose another --name, or `lotse runner unregister --name {name}` first",
            path.display(),
            name = registration.name
        );
    }
    config.save(path)?;
    let added = runner::register(registration).await?;
    config.runners.push(added.clone());
    config.save(path)?;
    Ok(added)
}

async fn work(arguments: Run) -> anyhow::Result<()> {
    let path = arguments.file.path()?;
    let mut config = Config::load(&path)?;
    if let (true, Some(url)) = (config.runners.is_empty(), arguments.url) {
        let registration = registration(url, &arguments.token, arguments.settings)?;
        add_when_there(&path, &registration).await?;
        config = Config::load(&path)?;
    }
    let shutdown = Shutdown::default();
    let runner = Runner::new(config, shutdown.clone())?;
    let signals = tokio::spawn(stop_on_signals(shutdown)?);
    runner.run().await;
    signals.abort();
    Ok(())
}

/// On the first start of all, runner and server may be started together: waits for the server.
async fn add_when_there(path: &std::path::Path, registration: &Registration) -> anyhow::Result<()> {
    const PAUSE: Duration = Duration::from_millis(500);
    let mut said = false;
    loop {
        let error = match add(path, registration).await {
            Ok(added) => {
                tracing::info!(runner = added.name, id = added.id, "registered");
                return Ok(());
            }
            Err(error) => error,
        };
        let cause = error.downcast_ref::<runner::ClientError>();
        if !cause.is_some_and(runner::ClientError::may_pass) {
            return Err(error);
        }
        if !std::mem::replace(&mut said, true) {
            tracing::warn!("{error:#}; trying on");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn stop_on_signals(shutdown: Shutdown) -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen to SIGTERM")?;
    let mut quit = signal(SignalKind::quit()).context("cannot listen to SIGQUIT")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen to ctrl-c")?;
    Ok(async move {
        for order in [shutdown.drain, shutdown.abort] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = quit.recv() => {}
                _ = interrupt.recv() => {}
            }
            order.cancel();
            tracing::info!("told to stop; once more stops the jobs at work as well");
        }
    })
}

async fn verify(arguments: Chosen) -> anyhow::Result<()> {
    let config = Config::load(&arguments.file.path()?)?;
    let mut bad = 0;
    let chosen = |runner: &&RunnerConfig| arguments.name.as_ref().is_none_or(|n| *n == runner.name);
    let runners: Vec<&RunnerConfig> = config.runners.iter().filter(chosen).collect();
    if runners.is_empty() {
        return Err(no_such_runner(arguments.name.as_deref()));
    }
    for runner in runners {
        match runner::verify(runner).await {
            Ok(()) => println!("{}: good", runner.name),
            Err(error) => {
                bad += 1;
                println!("{}: {:#}", runner.name, anyhow!(error));
            }
        }
    }
    if bad > 0 {
        bail!("{bad} of the runners cannot work; `lotse runner register` makes a new one");
    }
    Ok(())
}

async fn unregister(arguments: Chosen) -> anyhow::Result<()> {
    let path = arguments.file.path()?;
    let mut config = Config::load(&path)?;
    let place = match (&arguments.name, config.runners.as_slice()) {
        (None, [_]) => Some(0),
        (None, [_, _, ..]) => bail!("there are several runners: say which with --name"),
        (Some(name), all) => all.iter().position(|runner| runner.name == *name),
        (None, []) => None,
    };
    let place = place.ok_or_else(|| no_such_runner(arguments.name.as_deref()))?;
    match runner::unregister(&config.runners[place]).await {
        Ok(()) => {}
        // What the server has forgotten already need not be forgotten again.
        Err(error) if error.is_refusal() => println!("the server does not know it any more"),
        Err(error) => return Err(error.into()),
    }
    let gone = config.runners.remove(place);
    config.save(&path)?;
    println!(
        "unregistered runner {} ({}) from {}",
        gone.id, gone.name, gone.url
    );
    Ok(())
}

fn no_such_runner(name: Option<&str>) -> anyhow::Error {
    match name {
        Some(name) => {
            anyhow!("there is no runner `{name}`: `lotse runner list` shows those there are")
        }
        None => anyhow!("no runner is registered: `lotse runner register` does that"),
    }
}

fn list(arguments: &List) -> anyhow::Result<()> {
    let config = Config::load(&arguments.file.path()?)?;
    if arguments.json {
        let shown: Vec<_> = config.runners.iter().map(shown).collect();
        println!("{}", serde_json::to_string_pretty(&shown)?);
        return Ok(());
    }
    if config.runners.is_empty() {
        eprintln!("no runner is registered: `lotse runner register` does that");
    }
    for runner in &config.runners {
        println!(
            "{:<20} {:>6}  {}  {} jobs at a time  {}",
            runner.name,
            runner.id,
            runner.url,
            runner.concurrent,
            runner.directory.display()
        );
    }
    Ok(())
}

fn shown(runner: &RunnerConfig) -> serde_json::Value {
    serde_json::json!({
        "name": runner.name,
        "id": runner.id,
        "url": runner.url,
        "short_token": runner.short_token(),
        "concurrent": runner.concurrent,
        "directory": runner.directory,
    })
}

fn registration(url: String, token: &Token, settings: Settings) -> anyhow::Result<Registration> {
    let directory = match settings.directory {
        Some(directory) => std::path::absolute(directory).context("cannot use --directory")?,
        None => runner::default_directory()
            .ok_or_else(|| anyhow!("HOME is not set: give --directory"))?,
    };
    Ok(Registration {
        url,
        token: token.read()?,
        name: settings.name.unwrap_or_else(runner::machine_name),
        run_untagged: settings.run_untagged.then_some(true),
        tags: settings.tags,
        concurrent: settings.concurrent,
        directory,
        ca_file: settings.ca_file,
    })
}

impl Token {
    fn read(&self) -> anyhow::Result<Secret> {
        match (&self.token, &self.token_file) {
            (Some(token), _) => Ok(token.clone()),
            (None, Some(path)) => Ok(Secret::new(fs_err::read_to_string(path)?.trim())),
            (None, None) => bail!(
                "a token is needed: give --token, --token-file or the variable LOTSE_RUNNER_TOKEN"
            ),
        }
    }
}

impl ConfigFile {
    fn path(&self) -> anyhow::Result<PathBuf> {
        self.config
            .clone()
            .or_else(runner::default_config)
            .ok_or_else(|| anyhow!("HOME is not set: give --config"))
    }
}
