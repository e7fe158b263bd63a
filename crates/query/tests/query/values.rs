//! Values for completion.

use model::Level;
use query::{Field, ValueCount, ValueQuery, values};

use crate::generate;
use crate::memory::Memory;

#[test]
fn values_are_counted_once_a_span() {
    // Guarantees counts, types, order, prefix and limit of values, over levels and parts.
    let mut batch = generate::batch(&[generate::any_span()]);
    let memory = {
        batch.attributes.truncate(0);
        let key = batch.text.intern(b"k");
        let row = batch.rows[0];
        for text in ["blue", "blue", "black", "red"] {
            let value = model::Value::Str(batch.text.intern(text.as_bytes()));
            batch.attributes.push(key, value);
            batch.events.attributes.push(key, value);
            batch.events.push(1, key, 0);
            batch.push_span(row);
        }
        batch.attributes.push(key, model::Value::Int(7));
        batch.push_span(row);
        Memory::new(vec![batch])
    };
    let ask = |level, prefix: &str, limit| {
        let query = ValueQuery { field: Field::attribute(level, "k"), prefix: prefix.to_owned(), limit };
        values::values(&memory, &query).unwrap()
    };
    let count = |value: &str, type_name, spans| ValueCount { value: value.to_owned(), type_name, spans };
    let want =
        [count("blue", "string", 2), count("7", "int", 1), count("black", "string", 1), count("red", "string", 1)];
    assert_eq!(ask(None, "", 10), want);
    assert_eq!(ask(Some(Level::Event), "bl", 1), want[..1]);
    assert_eq!(ask(Some(Level::Link), "", 10), []);
}
