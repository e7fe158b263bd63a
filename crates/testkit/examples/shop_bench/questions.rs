//! Asking through Jaeger's API, one question at a time, and checking every answer against the manifest.
//!
//! A latency ends when the whole body has been read; parsing it is the client's business. A search that more traces match
//! than its limit is right with as many as its limit.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use testkit::rng::Rng;
use testkit::shop::{Manifest, renewed_id};

use crate::corpus::Corpus;
use crate::load::Latencies;
use crate::server::{Server, agent, process_cpu_s};

/// Traces a search asks for.
const LIMIT: usize = 20;
/// Asked before the clock starts.
const WARM_UP: usize = 3;

/// Classes of questions, and how many are asked.
const CLASSES: [(Class, usize); 8] = [
    (Class::GetTrace, 400),
    (Class::UnknownTrace, 200),
    (Class::Service, 100),
    (Class::Operation, 200),
    (Class::OrderId, 200),
    (Class::MinDuration, 100),
    (Class::Error, 100),
    (Class::ListServices, 100),
];

#[derive(Debug, Clone, Copy)]
enum Class {
    GetTrace,
    UnknownTrace,
    Service,
    Operation,
    OrderId,
    MinDuration,
    Error,
    ListServices,
}

impl Class {
    fn name(self) -> &'static str {
        match self {
            Class::GetTrace => "get_trace",
            Class::UnknownTrace => "unknown_trace",
            Class::Service => "service",
            Class::Operation => "operation",
            Class::OrderId => "order_id",
            Class::MinDuration => "min_duration",
            Class::Error => "error",
            Class::ListServices => "list_services",
        }
    }
}

/// What a class of questions gave.
pub(crate) struct ClassFigures {
    pub(crate) name: &'static str,
    pub(crate) latencies: Latencies,
    /// Of the server, a question. Counts ingest too, if there is any.
    pub(crate) server_cpu_ms: f64,
    pub(crate) wrong: usize,
    pub(crate) first_problem: Option<String>,
}

/// A question's time, and what is wrong with its answer.
type Asked = (Duration, Option<String>);

/// Asks about one corpus.
pub(crate) struct Questions<'a> {
    server: &'a Server,
    manifest: &'a Manifest,
    range_ns: (u64, u64),
    agent: ureq::Agent,
    quick: bool,
    /// Traces that the manifest does not know may match too.
    more_arrives: bool,
    /// The pass whose traces are asked for.
    pass: u64,
    rng: Rng,
}

impl<'a> Questions<'a> {
    pub(crate) fn new(server: &'a Server, corpus: &'a Corpus, range_ns: (u64, u64), quick: bool) -> Self {
        let (agent, rng) = (agent(), Rng::new(3));
        Questions { server, manifest: &corpus.manifest, range_ns, agent, quick, more_arrives: false, pass: 0, rng }
    }

    pub(crate) fn while_more_arrives(mut self) -> Self {
        self.more_arrives = true;
        self
    }

    /// Asks for what was sent in a later pass.
    pub(crate) fn of_pass(mut self, pass: u64) -> Self {
        self.pass = pass;
        self
    }

    pub(crate) fn ask_all(&mut self) -> Vec<ClassFigures> {
        CLASSES
            .iter()
            .map(|&(class, count)| self.ask_class(class, if self.quick { count / 4 } else { count }))
            .collect()
    }

    fn ask_class(&mut self, class: Class, count: usize) -> ClassFigures {
        for _ in 0..WARM_UP {
            // What is wrong here is wrong again below.
            let _ = self.ask(class);
        }
        let mut latencies = Latencies::default();
        let (mut wrong, mut first_problem) = (0, None);
        let cpu_s = || process_cpu_s(self.server.pid()).unwrap_or(0.0);
        let begin_s = cpu_s();
        for _ in 0..count {
            let problem = match self.ask(class) {
                Ok((time, problem)) => {
                    latencies.push(time);
                    problem
                }
                Err(error) => Some(format!("{error:#}")),
            };
            wrong += usize::from(problem.is_some());
            first_problem = first_problem.or(problem);
        }
        let server_cpu_ms = (process_cpu_s(self.server.pid()).unwrap_or(0.0) - begin_s) * 1e3 / count as f64;
        ClassFigures { name: class.name(), latencies, server_cpu_ms, wrong, first_problem }
    }

    fn ask(&mut self, class: Class) -> Result<Asked> {
        let manifest = self.manifest;
        match class {
            Class::GetTrace => {
                let sample = self.rng.pick(&manifest.samples);
                self.trace(&hex(&renewed_id(sample.id, self.pass)), sample.spans)
            }
            Class::UnknownTrace => {
                let id = format!("{:016x}{:016x}", self.rng.next_u64(), self.rng.next_u64());
                self.trace(&id, 0)
            }
            Class::Service => {
                let (service, counts) = self.service();
                self.count(service, &[], counts.traces)
            }
            Class::Operation => {
                let operations: Vec<_> = manifest
                    .services
                    .iter()
                    .flat_map(|(service, counts)| counts.operations.iter().map(move |(name, n)| (*service, name, *n)))
                    .collect();
                let &(service, name, traces) = self.rng.pick(&operations);
                self.count(service, &[("operation", name.clone())], traces)
            }
            Class::OrderId => self.order(),
            Class::MinDuration => {
                let probe = self.rng.pick(&manifest.durations);
                let least = ("minDuration", format!("{}ms", probe.min_ns / 1_000_000));
                self.count(probe.service, &[least], probe.traces)
            }
            Class::Error => {
                let (service, counts) = self.service();
                self.count(service, &[("tags", json!({"error": "true"}).to_string())], counts.error_traces)
            }
            Class::ListServices => self.list_services(),
        }
    }

    fn service(&mut self) -> (&'a str, &'a testkit::shop::ServiceCounts) {
        let place = self.rng.below(self.manifest.services.len() as u64) as usize;
        let (name, counts) = self.manifest.services.iter().nth(place).expect("the place lies within");
        (name, counts)
    }

    fn get(&self, path: &str, pairs: &[(&str, String)]) -> Result<(u16, Vec<u8>, Duration)> {
        let mut request = self.agent.get(self.server.url("jaeger", path)?);
        for (name, value) in pairs {
            request = request.query(*name, value);
        }
        let begin = Instant::now();
        let mut answer = request.call()?;
        let body = answer.body_mut().with_config().limit(1 << 30).read_to_vec()?;
        Ok((answer.status().as_u16(), body, begin.elapsed()))
    }

    fn json(&self, path: &str, pairs: &[(&str, String)]) -> Result<(Value, Duration)> {
        let (status, body, time) = self.get(path, pairs)?;
        ensure!(status == 200, "status {status}: {}", String::from_utf8_lossy(&body));
        Ok((serde_json::from_slice(&body)?, time))
    }

    /// All spans of a trace; none of a trace that is unknown.
    fn trace(&self, id: &str, expected: u64) -> Result<Asked> {
        let (status, body, time) = self.get(&format!("/api/traces/{id}"), &[])?;
        ensure!(status == 200 || status == 404, "status {status}");
        let answer: Value = if status == 404 { Value::Null } else { serde_json::from_slice(&body)? };
        let spans: BTreeSet<&str> = items(&answer["data"])
            .flat_map(|trace| items(&trace["spans"]))
            .filter_map(|span| span["spanID"].as_str())
            .collect();
        let found = spans.len() as u64;
        Ok((time, (found != expected).then(|| format!("trace {id}: {found} spans, not {expected}"))))
    }

    fn search(&self, service: &str, pairs: &[(&str, String)]) -> Result<(BTreeSet<String>, Duration)> {
        let (start_us, end_us) = (self.range_ns.0 / 1000, self.range_ns.1 / 1000);
        let mut all = vec![("service", service.to_owned()), ("limit", LIMIT.to_string())];
        all.extend([("start", start_us.to_string()), ("end", end_us.to_string())]);
        all.extend(pairs.iter().cloned());
        let (answer, time) = self.json("/api/traces", &all)?;
        let ids = items(&answer["data"]).filter_map(|trace| trace["traceID"].as_str());
        Ok((ids.map(|id| format!("{id:0>32}")).collect(), time))
    }

    fn count(&self, service: &str, pairs: &[(&str, String)], matching: u64) -> Result<Asked> {
        let (found, time) = self.search(service, pairs)?;
        let least = (matching as usize).min(LIMIT);
        let most = if self.more_arrives { LIMIT } else { least };
        let right = (least..=most).contains(&found.len());
        Ok((time, (!right).then(|| format!("{service} {pairs:?}: {} traces, not {least}", found.len()))))
    }

    fn order(&mut self) -> Result<Asked> {
        let probe = self.rng.pick(&self.manifest.orders);
        let tags = json!({"order.id": probe.order_id}).to_string();
        let (found, time) = self.search(probe.service, &[("tags", tags)])?;
        let expected: BTreeSet<String> = probe.traces.iter().map(|id| hex(&renewed_id(*id, self.pass))).collect();
        Ok((time, (found != expected).then(|| format!("{}: {found:?}, not {expected:?}", probe.order_id))))
    }

    fn list_services(&self) -> Result<Asked> {
        let (answer, time) = self.json("/api/services", &[])?;
        let found: BTreeSet<&str> = items(&answer["data"]).filter_map(Value::as_str).collect();
        let right = found.iter().eq(self.manifest.services.keys());
        Ok((time, (!right).then(|| format!("services: {found:?}"))))
    }
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn hex(id: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*id))
}
