//! What every reader of files must hold for any bytes that somebody has given a right checksum: an answer or an error.

use std::sync::OnceLock;

use flow::destination::Bindings;
use flow::engine::{Engine, EngineOptions};
use testkit::forged::Forged;

const CHECKSUM_BYTES: usize = 8;

/// Puts the bytes into a data directory as one of its files, and asks the store everything.
pub fn check(file: &str, bytes: &[u8]) {
    static FORGED: OnceLock<Forged> = OnceLock::new();
    FORGED.get_or_init(Forged::new).check(file, bytes);
}

/// What is read as an engine can be written and read again.
pub fn check_engine(bytes: &[u8]) {
    let content = &bytes[..bytes.len() - CHECKSUM_BYTES.min(bytes.len())];
    let sealed = [content, &model::text::hash_text(content).to_le_bytes()[..]].concat();
    if let Ok((engine, covered)) = Engine::from_bytes(EngineOptions::default(), &sealed) {
        let again = engine.to_bytes(covered);
        assert!(Engine::from_bytes(EngineOptions::default(), &again).is_ok(), "what was written can be read");
    }
}

/// What is read as bindings can be written and read again.
pub fn check_bindings(bytes: &[u8]) {
    if let Ok(bindings) = Bindings::from_bytes(bytes) {
        assert_eq!(Bindings::from_bytes(&bindings.to_bytes()), Ok(bindings));
    }
}
