//! Writes the first corpus of the fuzz targets that read files, always the same: `cargo run -p testkit --example forged_corpus -- DIRECTORY`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use testkit::forged::{FILES, Forged, mutate};
use testkit::rng::Rng;

const DAMAGED_PER_TARGET: u64 = 50;

fn main() -> Result<()> {
    let directory = std::env::args().nth(1).context("give the directory to write to, as fuzz/corpus")?;
    let forged = Forged::new();
    for file in FILES {
        let stem = file.split('.').next().context("a file has a name")?;
        let target = Path::new(&directory).join(format!("store_{stem}"));
        fs::create_dir_all(&target).with_context(|| format!("cannot create {}", target.display()))?;
        for number in 0..=DAMAGED_PER_TARGET {
            let mut bytes = forged.bytes(file).to_vec();
            if number > 0 {
                mutate(&mut Rng::new(number), &mut bytes);
            }
            fs::write(target.join(format!("{number:04}")), bytes)?;
        }
        println!("{} files in {}", DAMAGED_PER_TARGET + 1, target.display());
    }
    Ok(())
}
