//! Readers of files behind their checksums: any bytes give an answer or an error.

use testkit::forged::{FILES, Forged, mutate};
use testkit::rng::Rng;

use crate::ledger::Cases;

const CASES_OF_FILE: u64 = 10_000;
const CASES_OF_FILE_USUALLY: u64 = 40;

#[test]
fn any_bytes_behind_right_checksums_are_survived() {
    // Guarantees that no file of a data directory, whatever somebody has written into it and given a right checksum, makes opening, verifying
    // or asking panic or stand still.
    let cases = Cases::from_environment();
    let forged = Forged::new();
    for file in FILES {
        forged.check(file, forged.bytes(file));
    }
    let numbers = cases.numbers(CASES_OF_FILE * FILES.len() as u64, CASES_OF_FILE_USUALLY * FILES.len() as u64);
    cases.run(&numbers, |number| {
        let file = FILES[(number / CASES_OF_FILE) as usize % FILES.len()];
        let mut bytes = forged.bytes(file).to_vec();
        mutate(&mut Rng::new(cases.seed << 32 | number), &mut bytes);
        forged.check(file, &bytes);
    });
}
