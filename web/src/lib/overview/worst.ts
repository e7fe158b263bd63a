// Some of each kind: the newest of the worst first, so that many of one kind do not hide another. Pure.

/** At most `most` of lists that are in order of how bad they are; each has its share, and what one leaves the others get. */
export function worstFirst<T>(lists: readonly (readonly T[])[], most: number): T[] {
  const taken = lists.map(() => 0);
  let left = most;
  while (left > 0) {
    const open = lists.map((_, index) => index).filter((index) => (taken[index] ?? 0) < (lists[index]?.length ?? 0));
    if (open.length === 0) break;
    for (const index of open.slice(0, left)) taken[index] = (taken[index] ?? 0) + 1;
    left -= Math.min(left, open.length);
  }
  return lists.flatMap((list, index) => list.slice(0, taken[index]));
}
