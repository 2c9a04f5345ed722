//! Given a graph and events, says each status and what runs next.
