//! One golden a library: the views of what the real package sent, recorded by `tests/recordings/record.py`.

use model::{Limits, SpanBatch};
use wire::{Format, decode};

use crate::show::Page;

pub(crate) fn recorded(name: &str) -> SpanBatch {
    let path = format!("{}/tests/recorded/{name}.otlp", env!("CARGO_MANIFEST_DIR"));
    let body = std::fs::read(path).expect("the recording is there");
    decode(Format::OtlpProtobuf, &body, &Limits::DEFAULT).expect("the recording is a request").batch
}

/// Guarantees the view of every span that a library's recording holds.
fn check(name: &str) {
    let batch = recorded(name);
    insta::assert_snapshot!(name, Page::new(&batch).write());
}

every_recording!(check);
