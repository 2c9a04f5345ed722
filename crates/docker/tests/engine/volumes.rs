//! Volumes: data that stays until it is named.

use docker::container::Removal;
use docker::container::spec::Mount;
use docker::exec::{ExecLimits, ExecSpec};
use docker::volume::VolumeSpec;
use docker::{Filter, if_found};

use crate::support::{Desk, name};

#[tokio::test]
async fn data_outlives_containers() {
    let Some(desk) = Desk::start().await else {
        return;
    };
    let engine = &desk.engine;
    let data = name("data");
    let mut spec = VolumeSpec::default();
    spec.labels.insert("site".into(), "prod".into());
    let made = engine.create_volume(&data, &spec).await.unwrap();
    assert_eq!(engine.create_volume(&data, &spec).await.unwrap(), made);

    let mount = || Mount::volume(data.clone(), "/srv");
    let writer = desk.run("writer", |spec| spec.mounts.push(mount())).await;
    let write = ExecSpec::new(["sh", "-c", "cat /srv/hello && echo kept >/srv/file"]);
    let wrote = engine
        .run_exec(&writer, &write, b"", ExecLimits::default())
        .await
        .unwrap();
    assert_eq!(
        wrote.text(),
        "hello",
        "an empty volume is filled from the image"
    );
    assert!(engine.remove_volume(&data).await.unwrap_err().is_conflict());
    let removal = Removal::WithAnonymousVolumes;
    engine.remove_container(&writer, removal).await.unwrap();

    let reader = desk
        .run("reader", |spec| {
            let mut mount = mount();
            mount.read_only = true;
            spec.mounts.push(mount);
        })
        .await;
    let read = ExecSpec::new(["sh", "-c", "cat /srv/file; touch /srv/other"]);
    let read = engine
        .run_exec(&reader, &read, b"", ExecLimits::default())
        .await
        .unwrap();
    assert!(
        read.text().starts_with("kept") && read.exit_code != 0,
        "{}",
        read.text()
    );
    let mounts = desk.seen(&reader).await.mounts;
    assert_eq!(mounts[0].volume.as_deref(), Some("data"));

    let listed = engine
        .list_volumes(Filter::all().label("site", "prod"))
        .await
        .unwrap();
    assert_eq!((listed.len(), &listed[0].mountpoint), (1, &made.mountpoint));
    let disk = engine.disk_use().await.unwrap();
    assert_eq!(disk.volumes["data"].users, 1);
    assert!(disk.volumes["data"].size > Some(0));
    engine
        .remove_container(&reader, Removal::Killed)
        .await
        .unwrap();
    engine.remove_volume(&data).await.unwrap();
    assert!(
        if_found(engine.inspect_volume(&data).await)
            .unwrap()
            .is_none()
    );
}
