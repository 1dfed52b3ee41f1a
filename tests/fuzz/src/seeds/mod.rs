//! Real messages and files, as a session makes them: the corpus, from which the search starts.

mod conversation;
mod files;
mod frames;

/// All seeds: target, name, bytes.
pub fn all() -> Vec<(&'static str, String, Vec<u8>)> {
    let named = |target, seeds: Vec<(String, Vec<u8>)>| {
        seeds.into_iter().map(move |(name, bytes)| (target, name, bytes))
    };
    let mut all = Vec::new();
    all.extend(named("frame", frames::frames()));
    all.extend(named("client", frames::of_client()));
    all.extend(named("server", frames::of_server()));
    all.extend(named("blobs", frames::of_blobs()));
    all.extend(named("snapshot", files::snapshots()));
    all.extend(named("link", files::links()));
    all.extend(named("store", files::stores()));
    all.extend(named("recording", files::recordings()));
    all
}
