//! `deploy:`, without resources.

use yaml::{Node, Problem};

use super::{Reader, count, extensions, strings, text};
use crate::project::{
    Deploy, FailureAction, Mode, Order, RestartCondition, RestartPolicy, UpdateConfig,
};
use crate::value::{self, scalar_text};

impl Reader<'_, '_> {
    pub(super) fn deploy(&mut self, service: &Node) -> Deploy {
        let replicas = self.replicas(service);
        let Some(node) = service.get("deploy").filter(|node| !node.is_null()) else {
            return Deploy {
                replicas,
                ..Deploy::default()
            };
        };
        Deploy {
            mode: match text(node, "mode").as_deref() {
                Some("global") => Mode::Global,
                _ => Mode::Replicated,
            },
            replicas,
            labels: strings(node, "labels"),
            update_config: self.update_config(node, "update_config"),
            rollback_config: self.update_config(node, "rollback_config"),
            restart_policy: self.restart_policy(node),
            extensions: extensions(node),
        }
    }

    /// `deploy.replicas` or `scale`, which must agree.
    fn replicas(&mut self, service: &Node) -> Option<u32> {
        let deploy = service.get("deploy");
        let replicas = deploy.and_then(|deploy| count(deploy, "replicas"));
        let scale = count(service, "scale");
        if let (Some(replicas), Some(scale)) = (replicas, scale)
            && replicas != scale
            && let Some(node) = service.get("scale")
        {
            let message = format!("`scale` is {scale}, `deploy.replicas` is {replicas}");
            self.add(Problem::error("conflict", node.span, message).hint("remove `scale`"));
        }
        replicas.or(scale)
    }

    fn update_config(&mut self, node: &Node, key: &str) -> UpdateConfig {
        let Some(node) = node.get(key) else {
            return UpdateConfig::default();
        };
        UpdateConfig {
            parallelism: count(node, "parallelism"),
            delay: self.read(node, "delay", value::duration),
            failure_action: match text(node, "failure_action").as_deref() {
                Some("continue") => Some(FailureAction::Continue),
                Some("pause") => Some(FailureAction::Pause),
                Some("rollback") => Some(FailureAction::Rollback),
                _ => None,
            },
            monitor: self.read(node, "monitor", value::duration),
            max_failure_ratio: self.ratio(node),
            order: match text(node, "order").as_deref() {
                Some("start-first") => Some(Order::StartFirst),
                Some("stop-first") => Some(Order::StopFirst),
                _ => None,
            },
        }
    }

    fn ratio(&mut self, node: &Node) -> Option<f64> {
        let node = node.get("max_failure_ratio")?;
        let ratio = value::number(&scalar_text(node)?).ok()?;
        if !(0.0..=1.0).contains(&ratio) {
            let message = format!("`max_failure_ratio` is {ratio}");
            self.error("value", node.span, message, "write a number from 0 to 1");
            return None;
        }
        Some(ratio)
    }

    fn restart_policy(&mut self, node: &Node) -> Option<RestartPolicy> {
        let node = node.get("restart_policy")?;
        node.as_map()?;
        Some(RestartPolicy {
            condition: match text(node, "condition").as_deref() {
                Some("none") => RestartCondition::None,
                Some("on-failure") => RestartCondition::OnFailure,
                _ => RestartCondition::Any,
            },
            delay: self.read(node, "delay", value::duration),
            max_attempts: count(node, "max_attempts"),
            window: self.read(node, "window", value::duration),
        })
    }
}
