// Shows a job's log as it grows. Colours are left out; sections fold nothing.
"use strict";
const log = document.getElementById("log");
const status = document.getElementById("status");
const controls = /\x1b\[[0-9;]*[A-Za-z]|section_(start|end):[0-9]+:[^\r\n]*\r?/g;
const source = new EventSource(log.dataset.follow);
let waiting = "";

source.addEventListener("log", (event) => {
  const atEnd = window.innerHeight + window.scrollY >= document.body.offsetHeight - 40;
  // a control sequence may be cut in two: the last line waits for its end
  waiting += JSON.parse(event.data);
  const end = waiting.lastIndexOf("\n") + 1;
  log.append(waiting.slice(0, end).replace(controls, "").replace(/\r\n/g, "\n"));
  waiting = waiting.slice(end);
  if (atEnd) window.scrollTo(0, document.body.scrollHeight);
});

source.addEventListener("status", (event) => {
  const job = JSON.parse(event.data);
  status.textContent = job.status;
  status.className = "status " + job.status;
});

source.addEventListener("end", () => {
  log.append(waiting.replace(controls, ""));
  source.close();
});
