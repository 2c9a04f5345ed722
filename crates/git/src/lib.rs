//! Stores repositories, serves smart HTTP, announces ref updates.
