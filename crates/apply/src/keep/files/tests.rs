use std::os::unix::fs::PermissionsExt as _;
use std::sync::Barrier;

use deploy::{Entry, Intent, ReleaseNumber, Way};

use super::*;

fn owner(environment: &str) -> Owner {
    Owner {
        project: "shop".parse().unwrap(),
        environment: environment.parse().unwrap(),
    }
}

fn lease(holder: &str, length: Span) -> Lease {
    Lease {
        holder: holder.parse().unwrap(),
        length,
    }
}

fn begin(to: u64) -> Entry {
    Entry::Begin(Intent {
        way: Way::Deploy,
        from: None,
        to: ReleaseNumber(to),
    })
}

fn entering(holder: &str, entry: Entry) -> Entering {
    Entering {
        owner: owner("prod"),
        holder: Some(holder.parse().unwrap()),
        entry,
        definition: None,
    }
}

#[test]
fn one_holder_at_a_time_until_the_lease_runs_out() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::new(folder.path());
    let (long, over) = (Span::seconds(60), Span::millis(0));
    let open = || files.open(&owner("prod")).unwrap();
    assert_eq!(open().lock(&lease("one", long)).unwrap(), Locked::Yours);
    assert_eq!(open().lock(&lease("one", long)).unwrap(), Locked::Yours);
    let Locked::Theirs(Some(seen)) = open().lock(&lease("two", long)).unwrap() else {
        panic!("two have it");
    };
    assert_eq!(seen.holder.as_str(), "one");
    assert!(seen.expires_in > Span::seconds(50) && seen.expires_in <= long);
    assert_eq!(open().renew(&lease("one", over)).unwrap(), Locked::Yours);
    assert_eq!(open().lock(&lease("two", long)).unwrap(), Locked::Yours);
    let lost = open().renew(&lease("one", long)).unwrap();
    assert!(matches!(lost, Locked::Theirs(Some(seen)) if seen.holder.as_str() == "two"));
    open().unlock(&"one".parse().unwrap()).unwrap();
    assert!(open().lock_seen().unwrap().is_some(), "it is not one's");
    open().unlock(&"two".parse().unwrap()).unwrap();
    assert_eq!(open().lock_seen().unwrap(), None);
    assert_eq!(
        open().renew(&lease("two", long)).unwrap(),
        Locked::Theirs(None)
    );
    open().lock(&lease("three", long)).unwrap();
    let broken = open().break_lock().unwrap().unwrap();
    assert_eq!(broken.holder.as_str(), "three");
    assert_eq!(open().break_lock().unwrap(), None);
}

#[test]
fn of_many_at_once_exactly_one_gets_the_lock() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let start = Barrier::new(8);
        let taken = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..8)
                .map(|number| {
                    let (folder, start) = (folder.path(), &start);
                    scope.spawn(move || {
                        start.wait();
                        let owned = Files::new(folder).open(&owner("prod")).unwrap();
                        let lease = lease(&format!("holder {number}"), Span::seconds(60));
                        owned.lock(&lease).unwrap() == Locked::Yours
                    })
                })
                .collect();
            let outcomes = tries.into_iter().map(|one| one.join().unwrap());
            outcomes.filter(|taken| *taken).count()
        });
        assert_eq!(taken, 1);
    }
}

#[test]
fn whoever_lost_the_lock_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::new(folder.path());
    let owned = files.open(&owner("prod")).unwrap();
    owned.lock(&lease("one", Span::seconds(60))).unwrap();
    owned.enter(&entering("one", begin(1))).unwrap();
    let refused = owned.enter(&entering("two", begin(2))).unwrap_err();
    assert!(refused.to_string().contains("one"), "{refused}");
    assert_eq!(owned.record().unwrap().under_way.unwrap().to.0, 1);
}

#[test]
fn only_the_owner_reads_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::new(&folder.path().join("keep"));
    let owned = files.open(&owner("..")).unwrap();
    owned.enter(&entering("one", begin(1))).unwrap();
    let fill = Fill {
        token: "t".to_owned(),
        done: true,
    };
    owned.mark("static-r1", &fill).unwrap();
    owned.lock(&lease("one", Span::seconds(1))).unwrap();
    assert_eq!(owned.fills().unwrap()["static-r1"], fill);
    let place = folder.path().join("keep/shop@..");
    let mode = |path: &Path| fs_err::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place), 0o700);
    let entries = fs_err::read_dir(&place).unwrap();
    let names: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    assert!(names.iter().all(|path| mode(path) == 0o600), "{names:?}");
}

#[test]
fn what_makes_no_sense_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::new(folder.path());
    let owned = files.open(&owner("prod")).unwrap();
    let path = folder.path().join("shop@prod/record.json");
    fs_err::write(&path, "{\"in_force\":").unwrap();
    let error = owned.enter(&entering("one", begin(1))).unwrap_err();
    assert!(error.to_string().contains("record.json"), "{error}");
    assert_eq!(fs_err::read_to_string(&path).unwrap(), "{\"in_force\":");
}
