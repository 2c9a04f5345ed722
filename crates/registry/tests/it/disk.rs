//! A full disk, on a small one made for the test.

use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

use crate::server::{OCI_IMAGE, Server, expect, image_of, noise, refused};

const MEGABYTE: usize = 1024 * 1024;

/// A disk of eight megabytes.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn new() -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let mounted = mount(
            "small",
            folder.path(),
            "tmpfs",
            MountFlags::empty(),
            c"size=8m",
        );
        match mounted {
            Ok(()) => Some(Self(folder)),
            Err(error) => {
                testkit::skip(&format!(
                    "a small disk cannot be mounted ({error}); run as root"
                ));
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _stays_until_reboot = unmount(self.path(), UnmountFlags::DETACH);
    }
}

#[tokio::test]
async fn a_full_disk_is_said_clearly_and_leaves_nothing_behind() {
    let Some(disk) = SmallDisk::new() else { return };
    let server = Server::start_in(disk.path()).await;
    let content = noise(7, 32 * MEGABYTE);
    let digest = model::Digest::of(&content);
    let one_step = format!("/v2/team/app/blobs/uploads/?digest={digest}");
    let request = server.request("POST", &one_step).body(content.clone());
    full(&server, request).await;
    let upload = server.start_upload("team/app").await;
    let request = server.request("PATCH", &upload).body(content);
    full(&server, request).await;
    refused(server.request("GET", &upload), 404, "BLOB_UPLOAD_UNKNOWN").await;
    server
        .push_image("team/app", "v1", &noise(8, MEGABYTE))
        .await;
}

async fn full(server: &Server, request: reqwest::RequestBuilder) {
    let message = refused(request, 507, "INSUFFICIENT_STORAGE").await;
    assert!(message.contains("disk is full"), "{message}");
    for folder in ["uploads", "tmp", "blobs", "repositories"] {
        assert!(server.files(folder).is_empty(), "{folder}");
    }
}

#[tokio::test]
async fn a_manifest_does_not_fit() {
    let Some(disk) = SmallDisk::new() else { return };
    let server = Server::start_in(disk.path()).await;
    server.push_image("team/app", "v1", b"layer").await;
    let files = server.files("repositories");
    let filler = disk.path().join("filler");
    let _full = fs_err::write(&filler, noise(9, 9 * MEGABYTE)).unwrap_err();
    let large = image_of(b"layer").replace('{', "{ \n");
    let put = server
        .request("PUT", "/v2/team/app/manifests/v2")
        .header("content-type", OCI_IMAGE)
        .body(large.clone());
    refused(put.try_clone().unwrap(), 507, "INSUFFICIENT_STORAGE").await;
    assert_eq!(server.files("repositories"), files);
    assert!(server.files("tmp").is_empty());
    expect(server.request("GET", "/v2/team/app/manifests/v1"), 200).await;
    fs_err::remove_file(filler).unwrap();
    expect(put, 201).await;
}
