// One colour per service, the same in every view. A service's name picks its place in the palette; when that is taken
// by another, the next free one. The palette itself is in styles/tokens.css.

export const PALETTE_SIZE = 14;

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
  const preferred = hash(service) % PALETTE_SIZE;
  const fewest = Math.min(...uses);
  let place = preferred;
  while ((uses[place] ?? 0) > fewest) place = (place + 1) % PALETTE_SIZE;
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

/** The palette as the canvas needs it: resolved. Read again when the theme changes. */
export function readPalette(): string[] {
  const style = getComputedStyle(document.documentElement);
  return Array.from({ length: PALETTE_SIZE }, (_, index) => style.getPropertyValue(`--svc-${index}`).trim());
}
