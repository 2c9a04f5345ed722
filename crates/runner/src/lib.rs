//! Takes a job, executes it in a shell or a container, streams log and artifacts.
