//! `LogsData` from JSON, with the same result as from the protobuf of the same data and the leniency of [`super::decode_json()`].

use model::log::severity_number;
use model::{Level, LogRow};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess};

use super::decode_json::{Resource, Scope, count_field, enum_number, id_field, time_field};
use super::json_value::{AttributeList, lone_value};
use crate::context::{OpenResource, OpenScope};
use crate::json_read::{Elements, Fields, HexId, List, Object, Scalar, read_body, skip, text_field};
use crate::logs::LogSink;
use crate::report::Report;
use crate::sink::AttributeCount;
use crate::{DecodeError, Format};

pub(crate) fn decode_logs_json(body: &[u8], logs: &mut LogSink<'_>) -> Result<(), DecodeError> {
    let mut before = Report::default();
    read_body(Format::OtlpJson, body, &mut before, |deserializer| {
        Object(&mut LogsData { logs }).deserialize(deserializer).map(drop)
    })?;
    logs.sink.report.merge(&before);
    Ok(())
}

struct LogsData<'m, 'l> {
    logs: &'m mut LogSink<'l>,
}

impl Fields for LogsData<'_, '_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "resourceLogs" => map.next_value_seed(List(&mut ResourceLogsList { logs: self.logs })),
            _ => skip(map),
        }
    }
}

struct ResourceLogsList<'m, 'l> {
    logs: &'m mut LogSink<'l>,
}

impl Elements for ResourceLogsList<'_, '_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        let open = self.logs.sink.open_resource();
        let mut fields = ResourceLogs { logs: self.logs, open };
        Object(&mut fields).deserialize(deserializer)?;
        let open = fields.open;
        self.logs.sink.close_resource(&open);
        Ok(())
    }
}

struct ResourceLogs<'m, 'l> {
    logs: &'m mut LogSink<'l>,
    open: OpenResource,
}

impl Fields for ResourceLogs<'_, '_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "resource" => {
                let mut resource = Resource { sink: &mut self.logs.sink, open: &mut self.open };
                map.next_value_seed(Object(&mut resource)).map(drop)
            }
            "scopeLogs" => map.next_value_seed(List(&mut ScopeLogsList { logs: self.logs })),
            "schemaUrl" => {
                self.open.schema_url = text_field(&mut self.logs.sink, map)?;
                Ok(())
            }
            _ => skip(map),
        }
    }
}

struct ScopeLogsList<'m, 'l> {
    logs: &'m mut LogSink<'l>,
}

impl Elements for ScopeLogsList<'_, '_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        let open = self.logs.sink.open_scope();
        let mut fields = ScopeLogs { logs: self.logs, open };
        Object(&mut fields).deserialize(deserializer)?;
        let open = fields.open;
        self.logs.sink.close_scope(&open);
        Ok(())
    }
}

struct ScopeLogs<'m, 'l> {
    logs: &'m mut LogSink<'l>,
    open: OpenScope,
}

impl Fields for ScopeLogs<'_, '_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "scope" => {
                let mut scope = Scope { sink: &mut self.logs.sink, open: &mut self.open };
                map.next_value_seed(Object(&mut scope)).map(drop)
            }
            "logRecords" => map.next_value_seed(List(&mut RecordList { logs: self.logs })),
            "schemaUrl" => {
                self.open.schema_url = text_field(&mut self.logs.sink, map)?;
                Ok(())
            }
            _ => skip(map),
        }
    }
}

struct RecordList<'m, 'l> {
    logs: &'m mut LogSink<'l>,
}

impl Elements for RecordList<'_, '_> {
    fn element<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        let sink = &mut self.logs.sink;
        sink.begin_span();
        sink.look();
        if sink.is_overfull() {
            return Err(D::Error::custom("too much for one batch"));
        }
        let row = LogRow { scope: sink.current_scope(), ..LogRow::default() };
        let (trace_id, span_id) = (HexId::default(), HexId::default());
        let attributes = AttributeCount::new(Level::Span);
        let mut record = Record { row, logs: self.logs, trace_id, span_id, attributes };
        Object(&mut record).deserialize(deserializer)?;
        record.close();
        Ok(())
    }
}

struct Record<'m, 'l> {
    logs: &'m mut LogSink<'l>,
    row: LogRow,
    trace_id: HexId,
    span_id: HexId,
    attributes: AttributeCount,
}

impl Record<'_, '_> {
    fn close(self) {
        let mut row = self.row;
        row.dropped_attributes_count = self.attributes.total_dropped(row.dropped_attributes_count);
        if !self.logs.sink.refuse_charged_span() {
            self.logs.set_ids(&mut row, self.trace_id.bytes(), self.span_id.bytes());
            self.logs.push(row);
        }
    }
}

impl Fields for Record<'_, '_> {
    fn field<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        let (row, sink) = (&mut self.row, &mut self.logs.sink);
        match name {
            "timeUnixNano" => row.time_unix_nano = time_field(map)?,
            "observedTimeUnixNano" => row.observed_unix_nano = time_field(map)?,
            "severityNumber" => {
                let severity = map.next_value_seed(Scalar)?;
                row.severity_number = enum_number(&severity, "SEVERITY_NUMBER_", severity_of_enum)?;
            }
            "severityText" => row.severity_text = text_field(sink, map)?,
            "eventName" => row.event_name = text_field(sink, map)?,
            "body" => row.body = lone_value(sink, map)?,
            "attributes" => map.next_value_seed(List(&mut AttributeList { sink, count: &mut self.attributes }))?,
            "droppedAttributesCount" => count_field(&mut row.dropped_attributes_count, map)?,
            "flags" => count_field(&mut row.flags, map)?,
            "traceId" => self.trace_id = id_field(map)?,
            "spanId" => self.span_id = id_field(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// The number of a name such as `info` or `info3`.
fn severity_of_enum(name: &str) -> Option<i32> {
    let word = name.trim_end_matches(|digit: char| digit.is_ascii_digit());
    let step: i32 = name[word.len()..].parse().unwrap_or(1);
    (1..=4)
        .contains(&step)
        .then(|| severity_number(word))
        .flatten()
        .filter(|&lowest| lowest > 0)
        .map(|lowest| lowest + step - 1)
}
