// Which key presses belong to a text field and must not be taken as commands, and which name a view after `g`.

export function isTyping(event: KeyboardEvent): boolean {
  const target = event.target as HTMLElement | null;
  return target !== null && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

/** The views in the order of the top bar. `key` is what to press after `g`. */
export const VIEWS: readonly { href: string; name: string; key: string; views: readonly string[] }[] = [
  { href: "/", name: "Overview", key: "o", views: ["overview"] },
  { href: "/search", name: "Explore", key: "e", views: ["search", "trace", "flow"] },
  { href: "/destinations", name: "Destinations", key: "d", views: ["destinations", "destination"] },
  { href: "/messages", name: "Messages", key: "m", views: ["messages", "message"] },
  { href: "/map", name: "Map", key: "p", views: ["map"] },
  { href: "/send", name: "Send data", key: "s", views: ["send"] },
];

export function viewOfKey(key: string): string | null {
  return VIEWS.find((view) => view.key === key)?.href ?? null;
}
