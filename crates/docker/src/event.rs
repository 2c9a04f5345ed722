//! What happens at an engine, as it happens.

use std::collections::BTreeMap;

use bollard::models as wire;
use bollard::query_parameters::EventsOptions;
use futures_util::{Stream, StreamExt as _};
use jiff::Timestamp;

use crate::engine::Engine;
use crate::error::{DockerError, Operation};
use crate::filter::Filter;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The kind of object: `container`, `image`, `network`, `volume`.
    pub kind: String,
    /// What happened to it: `start`, `die`, `health_status: healthy`, …
    pub action: String,
    /// Its id; an image's or volume's name.
    pub id: String,
    /// More about it: its `name`, labels, `exitCode`, …
    pub attributes: BTreeMap<String, String>,
    /// When.
    pub time: Option<Timestamp>,
}

impl Engine {
    /// Everything that happens to containers, images, networks and volumes from now on, and that
    /// the filter lets through. The stream ends only by an error.
    pub fn events(
        &self,
        filter: Filter,
    ) -> impl Stream<Item = Result<Event, DockerError>> + Send + Unpin + use<> {
        self.events_since(None, filter)
    }

    /// As [`Engine::events`], with those that happened since a time before (as far as the engine
    /// remembers: the last 256).
    pub fn events_since(
        &self,
        since: Option<Timestamp>,
        filter: Filter,
    ) -> impl Stream<Item = Result<Event, DockerError>> + Send + Unpin + use<> {
        let error = self.errors_of(Operation::plain("follow the events"));
        // A kind that bollard does not know would end its stream.
        let known = ["container", "image", "network", "volume"];
        let options = EventsOptions {
            since: since
                .map(|time| format!("{}.{:09}", time.as_second(), time.subsec_nanosecond())),
            until: None,
            filters: filter.with_default("type", &known).into_query(),
        };
        let docker = self.docker.clone();
        let events = docker.events(Some(options)).boxed();
        events.map(move |event| event.map(Event::from).map_err(&error))
    }
}

impl From<wire::EventMessage> for Event {
    fn from(seen: wire::EventMessage) -> Self {
        let actor = seen.actor.unwrap_or_default();
        let nanoseconds = seen.time_nano.map(i128::from);
        Self {
            kind: seen.typ.map(|kind| kind.to_string()).unwrap_or_default(),
            action: seen.action.unwrap_or_default(),
            id: actor.id.unwrap_or_default(),
            attributes: actor.attributes.unwrap_or_default().into_iter().collect(),
            time: nanoseconds.and_then(|time| Timestamp::from_nanosecond(time).ok()),
        }
    }
}
