//! What many times as much in one directory changes: each figure once and at the end, and their ratio.

use super::results::Results;
use super::shop::grouped;
use anyhow::Result;
use std::fmt::Write;

/// Name of a figure of ingest, and how it is called.
const INGEST: [(&str, &str, usize); 5] = [
    ("cpu_s_per_mspan_settled", "server CPU-s per million spans, until settled", 2),
    ("spans_per_s", "spans/s until the last OK", 0),
    ("request_p99_ms", "request p99 ms", 1),
    ("peak_rss_mib", "peak resident memory, with questions after the first pass, MiB", 0),
    ("disk_bytes_per_span", "bytes on disk per span added", 1),
];

/// The same of a server that is only loaded.
const ALONE: [(&str, &str); 2] =
    [("peak_rss_mib", "peak resident memory, load alone, MiB"), ("peak_anon_mib", "… of it no mapped files")];

/// Classes of questions.
const CLASSES: [(&str, &str); 8] = [
    ("get_trace", "trace by id"),
    ("unknown_trace", "unknown id"),
    ("service", "by service"),
    ("operation", "by service and operation"),
    ("order_id", "by `order.id`"),
    ("min_duration", "by minimum duration"),
    ("error", "by error"),
    ("list_services", "list of services"),
];

pub(super) fn table(results: &Results, times: u64) -> Result<String> {
    let mut text = String::new();
    let millions = results.get("spans")? / 1e6;
    let all = millions * times as f64;
    writeln!(text, "| | the first {millions:.1} million spans | up to {all:.1} million | ratio |\n|---|---|---|---|")?;
    for (name, what, decimals) in INGEST {
        let (once, more) = (results.get(&format!("once.{name}"))?, results.get(&format!("more.{name}"))?);
        let (shown_once, shown_more) = (grouped(once, decimals), grouped(more, decimals));
        writeln!(text, "| {what} | {shown_once} | {shown_more} | {:.2} |", more / once)?;
    }
    for (name, what) in ALONE {
        let (once, more) = (results.get(&format!("alone_once.{name}"))?, results.get(&format!("alone_more.{name}"))?);
        writeln!(text, "| {what} | {once:.0} | {more:.0} | {:.2} |", more / once)?;
    }
    writeln!(
        text,
        "\n| p50 / p99 ms, server CPU ms | {millions:.1} million | {all:.1}, oldest stretch | newest | all | ratio of CPU, oldest / newest / all |\n|---|---|---|---|---|---|"
    )?;
    for (name, what) in CLASSES {
        let shown = |part: &str| -> Result<String> {
            let figure = |of: &str| results.get(&format!("{part}.{name}.{of}"));
            Ok(format!("{:.2} / {:.2}, {:.1}", figure("p50_ms")?, figure("p99_ms")?, figure("cpu_ms")?))
        };
        let cpu = |part: &str| results.get(&format!("{part}.{name}.cpu_ms"));
        let ratio = |part: &str| cpu(part).map_or_else(|_| "–".to_owned(), |more| ratio_of(more, &cpu("once")));
        // Not every class is asked without a stretch of time.
        let any = shown("any").unwrap_or_else(|_| "–".to_owned());
        let (once, oldest, newest) = (shown("once")?, shown("oldest")?, shown("newest")?);
        let ratios = ["oldest", "newest", "any"].map(ratio).join(" / ");
        writeln!(text, "| {what} | {once} | {oldest} | {newest} | {any} | {ratios} |")?;
    }
    let others = results.get("once.others_cpu_s")? + results.get("more.others_cpu_s")?;
    writeln!(text, "\nCPU seconds that other programs used during the load: {others:.0}.")?;
    Ok(text)
}

fn ratio_of(more: f64, once: &Result<f64>) -> String {
    match once {
        Ok(once) if *once > 0.0 => format!("{:.1}", more / once),
        _ => "–".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_the_same_figures() {
        // What many times the data changes is seen at a glance, and a class that was not asked is a dash, not a zero.
        let mut text = "spans 2000000\n".to_owned();
        for part in ["once", "more"] {
            for name in INGEST.iter().map(|row| row.0).chain(["others_cpu_s"]) {
                writeln!(text, "{part}.{name} {}", if part == "once" { 2.0 } else { 3.0 }).unwrap();
            }
        }
        for (name, _) in ALONE {
            writeln!(text, "alone_once.{name} 200\nalone_more.{name} 250").unwrap();
        }
        for (part, ms) in [("once", 2.0), ("oldest", 2.0), ("newest", 4.0), ("any", 2.0)] {
            for (class, _) in CLASSES.iter().filter(|class| part != "any" || class.0 != "order_id") {
                for of in ["p50_ms", "p99_ms", "cpu_ms"] {
                    writeln!(text, "{part}.{class}.{of} {ms}").unwrap();
                }
            }
        }
        let table = table(&Results::parse(&text).unwrap(), 10).unwrap();
        assert!(table.contains("| up to 20.0 million |"), "{table}");
        assert!(table.contains("| server CPU-s per million spans, until settled | 2.00 | 3.00 | 1.50 |"), "{table}");
        assert!(table.contains("| peak resident memory, load alone, MiB | 200 | 250 | 1.25 |"), "{table}");
        assert!(table.contains("| – | 1.0 / 2.0 / – |"), "{table}");
        assert!(table.contains("| 1.0 / 2.0 / 1.0 |"), "{table}");
    }
}
