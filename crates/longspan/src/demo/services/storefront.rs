//! The web shop: customers look at products and check out; the answer comes at once, the effects later.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;

use crate::demo::calls::{self, Incoming, Query, Request};
use crate::demo::messaging::{self, Outbound};
use crate::demo::orders::Order;
use crate::demo::telemetry::Service;
use crate::demo::world::{Body, Ledger, World};

use super::order;

const ME: Service = Service::Storefront;
const VIEWS_PER_ORDER: f64 = 1.5;

const LOAD_PRODUCT: Query = Query::redis("GET", "GET product:?");
const LOAD_CART: Query = Query::redis("HGETALL", "HGETALL cart:?");
const READ_PRODUCT: Query = Query::postgres(
    "catalogue",
    "SELECT",
    "products",
    "SELECT id, title, price_cents, stock FROM products WHERE id = $1",
    1_800,
);

pub(crate) fn open(world: &Arc<World>) {
    world.clock.spawn(receive_customers(Arc::clone(world)));
}

/// Customers arrive independently of each other; each order comes with a few looks at products.
async fn receive_customers(world: Arc<World>) {
    let mean_gap = Duration::from_secs_f64(1.0 / world.load.orders_per_second);
    let mut number = 0;
    while world.load.orders.is_none_or(|limit| number < limit) {
        number += 1;
        Ledger::count(&world.ledger.orders);
        let order = Arc::new(Order::plan(world.load.seed, world.load.run_tag, number));
        world.clock.spawn(browse(Arc::clone(&world), order.user_id.clone()));
        world.clock.spawn(check_out(Arc::clone(&world), order));
        // The first customers queue at the door, so that there is something to see at once.
        let gap = world.roll(|random| random.gap(mean_gap));
        world.clock.sleep(if number < 6 { gap.min(Duration::from_millis(400)) } else { gap }).await;
    }
}

async fn browse(world: Arc<World>, user_id: String) {
    let mut views = VIEWS_PER_ORDER;
    while views > 0.0 && world.roll(|random| random.chance(views.min(1.0))) {
        views -= 1.0;
        view_product(&world, &user_id).await;
        let reading = world.roll(|random| random.spread(Duration::from_millis(300), Duration::from_secs(4)));
        world.clock.sleep(reading).await;
    }
}

async fn view_product(world: &World, user_id: &str) {
    let product = world.roll(|random| random.between(1_000, 1_250));
    let incoming = Incoming {
        method: "GET",
        route: "/products/{id}",
        path: format!("/products/{product}"),
        user_id,
        headers: HashMap::new(),
    };
    let span = calls::begin_serving(world, ME, &incoming);
    calls::query(world, ME, span.context(), &LOAD_PRODUCT).await;
    if world.roll(|random| random.chance(0.25)) {
        span.event("cache miss", world.clock.now(), vec![KeyValue::new("product.id", product as i64)]);
        calls::query(world, ME, span.context(), &READ_PRODUCT).await;
    }
    let view = Outbound {
        from: ME,
        parent: span.context(),
        to: world.places.page_views,
        key: user_id,
        body: Body::PageView,
        delay: Duration::ZERO,
        headers: HashMap::new(),
    };
    messaging::send(world, view).await;
    calls::finish(world, &span, 200);
}

async fn check_out(world: Arc<World>, order: Arc<Order>) {
    let incoming = Incoming {
        method: "POST",
        route: "/checkout",
        path: "/checkout".to_owned(),
        user_id: &order.user_id,
        headers: HashMap::new(),
    };
    let span = calls::begin_serving(&world, ME, &incoming);
    span.set("order.id", order.id.clone());
    calls::query(&world, ME, span.context(), &LOAD_CART).await;
    world.work(Duration::from_millis(2)).await;
    let items = KeyValue::new("cart.items", order.items as i64);
    span.event("cart validated", world.clock.now(), vec![items]);

    let request = Request {
        method: "POST",
        scheme: "http",
        host: "order-service.shop.internal",
        port: 8080,
        path: "/orders".to_owned(),
    };
    let outgoing = calls::begin_request(&world, ME, span.context(), &request);
    let headers = world.telemetry.inject(outgoing.context());
    order::place(&world, &order, headers).await;
    calls::finish(&world, &outgoing, 202);
    calls::finish(&world, &span, 202);
}
