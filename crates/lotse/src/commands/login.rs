//! `lotse login`.

use std::process::ExitCode;

use clap::Args;
use model::Secret;

use crate::client::{
    Client, Configuration, ServerAddress, User, ask_for_secret, read_input, token_of_environment,
    typed,
};
use crate::output::{Failure, Screen};

/// Log in to a server with a token
///
/// The token is asked for, or read from standard input with `--token -`; the first start of
/// `lotse serve` prints one, `lotse token create` makes more. Address and token are stored in
/// ~/.config/lotse/config.toml, which only you can read; LOTSE_URL and LOTSE_TOKEN take precedence
/// over it.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The server's address, such as https://lotse.site.example or http://localhost:8080
    #[arg(env = "LOTSE_URL")]
    url: ServerAddress,
    /// `-` reads the token from standard input
    #[arg(long, value_name = "-")]
    token: Option<String>,
}

/// Runs `lotse login`.
pub(crate) async fn run(arguments: Arguments, screen: Screen) -> Result<ExitCode, Failure> {
    let token = find_token(&arguments).await?;
    if token.expose().is_empty() {
        return Err(Failure::user("the token is empty")
            .hint("`lotse serve` prints one when it starts for the first time"));
    }
    let client = Client::new(arguments.url.clone(), Some(token.clone()))?;
    let user: User = typed(&client, &client.get(&["user"], &[]).await?)?;
    let mut configuration = Configuration::load()?;
    configuration.log_in(&arguments.url, token);
    let path = configuration.save()?;
    screen.line(format!(
        "logged in to {} as {}",
        arguments.url, user.username
    ))?;
    eprintln!("stored in {}", path.display());
    Ok(ExitCode::SUCCESS)
}

async fn find_token(arguments: &Arguments) -> Result<Secret, Failure> {
    let token = match (arguments.token.as_deref(), token_of_environment()) {
        (Some("-"), _) => Secret::new(read_input()?),
        // Whoever may list the machine's processes sees it there.
        (Some(_), _) => {
            return Err(
                Failure::usage("a token does not belong on the command line")
                    .hint("leave --token out to be asked for it, or pipe it in with `--token -`"),
            );
        }
        (None, Some(token)) => token,
        (None, None) => ask_for_secret(&format!("token for {}", arguments.url)).await?,
    };
    Ok(Secret::new(token.expose().trim()))
}
