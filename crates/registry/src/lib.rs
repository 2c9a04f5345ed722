//! Stores and serves OCI images.
