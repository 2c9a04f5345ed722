//! Turns .gitlab-ci.yml into a job graph, or into every diagnostic it deserves.
