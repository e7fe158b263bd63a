//! prost says what OTLP protobuf means; the cursor must agree, whatever the bytes.

use model::Limits;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use proptest::prelude::*;
use prost::Message;
use wire::{Format, decode};

use crate::messages::traces_data;
use crate::mutate::Random;
use crate::normal::{of_batch, of_prost};
use crate::shuffle::{Kind, shuffle};

/// If prost accepts the bytes, the cursor does and finds the same.
fn agree(bytes: &[u8]) -> Result<(), TestCaseError> {
    let decoded = decode(Format::OtlpProtobuf, bytes, &Limits::DEFAULT);
    if let Ok(data) = TracesData::decode(bytes) {
        let decoded = decoded.expect("prost accepts it");
        prop_assert_eq!(of_batch(&decoded.batch), of_prost(&data));
        let spans: usize =
            data.resource_spans.iter().flat_map(|each| &each.scope_spans).map(|each| each.spans.len()).sum();
        prop_assert_eq!(decoded.report.received_spans, spans as u64);
        prop_assert_eq!(decoded.report.received_spans - decoded.report.rejected_spans(), decoded.batch.len() as u64);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn valid_messages(data in traces_data()) {
        // Guarantees that the cursor finds exactly what prost finds in any message.
        let bytes = data.encode_to_vec();
        prop_assert!(decode(Format::OtlpProtobuf, &bytes, &Limits::DEFAULT).is_ok());
        agree(&bytes)?;
    }

    #[test]
    fn messages_written_in_unusual_ways(data in traces_data(), seed: u64) {
        // Guarantees that order, repetition of singular messages, unknown fields and groups are read as protobuf means them.
        let bytes = shuffle(Kind::TracesData, &data.encode_to_vec(), &mut Random(seed));
        prop_assert!(TracesData::decode(bytes.as_slice()).is_ok());
        agree(&bytes)?;
    }

    #[test]
    fn damaged_messages(data in traces_data(), seed: u64) {
        // Guarantees that flipped bits and cut ends never panic, and are refused only where prost refuses them.
        let valid = data.encode_to_vec();
        let mut random = Random(seed);
        for _ in 0..16 {
            let mut bytes = valid.clone();
            for _ in 0..=random.below(3) {
                if !bytes.is_empty() {
                    let place = random.below(bytes.len());
                    bytes[place] ^= 1 << random.below(8);
                }
            }
            if random.below(4) == 0 {
                bytes.truncate(random.below(bytes.len() + 1));
            }
            agree(&bytes)?;
        }
    }

    #[test]
    fn arbitrary_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        // Guarantees that no bytes make the cursor panic, and that it accepts all that prost accepts.
        agree(&bytes)?;
    }

    #[test]
    fn encoded_protobuf_is_what_was_decoded(data in traces_data()) {
        // Guarantees that a batch written as protobuf is read back the same, by prost and by the cursor, and that a second
        // writing gives the same bytes.
        let first = decode(Format::OtlpProtobuf, &data.encode_to_vec(), &Limits::DEFAULT).unwrap().batch;
        let bytes = wire::otlp::encode_protobuf(first.spans());
        let second = decode(Format::OtlpProtobuf, &bytes, &Limits::DEFAULT).unwrap().batch;
        prop_assert_eq!(of_batch(&first), of_batch(&second));
        prop_assert_eq!(of_batch(&first), of_prost(&TracesData::decode(bytes.as_slice()).unwrap()));
        prop_assert_eq!(wire::otlp::encode_protobuf(second.spans()), bytes);
    }
}
