// Which rows of a fixed-height list to render. The window moves in blocks, so that most scroll events change nothing
// and the canvas that spans the window is drawn once per block, not once per frame.

export interface RowWindow {
  first: number;
  /** Exclusive. */
  last: number;
}

export interface WindowOptions {
  rowHeight: number;
  count: number;
  overscan: number;
  block: number;
}

export function rowWindow(scrollTop: number, viewport: number, options: WindowOptions): RowWindow {
  const { rowHeight, count, overscan, block } = options;
  if (count === 0 || viewport <= 0) return { first: 0, last: 0 };
  const top = Math.min(Math.max(0, scrollTop), Math.max(0, count * rowHeight - viewport));
  const first = Math.floor((Math.floor(top / rowHeight) - overscan) / block) * block;
  const last = Math.ceil((Math.ceil((top + viewport) / rowHeight) + overscan) / block) * block;
  return { first: Math.max(0, first), last: Math.min(count, last) };
}

/** The scroll position that shows `row` with some rows around it; the present one when it is already in sight. */
export function scrollToShow(row: number, scrollTop: number, viewport: number, rowHeight: number): number {
  const margin = Math.min(2 * rowHeight, Math.max(0, (viewport - rowHeight) / 2));
  const top = row * rowHeight;
  if (top < scrollTop + margin) return Math.max(0, top - margin);
  if (top + rowHeight > scrollTop + viewport - margin) return top + rowHeight + margin - viewport;
  return scrollTop;
}
