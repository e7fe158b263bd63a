//! A filter bound to one batch: what can be decided for the whole batch or for a scope is decided once, the rest row by row.
//!
//! Binding looks up every text of the filter in the batch's table. A condition on a key or a text that the batch does not
//! have is false for all rows and folds away with all that depends on it; conditions on resource and scope are evaluated once
//! per scope. What remains is ordered so that cheap conditions decide first.

use model::{Level, SpanBatch, SpanId, SpanKind, StatusCode, TextId, TraceId, Value};

use super::check::Check;
use super::{Field, Filter, Literal, Op, Pattern};

/// A filter bound to one batch.
#[derive(Debug)]
pub struct Compiled<'b> {
    batch: &'b SpanBatch,
    node: Node,
}

impl Filter {
    /// Binds the filter to a batch.
    pub fn bind<'b>(&self, batch: &'b SpanBatch) -> Compiled<'b> {
        Compiled { batch, node: Binder { batch }.filter(self) }
    }
}

impl Compiled<'_> {
    /// Whether it is certain, without looking at rows, that none matches.
    pub fn is_never(&self) -> bool {
        matches!(self.node, Node::Const(false)) || self.batch.is_empty()
    }

    /// Whether a row matches.
    pub fn matches(&self, row: usize) -> bool {
        self.node.holds(self.batch, row)
    }

    /// The matching rows in order.
    pub fn rows(&self) -> impl Iterator<Item = usize> + '_ {
        let end = if self.is_never() { 0 } else { self.batch.len() };
        (0..end).filter(|&row| self.matches(row))
    }
}

/// What is left of a filter after binding.
#[derive(Debug)]
enum Node {
    Const(bool),
    /// By scope.
    Scope(Vec<bool>),
    /// Numbers of kinds or of status codes.
    Code {
        of: Code,
        named: Vec<bool>,
        check: CodeCheck,
    },
    Duration {
        op: Op,
        duration_ns: u64,
    },
    Text {
        of: TextField,
        check: Check,
    },
    Id {
        of: IdField,
        check: IdCheck,
    },
    EventName(Check),
    Attribute(AttributeNode),
    Not(Box<Node>),
    All(Vec<Node>),
    Any(Vec<Node>),
}

#[derive(Debug, Clone, Copy)]
enum Code {
    Kind,
    Status,
}

#[derive(Debug)]
enum CodeCheck {
    Always,
    Equal { code: i32, negated: bool },
    Matches { pattern: Pattern, negated: bool },
    Never,
}

#[derive(Debug, Clone, Copy)]
enum TextField {
    Name,
    StatusMessage,
}

#[derive(Debug, Clone, Copy)]
enum IdField {
    Trace,
    Span,
    Parent,
}

#[derive(Debug)]
enum IdCheck {
    Always,
    Trace { id: TraceId, negated: bool },
    Span { id: SpanId, negated: bool },
    Matches { pattern: Pattern, negated: bool },
    Never,
}

/// A condition on the attributes of one key, at the levels where the batch has the key.
#[derive(Debug)]
struct AttributeNode {
    key: TextId,
    check: Check,
    /// Scopes whose own or whose resource's attributes satisfy it.
    scopes: Vec<bool>,
    span: bool,
    event: bool,
    link: bool,
}

/// How many kinds and status codes have names, and are decided when binding.
const NAMED_CODES: i32 = 6;

struct Binder<'b> {
    batch: &'b SpanBatch,
}

impl Binder<'_> {
    fn filter(&self, filter: &Filter) -> Node {
        match filter {
            Filter::All => Node::Const(true),
            Filter::And(parts) => join(parts.iter().map(|part| self.filter(part)).collect(), true),
            Filter::Or(parts) => join(parts.iter().map(|part| self.filter(part)).collect(), false),
            Filter::Not(inner) => match self.filter(inner) {
                Node::Const(value) => Node::Const(!value),
                node => Node::Not(Box::new(node)),
            },
            Filter::Compare { field, op, value } => self.compare(field, *op, value),
            Filter::Exists(field) => self.exists(field),
        }
    }

    fn exists(&self, field: &Field) -> Node {
        match field {
            Field::Kind | Field::Status | Field::Duration => Node::Const(true),
            Field::TraceId => Node::Id { of: IdField::Trace, check: IdCheck::Always },
            Field::SpanId => Node::Id { of: IdField::Span, check: IdCheck::Always },
            Field::ParentSpanId => Node::Id { of: IdField::Parent, check: IdCheck::Always },
            field => self.check(field, Check::Always),
        }
    }

    fn compare(&self, field: &Field, op: Op, literal: &Literal) -> Node {
        match field {
            Field::Duration => match literal {
                Literal::DurationNs(duration_ns) if !op.is_pattern() => {
                    Node::Duration { op, duration_ns: *duration_ns }
                }
                _ => Node::Const(false),
            },
            Field::Kind => code_node(Code::Kind, op, literal),
            Field::Status => code_node(Code::Status, op, literal),
            Field::TraceId => Node::Id { of: IdField::Trace, check: id_check(IdField::Trace, op, literal) },
            Field::SpanId => Node::Id { of: IdField::Span, check: id_check(IdField::Span, op, literal) },
            Field::ParentSpanId => Node::Id { of: IdField::Parent, check: id_check(IdField::Parent, op, literal) },
            field => self.check(field, Check::new(op, literal, &self.batch.text)),
        }
    }

    fn check(&self, field: &Field, check: Check) -> Node {
        if matches!(check, Check::Never) {
            return Node::Const(false);
        }
        let text = &self.batch.text;
        match field {
            Field::Service => self.by_scope(|scope| {
                let resource = &self.batch.resources[self.batch.scopes[scope].resource as usize];
                check.holds_text(resource.service_name, text)
            }),
            Field::ScopeName => self.by_scope(|scope| check.holds_text(self.batch.scopes[scope].name, text)),
            Field::Name => Node::Text { of: TextField::Name, check },
            Field::StatusMessage => Node::Text { of: TextField::StatusMessage, check },
            Field::EventName if self.batch.events.is_empty() => Node::Const(false),
            Field::EventName => Node::EventName(check),
            Field::Attribute { level, key } => self.attribute(*level, key, check),
            Field::Kind | Field::Status | Field::Duration | Field::TraceId | Field::SpanId | Field::ParentSpanId => {
                Node::Const(false)
            }
        }
    }

    fn by_scope(&self, holds: impl Fn(usize) -> bool) -> Node {
        let scopes: Vec<bool> = (0..self.batch.scopes.len()).map(holds).collect();
        match (scopes.contains(&true), scopes.contains(&false)) {
            (false, _) => Node::Const(false),
            (true, false) => Node::Const(true),
            (true, true) => Node::Scope(scopes),
        }
    }

    fn attribute(&self, level: Option<Level>, key: &str, check: Check) -> Node {
        let batch = self.batch;
        let Some(key) = batch.text.find(key.as_bytes()) else {
            return Node::Const(false);
        };
        let wanted = |other: Level| level.is_none_or(|level| level == other);
        let at_scope = self.by_scope(|scope| {
            let scope = &batch.scopes[scope];
            let resource = &batch.resources[scope.resource as usize].attributes;
            let holds = |keys: &[TextId], values: &[Value], range: &std::ops::Range<u32>| {
                let range = range.start as usize..range.end as usize;
                let mut pairs = keys[range.clone()].iter().zip(&values[range]);
                pairs.any(|(&other, &value)| other == key && check.holds(value, &batch.text))
            };
            let pool = &batch.resource_attributes;
            let own = &batch.scope_attributes;
            wanted(Level::Resource) && holds(&pool.keys, &pool.values, resource)
                || wanted(Level::Scope) && holds(&own.keys, &own.values, &scope.attributes)
        });
        let span = wanted(Level::Span) && batch.attributes.keys.contains(&key);
        let event = wanted(Level::Event) && batch.events.attributes.keys.contains(&key);
        let link = wanted(Level::Link) && batch.links.attributes.keys.contains(&key);
        let scopes = match at_scope {
            Node::Scope(scopes) if span || event || link => scopes,
            Node::Const(false) if span || event || link => Vec::new(),
            decided => return decided,
        };
        Node::Attribute(AttributeNode { key, check, scopes, span, event, link })
    }
}

/// A conjunction (`all`) or disjunction, folded: a constant either decides it or drops out.
fn join(parts: Vec<Node>, all: bool) -> Node {
    let mut kept = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Node::Const(value) if value == all => {}
            Node::Const(_) => return Node::Const(!all),
            other => kept.push(other),
        }
    }
    kept.sort_by_key(Node::cost);
    match kept.len() {
        0 => Node::Const(all),
        1 => kept.remove(0),
        _ if all => Node::All(kept),
        _ => Node::Any(kept),
    }
}

fn code_node(of: Code, op: Op, literal: &Literal) -> Node {
    let negated = matches!(op, Op::NotEqual | Op::NotMatches);
    let check = match (op, literal) {
        (Op::Equal | Op::NotEqual, Literal::Text(name)) => match of.number(name) {
            Some(code) => CodeCheck::Equal { code, negated },
            None if negated => CodeCheck::Always,
            None => CodeCheck::Never,
        },
        (Op::Matches | Op::NotMatches, Literal::Pattern(pattern)) => {
            CodeCheck::Matches { pattern: pattern.clone(), negated }
        }
        _ => CodeCheck::Never,
    };
    match check {
        CodeCheck::Always => Node::Const(true),
        CodeCheck::Never => Node::Const(false),
        check => Node::Code { of, named: (0..NAMED_CODES).map(|code| check.holds(of, code)).collect(), check },
    }
}

fn id_check(of: IdField, op: Op, literal: &Literal) -> IdCheck {
    let negated = matches!(op, Op::NotEqual | Op::NotMatches);
    match (op, literal) {
        (Op::Equal | Op::NotEqual, Literal::Text(text)) => {
            let check = match of {
                IdField::Trace => text.parse().ok().map(|id| IdCheck::Trace { id, negated }),
                IdField::Span | IdField::Parent => text.parse().ok().map(|id| IdCheck::Span { id, negated }),
            };
            check.unwrap_or(if negated { IdCheck::Always } else { IdCheck::Never })
        }
        (Op::Matches | Op::NotMatches, Literal::Pattern(pattern)) => {
            IdCheck::Matches { pattern: pattern.clone(), negated }
        }
        _ => IdCheck::Never,
    }
}

impl Code {
    fn number(self, name: &str) -> Option<i32> {
        match self {
            Code::Kind => SpanKind::from_name(name).map(|kind| kind.0),
            Code::Status => StatusCode::from_name(name).map(|status| status.0),
        }
    }

    fn name(self, code: i32) -> String {
        match self {
            Code::Kind => SpanKind(code).to_string(),
            Code::Status => StatusCode(code).to_string(),
        }
    }
}

impl CodeCheck {
    fn holds(&self, of: Code, code: i32) -> bool {
        match self {
            CodeCheck::Always => true,
            CodeCheck::Never => false,
            CodeCheck::Equal { code: wanted, negated } => (code == *wanted) != *negated,
            CodeCheck::Matches { pattern, negated } => pattern.is_match(&of.name(code)) != *negated,
        }
    }
}

impl Node {
    /// How dear a row is, to try the cheap ones first.
    fn cost(&self) -> u32 {
        match self {
            Node::Const(_) => 0,
            Node::Scope(_) | Node::Code { .. } | Node::Duration { .. } => 1,
            Node::Text { .. } | Node::Id { .. } => 2,
            Node::Attribute(node) => 4 + 8 * u32::from(node.link) + 16 * u32::from(node.event),
            Node::EventName(_) => 16,
            Node::Not(inner) => inner.cost(),
            Node::All(parts) | Node::Any(parts) => {
                parts.iter().fold(0, |sum: u32, part| sum.saturating_add(part.cost()))
            }
        }
    }

    fn holds(&self, batch: &SpanBatch, index: usize) -> bool {
        let row = &batch.rows[index];
        match self {
            Node::Const(value) => *value,
            Node::Scope(scopes) => scopes[row.scope as usize],
            Node::Code { of, named, check } => {
                let code = if matches!(of, Code::Kind) { row.kind } else { row.status_code };
                let known = usize::try_from(code).ok().and_then(|code| named.get(code));
                known.copied().unwrap_or_else(|| check.holds(*of, code))
            }
            Node::Duration { op, duration_ns } => op.accepts(batch.span(index).duration_ns().cmp(duration_ns)),
            Node::Text { of, check } => {
                let text = if matches!(of, TextField::Name) { row.name } else { row.status_message };
                check.holds_text(text, &batch.text)
            }
            Node::Id { of, check } => match of {
                IdField::Trace => check.holds_trace(row.trace_id),
                IdField::Span => check.holds_span(row.span_id),
                IdField::Parent => !row.parent_span_id.is_zero() && check.holds_span(row.parent_span_id),
            },
            Node::EventName(check) => {
                let mut names = batch.events.names[batch.event_ranges.get(index)].iter();
                names.any(|&name| check.holds_text(name, &batch.text))
            }
            Node::Attribute(node) => node.holds(batch, index),
            Node::Not(inner) => !inner.holds(batch, index),
            Node::All(parts) => parts.iter().all(|part| part.holds(batch, index)),
            Node::Any(parts) => parts.iter().any(|part| part.holds(batch, index)),
        }
    }
}

impl AttributeNode {
    fn holds(&self, batch: &SpanBatch, index: usize) -> bool {
        let any = |pool: &model::Attributes, range: std::ops::Range<usize>| {
            let mut places = range.filter(|&place| pool.keys[place] == self.key);
            places.any(|place| self.check.holds(pool.values[place], &batch.text))
        };
        let scope = batch.rows[index].scope as usize;
        if self.scopes.get(scope).copied().unwrap_or(false) {
            return true;
        }
        self.span && any(&batch.attributes, batch.attribute_ranges.get(index))
            || self.link
                && (batch.link_ranges.get(index))
                    .any(|link| any(&batch.links.attributes, batch.links.attribute_ranges.get(link)))
            || self.event
                && (batch.event_ranges.get(index))
                    .any(|event| any(&batch.events.attributes, batch.events.attribute_ranges.get(event)))
    }
}

impl IdCheck {
    fn holds_trace(&self, id: TraceId) -> bool {
        match self {
            IdCheck::Trace { id: wanted, negated } => (id == *wanted) != *negated,
            other => other.holds_other(|| id.to_string()),
        }
    }

    fn holds_span(&self, id: SpanId) -> bool {
        match self {
            IdCheck::Span { id: wanted, negated } => (id == *wanted) != *negated,
            other => other.holds_other(|| id.to_string()),
        }
    }

    fn holds_other(&self, text: impl FnOnce() -> String) -> bool {
        match self {
            IdCheck::Always => true,
            IdCheck::Matches { pattern, negated } => pattern.is_match(&text()) != *negated,
            IdCheck::Never | IdCheck::Trace { .. } | IdCheck::Span { .. } => false,
        }
    }
}
