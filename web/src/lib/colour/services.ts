// One colour per service, the same in every view. A service's name picks its place in the palette; when that is taken
// by another, the next free one. The palette itself is in styles/tokens.css: a ring of hues, and the same hues once more
// in another lightness, which are given out only when the first ring is full.

const RING = 14;
export const PALETTE_SIZE = 2 * RING;

const places = new Map<string, number>();
const uses = new Array<number>(PALETTE_SIZE).fill(0);

function hash(text: string): number {
  let value = 2_166_136_261;
  for (let index = 0; index < text.length; index += 1) value = Math.imul(value ^ text.charCodeAt(index), 16_777_619);
  return (value ^ (value >>> 15)) >>> 0;
}

export function colourIndex(service: string): number {
  const known = places.get(service);
  if (known !== undefined) return known;
  const fewest = Math.min(...uses);
  const ring = uses.slice(0, RING).includes(fewest) ? 0 : RING;
  let step = hash(service) % RING;
  while ((uses[ring + step] ?? 0) > fewest) step = (step + 1) % RING;
  const place = ring + step;
  uses[place] = (uses[place] ?? 0) + 1;
  places.set(service, place);
  return place;
}

/** Gives the known services their colours in a fixed order, so that they do not depend on what is opened first. */
export function seedColours(services: readonly string[]): void {
  for (const service of [...services].sort()) colourIndex(service);
}

export function colourVariable(service: string): string {
  return `var(--svc-${colourIndex(service)})`;
}

