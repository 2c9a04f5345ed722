//! The edge's image: this program, the authorities that it trusts, and nothing else. It is made
//! through the Engine API, without a Dockerfile and without a registry.
//!
//! A static binary, as releases are, needs no more. Of any other one the loader and the libraries
//! that it runs with come along.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use docker::{Archive, Engine, Filter, ImageRef, if_found};
use model::Digest;

use super::{EdgeError, Step};

/// Where the program is in the image; a shell's search path leads there.
pub(crate) const PROGRAM: &str = "/bin/lotse";

const REPOSITORY: &str = "lotse-edge";
const OURSELVES: &str = "/proc/self/exe";
const LOADED: &str = "/proc/self/maps";
/// Where the loader looks without being told.
const LIBRARIES: &str = "lib";
const AUTHORITIES: &str = "etc/ssl/certs/ca-certificates.crt";
const USERS: &str = "root:x:0:0:root:/:/bin/lotse\n";
const NAME_SERVICES: &str = "hosts: files dns\n";

/// Makes the image on the host, unless it is there.
pub(super) async fn ensure(
    engine: &Engine,
    program: Option<&Path>,
    tell: &mut (dyn FnMut(Step) + Send),
) -> Result<ImageRef, EdgeError> {
    check_processors(engine)?;
    let program = program.unwrap_or(Path::new(OURSELVES));
    let binary = fs_err::read(program).map_err(EdgeError::Binary)?;
    let image = name(&binary)?;
    if if_found(engine.inspect_image(&image).await)?.is_none() {
        tell(Step::Importing(image.clone()));
        let archive = files(binary).and_then(|files| archive(&files));
        let archive = Archive::whole(archive.map_err(EdgeError::Binary)?);
        let program = format!("ENTRYPOINT [\"{PROGRAM}\"]");
        engine.import_image(&image, archive, &[&program]).await?;
    }
    Ok(image)
}

/// Removes the images of other versions that no container uses.
pub(super) async fn remove_others(engine: &Engine, image: &ImageRef) -> Result<(), EdgeError> {
    let ours = Filter::all().with("reference", REPOSITORY);
    for other in engine.list_images(ours).await? {
        for tag in other.tags.iter().filter_map(|tag| tag.parse().ok()) {
            if &tag == image {
                continue;
            }
            match engine.remove_image(&tag).await {
                Err(error) if !error.is_conflict() && !error.is_not_found() => {
                    return Err(error.into());
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Two programs with the same bytes are one image.
fn name(binary: &[u8]) -> Result<ImageRef, EdgeError> {
    let digest = Digest::of(binary);
    let name = format!("{REPOSITORY}:{}", &digest.hex()[..16]);
    name.parse().map_err(EdgeError::Image)
}

fn check_processors(engine: &Engine) -> Result<(), EdgeError> {
    let ours = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let theirs = &engine.version().architecture;
    if theirs == ours {
        return Ok(());
    }
    Err(EdgeError::Architecture {
        engine: engine.address().to_owned(),
        ours: ours.to_owned(),
        theirs: theirs.clone(),
    })
}

/// Files by their paths in the image.
type Files = BTreeMap<String, Vec<u8>>;

fn files(binary: Vec<u8>) -> io::Result<Files> {
    let mut files = Files::new();
    if let Some(loader) = loader(&binary) {
        files.insert(
            loader.trim_start_matches('/').to_owned(),
            fs_err::read(&loader)?,
        );
        for library in libraries(&fs_err::read_to_string(LOADED)?) {
            let name = library.rsplit('/').next().unwrap_or(&library);
            files.insert(format!("{LIBRARIES}/{name}"), fs_err::read(&library)?);
        }
    }
    files.insert(PROGRAM.trim_start_matches('/').to_owned(), binary);
    files.insert("etc/passwd".to_owned(), USERS.into());
    files.insert("etc/nsswitch.conf".to_owned(), NAME_SERVICES.into());
    let authorities = Path::new("/").join(AUTHORITIES);
    if authorities.is_file() {
        files.insert(AUTHORITIES.to_owned(), fs_err::read(authorities)?);
    }
    Ok(files)
}

/// The same files make the same archive.
fn archive(files: &Files) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(content.len()).map_err(io::Error::other)?);
        header.set_mode(0o755);
        archive.append_data(&mut header, path, content.as_slice())?;
    }
    archive.into_inner()
}

/// The loader that a program asks for; a static one asks for none (System V ABI, "Program Header",
/// `PT_INTERP`, in the form of 64 bits and the machine's own byte order).
fn loader(binary: &[u8]) -> Option<String> {
    const INTERPRETER: u64 = 3;
    let number = |at: usize, size: usize| -> Option<u64> {
        let mut bytes = [0; 8];
        bytes[..size].copy_from_slice(binary.get(at..at.checked_add(size)?)?);
        Some(u64::from_le_bytes(bytes))
    };
    if !binary.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let headers = usize::try_from(number(0x20, 8)?).ok()?;
    let size = usize::try_from(number(0x36, 2)?).ok()?;
    let count = usize::try_from(number(0x38, 2)?).ok()?;
    let mut headers = (0..count).filter_map(|i| headers.checked_add(i * size));
    let header = headers.find(|&at| number(at, 4) == Some(INTERPRETER))?;
    let start = usize::try_from(number(header + 0x08, 8)?).ok()?;
    let length = usize::try_from(number(header + 0x20, 8)?).ok()?;
    let path = binary.get(start..start.checked_add(length)?)?;
    let path = path.split(|&byte| byte == 0).next()?;
    Some(String::from_utf8_lossy(path).into_owned())
}

/// The libraries in a process's memory map (proc(5)).
fn libraries(map: &str) -> Vec<String> {
    let path = |line: &str| line.find('/').map(|start| line[start..].to_owned());
    let is_library = |path: &String| {
        let name = path.rsplit('/').next().unwrap_or_default();
        name.ends_with(".so") || name.contains(".so.")
    };
    let mut libraries: Vec<_> = map.lines().filter_map(path).filter(is_library).collect();
    libraries.sort();
    libraries.dedup();
    libraries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_stand_in_the_map() {
        let map = "\
            55d0 r--p 00000000 fe:00 1 /usr/bin/lotse\n\
            7f00 r--p 00000000 fe:00 2 /usr/lib/x86_64-linux-gnu/libc.so.6\n\
            7f01 r-xp 00000000 fe:00 2 /usr/lib/x86_64-linux-gnu/libc.so.6\n\
            7f02 r--p 00000000 fe:00 3 /usr/lib/ld-linux-x86-64.so.2\n\
            7ffe r-xp 00000000 00:00 0 [vdso]\n";
        let expected = [
            "/usr/lib/ld-linux-x86-64.so.2",
            "/usr/lib/x86_64-linux-gnu/libc.so.6",
        ];
        assert_eq!(libraries(map), expected);
    }

    #[test]
    fn what_is_no_program_asks_for_no_loader() {
        for bytes in [&b""[..], b"#!/bin/sh", b"\x7fELF\x02\x01", &[0xff; 100]] {
            assert_eq!(loader(bytes), None);
        }
        let mut broken = b"\x7fELF\x02\x01".to_vec();
        broken.resize(0x40, 0xff);
        assert_eq!(loader(&broken), None);
    }

    #[test]
    fn this_test_is_a_program_with_a_loader_or_static() {
        let binary = fs_err::read(OURSELVES).unwrap();
        let map = fs_err::read_to_string(LOADED).unwrap();
        match loader(&binary) {
            Some(loader) => assert!(Path::new(&loader).is_file(), "{loader}"),
            None => assert!(libraries(&map).is_empty(), "{map}"),
        }
    }
}
