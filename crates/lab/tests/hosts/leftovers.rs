//! A search of the machine for anything of a lab, with other means than the lab's own.

use std::path::Path;
use std::process::Command;

use lab::LabName;

/// Every trace of the lab; empty when it is gone.
pub(crate) fn leftovers(lab: &LabName, folder: &Path) -> Vec<String> {
    let folder_text = folder.display().to_string();
    let mut found = Vec::new();
    if folder.exists() {
        found.push(format!("folder {folder_text}"));
    }
    found.extend(lines(
        "ps",
        &["-eo", "pid,args"],
        &format!("lotse-lab:{lab}/"),
    ));
    found.extend(lines("ps", &["-eo", "pid,args"], &folder_text));
    found.extend(lines(
        "ip",
        &["-details", "link"],
        &format!("lotse lab {lab} "),
    ));
    for table in ["filter", "nat", "mangle"] {
        found.extend(lines(
            "iptables",
            &["-w", "-t", table, "-S"],
            &format!("lotse-lab:{lab} "),
        ));
    }
    found.extend(lines("cat", &["/proc/self/mountinfo"], &folder_text));
    found.extend(lines(
        "find",
        &["/sys/fs/cgroup", "-maxdepth", "4", "-name", lab.as_str()],
        "",
    ));
    found
}

fn lines(command: &str, arguments: &[&str], part: &str) -> Vec<String> {
    let output = Command::new(command).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .filter(|line| line.contains(part))
        .map(|line| format!("{command}: {line}"))
        .collect()
}
