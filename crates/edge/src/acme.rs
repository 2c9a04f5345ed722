//! Certificates by ACME (RFC 8555): ordered for the names of routes, kept, renewed.
//!
//! A `set` waits for its certificates before it swaps; later the keeper renews them, and asks
//! again after failures, ever more rarely. A certificate that serves is only ever replaced by a
//! newer one. It knows names, not routes.

mod ca;
mod challenges;
mod error;
mod keeper;
mod schedule;
mod set;
mod store;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use rustls::sign::CertifiedKey;
use tokio::sync::Notify;

use self::ca::{Ca, Failure, Http};
pub(crate) use self::challenges::{ACME_TLS, Challenges, is_challenge};
pub use self::error::AcmeError;
pub(crate) use self::keeper::keep;
use self::set::PortsAhead;
use self::store::{Pem, Store};
use crate::client::tls::{CertificateError, Facts, from_pem};
use crate::edge::shared::Shared;
use crate::error::with_sources;
use crate::settings::{AcmeSettings, Settings};
use crate::spec::{AcmeSpec, Challenge};

/// An order with all its challenges takes no longer.
const ORDER: Duration = Duration::from_secs(300);
/// A CA that cannot be reached is asked again sooner than one that refused: it counts nothing.
const UNREACHABLE_FIRST: Duration = Duration::from_secs(30);
const UNREACHABLE_LONGEST: Duration = Duration::from_secs(15 * 60);
const REFUSED_LONGEST: Duration = Duration::from_secs(6 * 3600);

/// See the module.
pub(crate) struct Acme {
    settings: AcmeSettings,
    store: Store,
    pub(crate) challenges: Challenges,
    names: RwLock<HashMap<String, Arc<Kept>>>,
    /// Wakes the keeper when names have come.
    changed: Notify,
}

/// What there is for one name.
#[derive(Default)]
pub(crate) struct Kept {
    current: RwLock<Option<Arc<Issued>>>,
    trouble: Mutex<Option<Trouble>>,
    /// Held by whoever orders.
    turn: tokio::sync::Mutex<()>,
}

/// A certificate that the CA has issued.
pub(crate) struct Issued {
    pub(crate) key: Arc<CertifiedKey>,
    pub(crate) facts: Facts,
    /// When it is to be renewed.
    pub(crate) renewal: Timestamp,
}

/// Failures in a row.
#[derive(Clone)]
pub(crate) struct Trouble {
    pub(crate) reason: String,
    failures: u32,
    /// When it is tried again.
    pub(crate) again: Timestamp,
    /// Until when the CA does not want to be asked at all.
    wait: Option<Timestamp>,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) spec: AcmeSpec,
}

/// When a certificate that is there already will do.
#[derive(Clone, Copy)]
enum Need {
    /// When it is good now.
    Good,
    /// When it is not yet to be renewed.
    Fresh,
}

impl Acme {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            settings: settings.acme.clone(),
            store: Store::new(&settings.folder, &settings.acme.directory),
            challenges: Challenges::default(),
            names: RwLock::default(),
            changed: Notify::new(),
        }
    }

    /// The certificate that serves a name now, if there is one.
    pub(crate) fn current(&self, name: &str) -> Option<Arc<Issued>> {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        names.get(name)?.current()
    }

    /// The last failure since the last success.
    pub(crate) fn trouble(&self, name: &str) -> Option<Trouble> {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        names.get(name)?.trouble()
    }

    /// Reads what is kept for names, so that handshakes find it from the first moment on.
    pub(crate) fn load(&self, names: impl Iterator<Item = String>) {
        names.for_each(|name| drop(self.kept(&name)));
    }

    fn kept(&self, name: &str) -> Arc<Kept> {
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = names.get(name) {
            return Arc::clone(kept);
        }
        let kept = Arc::new(Kept::default());
        *kept.current.write().unwrap_or_else(PoisonError::into_inner) = self.read(name);
        names.insert(name.to_owned(), Arc::clone(&kept));
        kept
    }

    /// A file that cannot be used is as good as none: another certificate is ordered.
    fn read(&self, name: &str) -> Option<Arc<Issued>> {
        let read = self.store.certificate(name).transpose()?;
        let issued = read.and_then(|pem| Issued::new(name, &pem));
        match issued {
            Ok(issued) => Some(Arc::new(issued)),
            Err(error) => {
                let reason = with_sources(&error);
                tracing::warn!("the certificate that was kept is ordered anew: {reason}");
                None
            }
        }
    }

    /// Routes have come or gone.
    pub(crate) fn look(&self) {
        self.changed.notify_one();
    }

    /// Sees to it that there is a certificate, in a task that goes on when nobody waits any more.
    async fn obtain(
        shared: &Arc<Shared>,
        wanted: Wanted,
        need: Need,
        held: Option<Arc<PortsAhead>>,
    ) -> Result<(), AcmeError> {
        let own = Arc::clone(shared);
        let ordering = shared.tasks.spawn(async move {
            let _held = held;
            tokio::select! {
                obtained = own.acme.obtain_now(&own, &wanted, need) => obtained,
                () = own.leaving.cancelled() => Err(AcmeError::Ended),
            }
        });
        ordering.await.unwrap_or(Err(AcmeError::Ended))
    }

    async fn obtain_now(
        &self,
        shared: &Shared,
        wanted: &Wanted,
        need: Need,
    ) -> Result<(), AcmeError> {
        let kept = self.kept(&wanted.name);
        let _turn = kept.turn.lock().await;
        if kept.suffices(need) {
            return Ok(());
        }
        kept.may_be_asked_for()?;
        let http = Http::new(&self.settings)?;
        let ordering = tokio::time::timeout(ORDER, self.order(shared, wanted, &http));
        let ordered = ordering.await.unwrap_or_else(|_| {
            Err(AcmeError::Slow {
                directory: self.settings.directory.clone(),
            })
        });
        match ordered {
            Ok(issued) => {
                tracing::info!(name = %wanted.name, until = %issued.facts.not_after, "a certificate was issued");
                kept.succeeded(issued);
                Ok(())
            }
            Err(error) => {
                kept.failed(&error, &self.settings, http.wait());
                Err(error)
            }
        }
    }

    async fn order(
        &self,
        shared: &Shared,
        wanted: &Wanted,
        http: &Http,
    ) -> Result<Issued, AcmeError> {
        if !self.settings.terms_agreed {
            return Err(AcmeError::NotAgreed {
                directory: self.settings.directory.clone(),
            });
        }
        let mut reasons = Vec::new();
        for challenge in wanted.challenges() {
            if challenge == Challenge::Http01 && !self.has_plain_port(shared) {
                reasons.push(NO_PLAIN_PORT.to_owned());
                continue;
            }
            match self.order_by(challenge, &wanted.name, http).await {
                Ok(pem) => return self.accept(&wanted.name, &pem),
                Err(Failure::Challenge(reason)) => reasons.push(format!("{challenge}: {reason}")),
                Err(Failure::Other(error)) => return Err(error),
            }
        }
        Err(AcmeError::Unproven {
            name: wanted.name.clone(),
            reasons,
        })
    }

    /// An account that the CA does not know any more is made anew, once.
    async fn order_by(
        &self,
        challenge: Challenge,
        name: &str,
        http: &Http,
    ) -> Result<Pem, Failure> {
        let connect = || Ca::connect(&self.settings, &self.store, http);
        let ca = connect().await.map_err(Failure::Other)?;
        let ordered = ca.order(name, challenge, &self.challenges).await;
        match ordered {
            Err(failure) if failure.is_unknown_account() => {
                tracing::warn!("the CA has forgotten the account: another one is made");
                self.store.forget_account().map_err(Failure::Other)?;
                let ca = connect().await.map_err(Failure::Other)?;
                ca.order(name, challenge, &self.challenges).await
            }
            ordered => ordered,
        }
    }

    fn accept(&self, name: &str, pem: &Pem) -> Result<Issued, AcmeError> {
        let issued = Issued::new(name, pem)?;
        self.store.save_certificate(name, pem)?;
        Ok(issued)
    }

    fn has_plain_port(&self, shared: &Shared) -> bool {
        shared.table.has_plain_http() || self.challenges.has_plain_ahead()
    }
}

const NO_PLAIN_PORT: &str = "http-01: the edge has no port for plain HTTP: give it one, `lotse edge set 80 --redirect-https` will do";

impl Wanted {
    fn challenges(&self) -> Vec<Challenge> {
        match self.spec.challenge {
            Some(challenge) => vec![challenge],
            None => vec![Challenge::TlsAlpn01, Challenge::Http01],
        }
    }
}

impl Kept {
    fn current(&self) -> Option<Arc<Issued>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.clone()
    }

    fn trouble(&self) -> Option<Trouble> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.clone()
    }

    fn suffices(&self, need: Need) -> bool {
        let now = Timestamp::now();
        self.current().is_some_and(|issued| match need {
            Need::Good => issued.facts.not_after > now,
            Need::Fresh => issued.renewal > now,
        })
    }

    /// Whether the CA may be asked, as far as it has said.
    fn may_be_asked_for(&self) -> Result<(), AcmeError> {
        let trouble = self.trouble();
        let wait = trouble.and_then(|trouble| Some((trouble.wait?, trouble.reason)));
        match wait {
            Some((until, reason)) if until > Timestamp::now() => {
                Err(AcmeError::TooEarly { until, reason })
            }
            _ => Ok(()),
        }
    }

    /// When something is to be done for the name.
    fn due(&self) -> Timestamp {
        let renewal = self.current().map(|issued| issued.renewal);
        let again = self.trouble().map(|trouble| trouble.again);
        renewal.max(again).unwrap_or(Timestamp::MIN)
    }

    fn succeeded(&self, issued: Issued) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(issued));
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn failed(&self, error: &AcmeError, settings: &AcmeSettings, wait: Option<Timestamp>) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = trouble.as_ref().map_or(0, |trouble| trouble.failures) + 1;
        let first = settings.retry.get();
        let (first, longest) = match error.is_counted() {
            true => (first, REFUSED_LONGEST),
            false => (first.min(UNREACHABLE_FIRST), UNREACHABLE_LONGEST),
        };
        let pause = schedule::pause(failures, first, longest, schedule::random());
        let again = schedule::after(Timestamp::now(), pause);
        *trouble = Some(Trouble {
            reason: with_sources(error),
            failures,
            again: wait.map_or(again, |wait| again.max(wait)),
            wait,
        });
    }
}

impl Issued {
    fn new(name: &str, pem: &Pem) -> Result<Self, AcmeError> {
        let failed = |source| AcmeError::Unusable {
            name: name.to_owned(),
            source,
        };
        let (key, facts) = from_pem(pem.0.as_bytes()).map_err(failed)?;
        if !facts.names.iter().any(|other| other == name) {
            return Err(failed(CertificateError::OtherNames(facts.names)));
        }
        Ok(Self {
            renewal: schedule::renewal(facts.not_before, facts.not_after, schedule::random()),
            key: Arc::new(key),
            facts,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_wait_ever_longer_and_as_long_as_the_ca_says() {
        let settings = AcmeSettings::default();
        let refused = || AcmeError::Refused {
            directory: settings.directory.clone(),
            reason: "too many orders".to_owned(),
        };
        let kept = Kept::default();
        let minutes = |kept: &Kept| kept.due().duration_since(Timestamp::now()).as_mins();
        assert_eq!(kept.due(), Timestamp::MIN, "what is not there is due");
        for range in [8..=11, 17..=22, 35..=44] {
            kept.failed(&refused(), &settings, None);
            assert!(
                range.contains(&minutes(&kept)),
                "{range:?}: {}",
                minutes(&kept)
            );
            assert!(kept.may_be_asked_for().is_ok(), "a set may always ask");
        }
        let wait = schedule::after(Timestamp::now(), Duration::from_secs(3 * 3600));
        kept.failed(&refused(), &settings, Some(wait));
        assert_eq!(kept.due(), wait);
        let error = kept.may_be_asked_for().unwrap_err().to_string();
        assert!(error.contains("too many orders"), "{error}");

        let away = Kept::default();
        away.failed(&AcmeError::Ended, &settings, None);
        assert_eq!(minutes(&away), 0, "a CA that is away counts nothing");
    }
}
