//! The services: what each does with a request or a message. All of them talk through `calls` and `messaging` only.

mod analytics;
mod email;
mod inventory;
mod loyalty;
mod order;
mod payment;
mod shipping;
mod storefront;
mod support;
mod warehouse;

use std::sync::Arc;

use super::world::World;

/// Opens the shop: consumers first, customers last.
pub(crate) fn open(world: &Arc<World>) {
    analytics::open(world);
    email::open(world);
    inventory::open(world);
    loyalty::open(world);
    order::open(world);
    payment::open(world);
    shipping::open(world);
    support::open(world);
    warehouse::open(world);
    storefront::open(world);
}
