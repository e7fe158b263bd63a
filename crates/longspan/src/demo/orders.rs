//! What customers do, and what fate has in store for each order.
//!
//! The first orders go through every scenario once, so that a fresh page soon has one of each to show; after that, chance
//! decides. An order's fate depends on the seed and its number alone, not on how services interleave.

use std::time::Duration;

use super::random::Random;

#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) user_id: String,
    pub(crate) items: u64,
    pub(crate) total_cents: u64,
    pub(crate) fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) payment: Payment,
    pub(crate) shipping: Shipping,
    /// The loyalty service cannot read this order's event, however often it tries.
    pub(crate) loyalty_poison: bool,
    /// The mail provider refuses this customer's address for good.
    pub(crate) mail_refused: bool,
    /// From packed to the carrier's pick-up.
    pub(crate) pick_up_delay: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payment {
    Captured,
    /// The payment provider fails this many times first.
    CapturedAfter(u32),
    Declined,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shipping {
    Shipped,
    /// The carrier times out this many times first.
    ShippedAfter(u32),
    /// No carrier goes there: every attempt fails.
    NoCarrier,
    /// The worker takes the message and dies before it records anything.
    NeverAnswered,
}

impl Order {
    pub(crate) fn plan(seed: u64, run_tag: u64, number: u64) -> Self {
        let mut random = Random::new(seed ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93));
        let items = random.between(1, 6);
        Self {
            id: format!("ord-{:04x}-{number:06}", run_tag as u16),
            user_id: format!("user-{:04}", random.between(1, 900)),
            items,
            total_cents: (0..items).map(|_| random.between(490, 8_990)).sum(),
            fate: Fate::choose(&mut random, number),
        }
    }
}

impl Fate {
    fn choose(random: &mut Random, number: u64) -> Self {
        let fate = Self {
            payment: choose_payment(random),
            shipping: choose_shipping(random),
            loyalty_poison: random.chance(0.012),
            mail_refused: random.chance(0.01),
            pick_up_delay: choose_pick_up_delay(random),
        };
        let plain = Self {
            payment: Payment::Captured,
            shipping: Shipping::Shipped,
            loyalty_poison: false,
            mail_refused: false,
            pick_up_delay: fate.pick_up_delay.min(Duration::from_secs(6)),
        };
        match number {
            // Over soon, so that the first complete flow can be seen within seconds.
            1 | 2 => Self { pick_up_delay: Duration::from_secs(1), ..plain },
            3 => Self { loyalty_poison: true, ..plain },
            4 => Self { shipping: Shipping::NeverAnswered, ..plain },
            5 => Self { payment: Payment::CapturedAfter(2), ..plain },
            6 => Self { shipping: Shipping::NoCarrier, ..plain },
            7 => Self { payment: Payment::Declined, ..plain },
            8 => Self { mail_refused: true, ..plain },
            9 => Self { shipping: Shipping::ShippedAfter(1), ..plain },
            _ => fate,
        }
    }
}

fn choose_payment(random: &mut Random) -> Payment {
    match random.between(0, 99) {
        0..4 => Payment::CapturedAfter(1),
        4..6 => Payment::CapturedAfter(2),
        6..9 => Payment::Declined,
        _ => Payment::Captured,
    }
}

fn choose_shipping(random: &mut Random) -> Shipping {
    match random.between(0, 99) {
        0..4 => Shipping::NeverAnswered,
        4..8 => Shipping::ShippedAfter(1),
        8..10 => Shipping::ShippedAfter(2),
        10..12 => Shipping::NoCarrier,
        _ => Shipping::Shipped,
    }
}

fn choose_pick_up_delay(random: &mut Random) -> Duration {
    let (low, high) = match random.between(0, 99) {
        0..80 => (2, 8),
        80..97 => (20, 60),
        _ => (90, 240),
    };
    random.spread(Duration::from_secs(low), Duration::from_secs(high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fate_depends_on_seed_and_number_only() {
        // Guarantee: the same seed plans the same orders, another seed others, and run tags change nothing but the id.
        let fates = |seed, tag| (1..200).map(|number| Order::plan(seed, tag, number).fate).collect::<Vec<_>>();
        assert_eq!(fates(7, 1), fates(7, 2));
        assert_ne!(fates(7, 1), fates(8, 1));
    }

    #[test]
    fn the_first_orders_show_every_scenario() {
        // Guarantee: within ten orders there is a retry, a decline, both kinds of dead letter and an unanswered message.
        let fates: Vec<Fate> = (1..10).map(|number| Order::plan(99, 0, number).fate).collect();
        assert!(fates.iter().any(|fate| fate.loyalty_poison));
        assert!(fates.iter().any(|fate| fate.mail_refused));
        assert!(fates.iter().any(|fate| fate.payment == Payment::Declined));
        assert!(fates.iter().any(|fate| matches!(fate.payment, Payment::CapturedAfter(_))));
        assert!(fates.iter().any(|fate| fate.shipping == Shipping::NeverAnswered));
        assert!(fates.iter().any(|fate| fate.shipping == Shipping::NoCarrier));
    }
}
