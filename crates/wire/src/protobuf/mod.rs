//! The protobuf wire format, without schemas: what the OTLP and Zipkin decoders and encoders are built on.

mod read;
mod write;

pub(crate) use read::{Broken, Cursor, Field, Problem};
pub(crate) use write::Writer;
