//! Wires events to deciders and hands: store, HTTP API, web pages.
