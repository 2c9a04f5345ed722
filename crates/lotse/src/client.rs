//! Talks to a Lotse server through its REST API, in GitLab's shapes.
//!
//! Everything that can go wrong on the way becomes a [`Failure`] that says what to do. Commands
//! see resources and events, never HTTP.

mod address;
mod ask;
mod configuration;
mod connection;
mod events;
mod place;
mod resources;
mod select;
mod tls;

pub(crate) use address::ServerAddress;
pub(crate) use ask::{ask_for_secret, ask_for_text, read_input, without_newline};
pub(crate) use configuration::Configuration;
pub(crate) use connection::Client;
pub(crate) use events::Events;
pub(crate) use place::{AtServer, Session, Where, token_of_environment};
pub(crate) use resources::{Job, Member, Pipeline, Project, Token, User, Variable, typed};
pub(crate) use select::{JobChoice, find_job, find_pipeline, find_user};
