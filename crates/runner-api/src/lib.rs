//! The GitLab runner protocol's messages, for both ends.
