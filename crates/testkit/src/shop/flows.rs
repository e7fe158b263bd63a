//! What happens in the shop: orders with everything they cause, visits, carts, searches, log-ins, jobs.

use super::parts::{Broker, Database, Fault, Message, Subject, ThirdParty};
use super::services::{
    ANALYTICS, AUTH, CART, CATALOG, EMAIL, FRAUD, INVENTORY, INVOICE, LOYALTY, Library, NOTIFICATION, ORDER, PAYMENT,
    PRICING, PROFILE, RECOMMENDATION, SEARCH, SHIPPING, STOREFRONT, SUPPORT, Service, WAREHOUSE,
};
use super::spans::{Kind, MS, Maker, Open, Parent};

use Broker::{Kafka, RabbitMq};
use Database::{DynamoDb, PostgreSql, Redis};

const fn post(host: &'static str, path: &'static str, median_us: u64) -> ThirdParty {
    ThirdParty { method: "POST", host, path, median_us }
}

const STRIPE: ThirdParty = post("api.stripe.com", "/v1/payment_intents", 180_000);
const SENDGRID: ThirdParty = post("api.sendgrid.com", "/v3/mail/send", 60_000);
const EASYPOST: ThirdParty = post("api.easypost.com", "/v2/shipments", 120_000);
const FIREBASE: ThirdParty = post("fcm.googleapis.com", "/v1/messages:send", 40_000);
const OPENSEARCH: ThirdParty = post("opensearch.internal", "/items/_search", 25_000);

const TIMED_OUT: Fault =
    Fault { kind: "com.stripe.exception.ApiConnectionException", message: "Read timed out after 2500 ms", status: 504 };
const DECLINED: Fault =
    Fault { kind: "com.stripe.exception.CardException", message: "Your card was declined.", status: 402 };
const MAIL_DOWN: Fault = Fault { kind: "ResponseError", message: "Service Unavailable", status: 503 };

/// Service, name and table of what runs by the clock.
const JOBS: [(Service, &str, &str); 5] = [
    (WAREHOUSE, "job.restock", "stock_levels"),
    (INVOICE, "job.dunning", "invoices"),
    (ANALYTICS, "job.rollup", "events"),
    (SHIPPING, "job.track", "shipments"),
    (LOYALTY, "job.expire", "points"),
];
const CART_REQUESTS: [(&str, &str); 4] =
    [("POST", "/cart/items"), ("DELETE", "/cart/items/{id}"), ("GET", "/cart"), ("PUT", "/cart/items/{id}")];

impl Maker {
    /// One thing that happens, with everything that follows from it.
    pub(super) fn flow(&mut self, start_ns: u64) {
        match self.rng.below(100) {
            0..30 => self.order(start_ns),
            30..62 => self.browse(start_ns),
            62..77 => self.cart(start_ns),
            77..87 => self.search(start_ns),
            87..94 => self.log_in(start_ns),
            _ => self.job(start_ns),
        }
    }

    fn order(&mut self, start_ns: u64) {
        let subject = &self.buyer();
        let mut root = self.serve(STOREFRONT, ("POST", "/order"), Parent::None, start_ns, subject);
        self.check_token(&mut root, subject);
        self.call(&mut root, CART, ("GET", "/cart/{id}"), subject, |make, span| {
            make.query(span, Redis, "HGETALL", "cart");
        });
        self.call(&mut root, PRICING, ("POST", "/price/quote"), subject, |make, span| {
            make.query(span, Redis, "MGET", "price");
            make.compute(span, "pricing.applyRules", subject);
        });
        self.call(&mut root, PROFILE, ("GET", "/users/{id}/addresses"), subject, |make, span| {
            make.query(span, DynamoDb, "GetItem", "addresses");
        });
        self.call(&mut root, ORDER, ("POST", "/internal/orders"), subject, |make, span| {
            make.compute(span, "order.validate", subject);
            make.query(span, PostgreSql, "SELECT", "customers");
            make.query(span, PostgreSql, "INSERT", "orders");
            make.query(span, PostgreSql, "INSERT", "order_items");
            make.query(span, DynamoDb, "PutItem", "order-outbox");
            let created = make.send(span, Kafka, "orders.created", subject);
            make.pay(&created, subject);
            make.reserve(&created, subject);
            make.process(ANALYTICS, &created, subject, |make, span| make.query(span, PostgreSql, "INSERT", "events"));
            make.query(span, Redis, "DEL", "cart");
        });
        self.answer(root);
    }

    fn check_token(&mut self, caller: &mut Open, subject: &Subject) {
        self.call(caller, AUTH, ("POST", "/token/verify"), subject, |make, span| {
            make.query(span, Redis, "GET", "token");
        });
    }

    fn pay(&mut self, created: &Message, subject: &Subject) {
        self.process(PAYMENT, created, subject, |make, span| {
            span.text("payment.provider", "stripe").number("payment.amount_cents", 500 + make.rng.below(89_500));
            span.text("payment.method", make.word(&["card", "paypal", "klarna", "sepa"]));
            span.text("payment.currency", make.word(&["EUR", "USD", "GBP"]));
            make.query(span, PostgreSql, "INSERT", "payments");
            make.call(span, FRAUD, ("POST", "/score"), subject, |make, span| {
                make.query(span, Redis, "ZRANGE", "velocity");
                make.compute(span, "fraud.score", subject);
            });
            let captured = make.capture(span, subject);
            if !captured {
                make.fail(span, "com.shop.payment.PaymentFailed", "payment could not be captured");
            }
            make.query(span, PostgreSql, "UPDATE", "payments");
            let topic = if captured { "payments.completed" } else { "payments.failed" };
            let outcome = make.send(span, Kafka, topic, subject);
            make.process(ORDER, &outcome, subject, |make, span| make.query(span, PostgreSql, "UPDATE", "orders"));
            make.mail(span, if captured { "order_confirmed" } else { "payment_failed" }, subject);
            if captured {
                make.process(INVOICE, &outcome, subject, |make, span| {
                    make.compute(span, "invoice.renderPdf", subject);
                    make.query(span, DynamoDb, "PutItem", "invoices");
                });
                make.process(LOYALTY, &outcome, subject, |make, span| {
                    make.query(span, PostgreSql, "UPDATE", "points");
                });
            }
        });
    }

    /// Up to three attempts at the payment; a card that is declined is not tried again.
    fn capture(&mut self, span: &mut Open, subject: &Subject) -> bool {
        for attempt in 0..3 {
            let fault =
                if self.happens(15) { Some(TIMED_OUT) } else { (attempt == 0 && self.happens(20)).then_some(DECLINED) };
            self.third_party(span, &STRIPE, subject, fault);
            match fault {
                None => return true,
                Some(fault) if fault.status == DECLINED.status => return false,
                Some(_) => span.now_ns += (200 << attempt) * MS,
            }
        }
        false
    }

    fn reserve(&mut self, created: &Message, subject: &Subject) {
        self.process(INVENTORY, created, subject, |make, span| {
            for _ in 0..=make.rng.below(3) {
                make.query(span, DynamoDb, "UpdateItem", "stock");
            }
            if make.happens(10) {
                make.fail(span, "com.shop.inventory.OutOfStock", "no stock left for an item");
                make.send(span, Kafka, "orders.backordered", subject);
                return;
            }
            make.query(span, Redis, "DEL", "availability");
            let request = make.send(span, RabbitMq, "shipping.requests", subject);
            make.ship(&request, subject);
        });
    }

    fn ship(&mut self, request: &Message, subject: &Subject) {
        self.process(SHIPPING, request, subject, |make, span| {
            span.text("shipping.carrier", make.word(&["dhl", "ups", "dpd", "gls"]));
            make.third_party(span, &EASYPOST, subject, None);
            make.query(span, PostgreSql, "INSERT", "shipments");
            let shipped = make.send(span, Kafka, "shipments.created", subject);
            make.process(WAREHOUSE, &shipped, subject, |make, span| {
                make.query(span, PostgreSql, "INSERT", "pick_lists");
            });
            make.process(NOTIFICATION, &shipped, subject, |make, span| {
                make.third_party(span, &FIREBASE, subject, None);
            });
        });
    }

    /// A mail with up to three attempts, each a delivery of the same message; then the dead letters.
    fn mail(&mut self, sender: &mut Open, template: &str, subject: &Subject) {
        let mut message = self.send(sender, RabbitMq, "email.send", subject);
        let troubled = self.happens(20);
        for attempt in 1..=3 {
            let fault = (troubled && self.happens(800)).then_some(MAIL_DOWN);
            let mut dead = None;
            let end_ns = self.process(EMAIL, &message, subject, |make, span| {
                span.text("email.template", template).number("messaging.delivery_attempt", attempt);
                make.query(span, Redis, "GET", "template");
                make.third_party(span, &SENDGRID, subject, fault);
                if fault.is_some() {
                    make.fail(span, "ResponseError", "mail provider unavailable");
                    dead = (attempt == 3).then(|| make.send(span, RabbitMq, "email.dead-letter", subject));
                }
            });
            if let Some(dead) = dead {
                self.process(SUPPORT, &dead, subject, |make, span| make.query(span, PostgreSql, "INSERT", "tickets"));
            }
            if fault.is_none() {
                return;
            }
            message.sent_ns = end_ns + (1000 << attempt) * MS;
        }
    }

    fn browse(&mut self, start_ns: u64) {
        let subject = &self.visitor();
        let mut root = self.serve(STOREFRONT, ("GET", "/products/{id}"), Parent::None, start_ns, subject);
        self.call(&mut root, CATALOG, ("GET", "/catalog/items/{id}"), subject, |make, span| {
            make.query(span, Redis, "GET", "item");
            if make.happens(300) {
                make.query(span, PostgreSql, "SELECT", "items");
            }
        });
        self.call(&mut root, RECOMMENDATION, ("GET", "/recommend/{id}"), subject, |make, span| {
            make.compute(span, "recommendation.rank", subject);
            make.items(span, subject);
        });
        let click = self.send(&mut root, Kafka, "clickstream", subject);
        self.process(ANALYTICS, &click, subject, |make, span| make.query(span, PostgreSql, "INSERT", "events"));
        self.call(&mut root, PRICING, ("GET", "/price/{id}"), subject, |make, span| {
            make.query(span, Redis, "GET", "price");
        });
        self.answer(root);
    }

    fn items(&mut self, caller: &mut Open, subject: &Subject) {
        self.call(caller, CATALOG, ("POST", "/catalog/items:batch"), subject, |make, span| {
            make.query(span, Redis, "MGET", "item");
        });
    }

    fn cart(&mut self, start_ns: u64) {
        let subject = &self.visitor();
        let request = *self.rng.pick(&CART_REQUESTS);
        let mut root = self.serve(STOREFRONT, request, Parent::None, start_ns, subject);
        self.check_token(&mut root, subject);
        let mut updated = None;
        self.call(&mut root, CART, request, subject, |make, span| {
            make.query(span, Redis, "HSET", "cart");
            make.query(span, DynamoDb, "UpdateItem", "carts");
            updated = Some(make.send(span, Kafka, "cart.updated", subject));
        });
        if let Some(updated) = updated {
            self.process(RECOMMENDATION, &updated, subject, |make, span| make.query(span, Redis, "LPUSH", "recent"));
        }
        self.call(&mut root, INVENTORY, ("GET", "/availability/{id}"), subject, |make, span| {
            make.query(span, Redis, "GET", "availability");
        });
        self.answer(root);
    }

    fn search(&mut self, start_ns: u64) {
        let subject = &self.visitor();
        let mut root = self.serve(STOREFRONT, ("GET", "/search"), Parent::None, start_ns, subject);
        let adjective = self.word(&["red", "blue", "large", "cheap", "new"]);
        let noun = self.word(&["shoes", "lamp", "sofa", "phone", "mug"]);
        root.text("search.query", &format!("{adjective} {noun}"));
        self.call(&mut root, SEARCH, ("GET", "/query"), subject, |make, span| {
            make.compute(span, "search.parse", subject);
            make.third_party(span, &OPENSEARCH, subject, None);
            make.items(span, subject);
            make.call(span, PRICING, ("POST", "/price/batch"), subject, |make, span| {
                make.query(span, Redis, "MGET", "price");
            });
        });
        self.answer(root);
    }

    fn log_in(&mut self, start_ns: u64) {
        let subject = &self.visitor();
        let wrong = self.happens(50);
        let mut root = self.serve(STOREFRONT, ("POST", "/login"), Parent::None, start_ns, subject);
        let mut logged_in = None;
        self.call(&mut root, AUTH, ("POST", "/login"), subject, |make, span| {
            make.query(span, PostgreSql, "SELECT", "credentials");
            if wrong {
                make.fail(span, "AuthError", "invalid credentials");
                return;
            }
            make.query(span, Redis, "SETEX", "token");
            logged_in = Some(make.send(span, Kafka, "logins", subject));
        });
        if let Some(logged_in) = logged_in {
            self.process(FRAUD, &logged_in, subject, |make, span| make.query(span, Redis, "ZADD", "velocity"));
            self.call(&mut root, PROFILE, ("GET", "/users/{id}"), subject, |make, span| {
                make.query(span, DynamoDb, "GetItem", "profiles");
            });
        }
        self.answer(root);
    }

    fn job(&mut self, start_ns: u64) {
        let subject = &self.visitor();
        let &(service, name, table) = self.rng.pick(&JOBS);
        let library = (service, Library::Own);
        let mut root = self.open(library, Kind::Internal, name.to_owned(), Parent::None, start_ns);
        root.text("job.run_id", &self.uuid()).text("job.schedule", "*/5 * * * *");
        root.number("job.shard", self.rng.below(16));
        self.query(&mut root, PostgreSql, "SELECT", table);
        for _ in 0..4 + self.rng.below(12) {
            self.query(&mut root, PostgreSql, "UPDATE", table);
        }
        if self.happens(500) {
            self.mail(&mut root, "report", subject);
        }
        self.close(root);
    }
}
