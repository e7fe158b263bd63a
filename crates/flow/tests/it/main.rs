//! What `flow` makes of spans: golden views of what real instrumentations emit, and properties of the joining of hops.

mod bindings;
mod engine;
mod hostile;
mod joined;
mod recorded;
mod show;
mod written;
