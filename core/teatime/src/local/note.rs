//! The note of this machine's reflector: where it is, and its token. Only this user can read and change it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use teatime_net::server::Token;

/// How long another program may take to find or to start the reflector.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two attempts to get the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Longer than any note.
const MAX_NOTE: u64 = 1024;

/// Where a reflector is, and its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    url: String,
    token: Token,
}

impl Note {
    pub(super) fn new(url: String, token: Token) -> Self {
        Self { url, token }
    }

    /// `None` if it is not a note, or one of a version without tokens.
    fn read(text: &str) -> Option<Self> {
        let (url, token) = text.trim_end().split_once('\n')?;
        Some(Self { url: url.to_owned(), token: Token::read(token)? })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn token(&self) -> &Token {
        &self.token
    }

    /// Where it listens.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.origin().strip_prefix("ws://")?.parse().ok()
    }

    /// The address without a path, to be shown.
    pub(super) fn origin(&self) -> &str {
        let host = self.url.find("://").map_or(0, |at| at + 3);
        let end = self.url[host..].find('/').map_or(self.url.len(), |at| host + at);
        &self.url[..end]
    }
}

/// The directory of the note.
#[derive(Debug)]
pub(super) struct Directory(PathBuf);

impl Directory {
    /// # Errors
    /// The user has no such directory, or another user can change what is in it.
    pub(super) fn open() -> io::Result<Self> {
        let base = std::env::var_os("XDG_RUNTIME_DIR")
            .or_else(|| std::env::var_os("LOCALAPPDATA"))
            .map(PathBuf::from)
            .filter(|path| path.is_dir());
        let directory = match base {
            Some(base) => base.join("teatime"),
            None => home()?.join(".cache").join("teatime"),
        };
        Self::at(directory)
    }

    fn at(directory: PathBuf) -> io::Result<Self> {
        if let Some(parent) = directory.parent() {
            fs::create_dir_all(parent)?;
        }
        match create(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        make_private(&directory)?;
        Ok(Self(directory))
    }

    /// Waits until no other program looks for the reflector, or starts it.
    ///
    /// # Errors
    /// Another program takes too long.
    pub(super) fn lock(&self) -> io::Result<File> {
        let path = self.0.join("lock");
        let file = options().create(true).truncate(false).write(true).open(&path)?;
        let started = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if started.elapsed() < LOCK_TIMEOUT => {
                    std::thread::sleep(LOCK_PAUSE);
                }
                Err(TryLockError::WouldBlock) => {
                    let why = format!(
                        "another program has locked {} for {} s: end it, or name a reflector",
                        path.display(),
                        LOCK_TIMEOUT.as_secs()
                    );
                    return Err(io::Error::new(io::ErrorKind::TimedOut, why));
                }
            }
        }
    }

    /// The note, if there is one.
    ///
    /// # Errors
    /// Another user can change it.
    pub(super) fn note(&self) -> io::Result<Option<Note>> {
        let path = self.path();
        let file = match options().read(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(refused(&path, &error.to_string())),
        };
        check_note(&file).map_err(|why| refused(&path, why))?;
        let mut text = String::new();
        file.take(MAX_NOTE).read_to_string(&mut text)?;
        Ok(Note::read(&text))
    }

    /// Writes the note so that readers see the old one or the new one, never a part.
    pub(super) fn write_note(&self, note: &Note) -> io::Result<()> {
        let temporary = self.0.join(format!("reflector.{}.tmp", std::process::id()));
        // Of a program with the same number that was killed.
        let _ = fs::remove_file(&temporary);
        let mut file = options().write(true).create_new(true).open(&temporary)?;
        write!(file, "{}\n{}\n", note.url, note.token.as_str())?;
        fs::rename(temporary, self.path())
    }

    /// Removes the note, unless it is another one by now.
    pub(super) fn remove_note(&self, note: &Note) -> io::Result<()> {
        match self.note()? {
            Some(noted) if noted == *note => fs::remove_file(self.path()),
            _ => Ok(()),
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.0.join("reflector.url")
    }
}

fn home() -> io::Result<PathBuf> {
    std::env::home_dir().ok_or_else(|| io::Error::other("this user has no home directory"))
}

fn refused(path: &Path, why: &str) -> io::Error {
    let why = format!("{}: {why}: remove it, or set XDG_RUNTIME_DIR", path.display());
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

/// New files are for this user only, and a symbolic link is not followed.
#[cfg(unix)]
fn options() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = File::options();
    options.mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    options
}

#[cfg(not(unix))]
fn options() -> OpenOptions {
    File::options()
}

#[cfg(unix)]
fn create(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().mode(0o700).create(directory)
}

#[cfg(not(unix))]
fn create(directory: &Path) -> io::Result<()> {
    fs::create_dir(directory)
}

/// Makes sure that only this user can change a directory.
#[cfg(unix)]
fn make_private(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let found = fs::symlink_metadata(directory)?;
    if !found.is_dir() {
        return Err(refused(directory, "expected a directory, found a symbolic link or a file"));
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        let why = format!("expected a directory of this user, found one of user {}", found.uid());
        return Err(refused(directory, &why));
    }
    if found.mode() & 0o077 != 0 {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// The directory of a user's own programs is private there.
#[cfg(not(unix))]
fn make_private(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Whether only this user can read and change a note.
#[cfg(unix)]
fn check_note(file: &File) -> Result<(), &'static str> {
    use std::os::unix::fs::MetadataExt;
    let found = file.metadata().map_err(|_| "it cannot be examined")?;
    if !found.is_file() || found.uid() != rustix::process::geteuid().as_raw() {
        return Err("expected a file of this user");
    }
    if found.mode() & 0o077 != 0 {
        return Err("expected a file that only this user can read (mode 600)");
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_note(_: &File) -> Result<(), &'static str> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it is there").permissions().mode() & 0o777
    }

    fn note() -> Note {
        Note::new("ws://127.0.0.1:9/x".into(), Token::draw().expect("random"))
    }

    #[test]
    fn a_note_is_read_as_it_was_written_and_only_this_user_can_read_it() {
        let folder = tempfile::tempdir().expect("there is room");
        let path = folder.path().join("teatime");
        // As a version before tokens made it.
        fs::create_dir(&path).expect("there is room");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        let directory = Directory::at(path.clone()).expect("it is ours");
        assert_eq!(directory.note().expect("nothing is wrong"), None);
        let note = note();
        directory.write_note(&note).expect("there is room");
        assert_eq!(directory.note().expect("it is ours"), Some(note.clone()));
        assert_eq!((mode(&path), mode(&directory.path())), (0o700, 0o600));
        assert_eq!(
            (note.origin(), note.address()),
            ("ws://127.0.0.1:9", "127.0.0.1:9".parse().ok())
        );
        directory.remove_note(&self::note()).expect("nothing to do");
        assert!(directory.path().exists());
        directory.remove_note(&note).expect("it is ours");
        assert!(!directory.path().exists());
    }

    #[test]
    fn a_symbolic_link_in_place_of_the_directory_the_note_or_the_lock_is_refused() {
        let folder = tempfile::tempdir().expect("there is room");
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        let directory = Directory::at(real.clone()).expect("it is ours");
        directory.write_note(&note()).expect("there is room");
        symlink(&real, &link).expect("there is room");
        let refused = Directory::at(link).expect_err("a link").to_string();
        assert!(
            refused.contains("symbolic link") && refused.contains("XDG_RUNTIME_DIR"),
            "{refused}"
        );
        fs::rename(directory.path(), real.join("elsewhere")).expect("it is ours");
        for name in ["reflector.url", "lock"] {
            symlink(real.join("elsewhere"), real.join(name)).expect("there is room");
        }
        assert!(directory.note().is_err() && directory.lock().is_err());
    }

    #[test]
    fn a_directory_of_another_user_is_refused() {
        let folder = tempfile::tempdir().expect("there is room");
        let path = folder.path().join("teatime");
        fs::create_dir(&path).expect("there is room");
        // Only the superuser can give it away.
        if std::os::unix::fs::chown(&path, Some(65_534), None).is_ok() {
            let refused = Directory::at(path).expect_err("it is not ours").to_string();
            assert!(refused.contains("65534") && refused.contains("XDG_RUNTIME_DIR"), "{refused}");
        }
    }

    #[test]
    fn a_note_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().expect("there is room");
        let directory = Directory::at(folder.path().join("teatime")).expect("it is ours");
        directory.write_note(&note()).expect("there is room");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o644))
            .expect("it is ours");
        assert!(directory.note().expect_err("others can read it").to_string().contains("600"));
    }

    #[test]
    fn a_lock_that_is_held_is_reported_after_ten_seconds_with_its_file() {
        let folder = tempfile::tempdir().expect("there is room");
        let directory = Directory::at(folder.path().join("teatime")).expect("it is ours");
        let _held = directory.lock().expect("it is free");
        let started = Instant::now();
        let error = directory.lock().expect_err("it is held");
        assert!(started.elapsed() >= LOCK_TIMEOUT);
        assert!(error.to_string().contains("teatime/lock"), "{error}");
    }
}
