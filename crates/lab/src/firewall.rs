//! Firewall rules: hosts reach the outside and this machine, and only answers come back.
//!
//! Each rule carries the lab's name as its comment. They come first in their chains, so they hold
//! also where a Docker engine of the machine has set the policy of `FORWARD` to drop.

use crate::Result;
use crate::name::LabName;
use crate::subnet::Subnet;
use crate::tool::Tools;

const CHAINS: [(&str, &str); 4] = [
    ("nat", "POSTROUTING"),
    ("mangle", "FORWARD"),
    ("filter", "FORWARD"),
    ("filter", "INPUT"),
];

struct Rule {
    table: &'static str,
    chain: &'static str,
    words: Vec<String>,
}

/// Makes the lab's rules where they are missing.
pub(crate) fn ensure(tools: &Tools<'_>, lab: &LabName, subnet: Subnet) -> Result<()> {
    for rule in rules(lab, subnet) {
        if !tools.succeeds("iptables", &arguments(&rule, "-C"))? {
            tools.run("iptables", &arguments(&rule, "-I"))?;
        }
    }
    Ok(())
}

/// Removes every rule with the lab's comment.
pub(crate) fn remove(tools: &Tools<'_>, lab: &LabName) -> Result<()> {
    for (table, chain) in CHAINS {
        for line in tools
            .run("iptables", &["-w", "-t", table, "-S", chain])?
            .lines()
        {
            let words: Vec<_> = line
                .split_whitespace()
                .map(|word| word.trim_matches('"'))
                .collect();
            if words.contains(&comment(lab).as_str()) && words.first() == Some(&"-A") {
                let arguments: Vec<_> = ["-w", "-t", table, "-D"]
                    .into_iter()
                    .chain(words.into_iter().skip(1))
                    .collect();
                tools.run("iptables", &arguments)?;
            }
        }
    }
    Ok(())
}

fn comment(lab: &LabName) -> String {
    format!("lotse-lab:{lab}")
}

fn rules(lab: &LabName, subnet: Subnet) -> Vec<Rule> {
    let (range, bridge) = (subnet.to_string(), subnet.bridge());
    let rule = |table, chain, matches: &[&str], target: &[&str]| {
        let comment = comment(lab);
        let words = [
            matches,
            &["-m", "comment", "--comment", &comment, "-j"],
            target,
        ]
        .concat();
        Rule {
            table,
            chain,
            words: words.into_iter().map(String::from).collect(),
        }
    };
    vec![
        rule(
            "nat",
            "POSTROUTING",
            &["-s", &range, "!", "-d", &range],
            &["MASQUERADE"],
        ),
        rule(
            "filter",
            "FORWARD",
            &[
                "-o",
                &bridge,
                "-m",
                "conntrack",
                "--ctstate",
                "RELATED,ESTABLISHED",
            ],
            &["ACCEPT"],
        ),
        rule("filter", "FORWARD", &["-i", &bridge], &["ACCEPT"]),
        rule("filter", "INPUT", &["-i", &bridge], &["ACCEPT"]),
        // Networks that jobs make keep the usual packet size; the way out may take less.
        rule(
            "mangle",
            "FORWARD",
            &["-i", &bridge, "-p", "tcp", "--tcp-flags", "SYN,RST", "SYN"],
            &["TCPMSS", "--clamp-mss-to-pmtu"],
        ),
    ]
}

fn arguments<'a>(rule: &'a Rule, operation: &'a str) -> Vec<&'a str> {
    let head = ["-w", "-t", rule.table, operation, rule.chain];
    head.into_iter()
        .chain(rule.words.iter().map(String::as_str))
        .collect()
}
