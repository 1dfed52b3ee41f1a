//! Files and directories that only this user can read.

use std::fs::{DirBuilder, OpenOptions};

#[cfg(unix)]
mod access {
    use std::fs::{DirBuilder, OpenOptions};
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};

    pub(super) fn restrict_file(options: &mut OpenOptions) {
        options.mode(0o600);
    }

    pub(super) fn restrict_directory(builder: &mut DirBuilder) {
        builder.mode(0o700);
    }
}

/// Elsewhere the directories of a user are private already.
#[cfg(not(unix))]
mod access {
    use std::fs::{DirBuilder, OpenOptions};

    pub(super) fn restrict_file(_: &mut OpenOptions) {}

    pub(super) fn restrict_directory(_: &mut DirBuilder) {}
}

/// Options that create a new file for writing. Opening fails if the file exists.
pub(crate) fn new_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    access::restrict_file(&mut options);
    options
}

/// Makes directories.
pub(crate) fn directory() -> DirBuilder {
    let mut builder = DirBuilder::new();
    access::restrict_directory(&mut builder);
    builder
}
