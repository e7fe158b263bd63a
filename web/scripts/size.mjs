// Fails when the first load (index.html and the scripts and styles it names, gzip) is over the budget.
// Usage: node scripts/size.mjs [dist directory]
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const BUDGET_BYTES = 150_000;
const directory = process.argv[2] ?? "dist";
const html = readFileSync(join(directory, "index.html"), "utf8");
const files = [...html.matchAll(/(?:src|href)="\/?([^"]+\.(?:js|css))"/g)].map((match) => String(match[1]));

let total = gzipSync(html).length;
console.log(`${String(total).padStart(8)}  index.html`);
for (const file of files) {
  const size = gzipSync(readFileSync(join(directory, file)), { level: 9 }).length;
  console.log(`${String(size).padStart(8)}  ${file}`);
  total += size;
}
console.log(`${String(total).padStart(8)}  first load, gzip (budget ${BUDGET_BYTES})`);
if (files.length === 0 || total > BUDGET_BYTES) {
  console.error(files.length === 0 ? "No script found in index.html: is the page built?" : "The first load is over its budget.");
  process.exit(1);
}
