//! Flows: what each kind of asynchronous work becomes, as readable goldens, and what holds for all of them.

mod disk;
mod golden;
mod limits;
mod lineage;
mod missing;
mod properties;
mod show;
