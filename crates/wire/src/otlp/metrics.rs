//! OTLP's metrics, as far as they are taken: counted. Nothing of them is kept yet.
//!
//! `ExportMetricsServiceRequest` as protobuf and as JSON. A body that is neither is refused as any other would be.

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess};

use crate::json_read::{Elements, Fields, List, Object, Text, read_body, skip};
use crate::protobuf::{Broken, Cursor, Field};
use crate::report::Report;
use crate::{DecodeError, Format};

/// Metrics about messages have names that begin so.
const MESSAGING: &[u8] = b"messaging.";
/// The fields of a metric that hold its points: gauge, sum, histogram, exponential histogram, summary.
const KINDS: [u32; 5] = [5, 7, 9, 10, 11];
const KIND_NAMES: [&str; 5] = ["gauge", "sum", "histogram", "exponentialHistogram", "summary"];

/// How many data points a request has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MetricPoints {
    /// Of metrics about messages.
    pub messaging: u64,
    /// Of all others.
    pub other: u64,
}

impl MetricPoints {
    fn add(&mut self, name: &[u8], points: u64) {
        let place = if name.starts_with(MESSAGING) { &mut self.messaging } else { &mut self.other };
        *place += points;
    }

    /// All of them.
    pub fn total(self) -> u64 {
        self.messaging + self.other
    }
}

/// Counts the data points of a request in one of OTLP's formats.
pub fn count_metric_points(format: Format, body: &[u8]) -> Result<MetricPoints, DecodeError> {
    let mut points = MetricPoints::default();
    if format == Format::OtlpJson {
        let mut level = Level { points: &mut points, names: &["resourceMetrics", "scopeMetrics", "metrics"] };
        read_body(format, body, &mut Report::default(), |deserializer| {
            Object(&mut level).deserialize(deserializer).map(drop)
        })?;
    } else {
        within(&mut points, body, &[1, 2, 2]).map_err(|broken| broken.refusal(Format::OtlpProtobuf, body))?;
    }
    Ok(points)
}

/// Goes down to the metrics by the numbers of the fields that lead there.
fn within(points: &mut MetricPoints, message: &[u8], path: &[u32]) -> Result<(), Broken> {
    let [first, rest @ ..] = path else { return metric(points, message) };
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        if let (number, Field::Bytes(message)) = field
            && number == *first
        {
            within(points, message, rest)?;
        }
    }
    Ok(())
}

fn metric(points: &mut MetricPoints, message: &[u8]) -> Result<(), Broken> {
    let (mut name, mut count): (&[u8], u64) = (&[], 0);
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.field()? {
        match field {
            (1, Field::Bytes(text)) => name = text,
            (number, Field::Bytes(data)) if KINDS.contains(&number) => {
                let mut cursor = Cursor::new(data);
                while let Some(field) = cursor.field()? {
                    count += u64::from(matches!(field, (1, Field::Bytes(_))));
                }
            }
            _ => {}
        }
    }
    points.add(name, count);
    Ok(())
}

/// An object that holds a list of the next level, at last of metrics.
struct Level<'m> {
    points: &'m mut MetricPoints,
    names: &'static [&'static str],
}

impl Fields for Level<'_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        if self.names.first() == Some(&name) { map.next_value_seed(List(self)) } else { skip(map) }
    }
}

impl Elements for Level<'_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        if let [_, names @ ..] = self.names
            && !names.is_empty()
        {
            return Object(&mut Level { points: &mut *self.points, names }).deserialize(deserializer).map(drop);
        }
        let mut metric = Metric::default();
        Object(&mut metric).deserialize(deserializer)?;
        self.points.add(&metric.name, metric.points);
        Ok(())
    }
}

#[derive(Default)]
struct Metric {
    name: Vec<u8>,
    points: u64,
}

impl Fields for Metric {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "name" => self.name = map.next_value_seed(Text)?.unwrap_or_default().into_owned(),
            kind if KIND_NAMES.contains(&kind) => map.next_value_seed(Object(&mut Data(&mut self.points))).map(drop)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

struct Data<'m>(&'m mut u64);

impl Fields for Data<'_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        if name == "dataPoints" { map.next_value_seed(List(self)) } else { skip(map) }
    }
}

impl Elements for Data<'_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        *self.0 += 1;
        IgnoredAny::deserialize(deserializer).map(drop)
    }
}
