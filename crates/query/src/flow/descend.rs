//! From a root to everything it caused: what hangs below it, what links to that, and so on until nothing is new.

use std::collections::BTreeSet;

use flow::cone::Node;
use model::TraceId;

use super::Run;
use crate::contract::QueryError;
use crate::source::Source;

impl<S: Source> Run<'_, S> {
    pub(super) fn descend(&mut self, root: Node) -> Result<(), QueryError> {
        self.cone.join(root);
        let mut followed = 0;
        loop {
            let new = &self.cone.joined()[followed..];
            followed += new.len();
            let traces: BTreeSet<TraceId> = new.iter().map(|&node| self.cone.tree(node).id).collect();
            let unasked: Vec<TraceId> = traces.into_iter().filter(|&id| self.asked.insert(id)).collect();
            for id in unasked {
                // Ordered, so that a flow that is cut off is cut off the same way every time.
                let linking: BTreeSet<TraceId> = self.source.linking_traces(id)?.into_iter().collect();
                self.load(linking)?;
            }
            if followed == self.cone.joined().len() && !self.repair()? {
                return Ok(());
            }
        }
    }
}
