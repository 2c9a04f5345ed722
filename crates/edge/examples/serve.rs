//! An edge alone with one route, for measuring: `serve LISTEN TARGET [FOLDER]`.
//!
//! `lotse edge` is the way to run one; this one needs neither the rest of Lotse nor a control
//! socket.

use edge::route::{Listen, RouteKey};
use edge::spec::{RouteSpec, TargetSpec};
use edge::{Edge, Set, Settings, Span};

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().ok_or(format!("{what} is missing"));
    let listen: Listen = next("the address to listen on")?.parse()?;
    let target: TargetSpec = next("the target")?.parse()?;
    let folder = next("the folder").unwrap_or_else(|_| "edge-measured".to_owned());

    let edge = Edge::start(Settings::new(folder)).await?;
    let route = RouteKey {
        listen,
        host: Default::default(),
        path: Default::default(),
    };
    let set = Set {
        owner: None,
        routes: vec![RouteSpec::new(route, vec![target])],
        deadline: Span::seconds(10),
        grace: Span::seconds(10),
        watch: Span::seconds(0),
    };
    edge.set(set, |step| println!("{step:?}")).await?;
    tokio::signal::ctrl_c().await?;
    Ok(())
}
