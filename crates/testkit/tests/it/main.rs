//! The generators against the naive store.

mod shop;
