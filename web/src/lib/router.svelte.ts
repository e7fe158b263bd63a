// Client-side routing by path. Every state of a view is in the address, so that back, reload and sharing work.
// Internal links are plain <a href>; one listener on the document turns their clicks into navigation.

export type Route = { params: URLSearchParams } & (
  | { view: "overview" | "search" | "destinations" | "messages" | "map" | "send" | "unknown" }
  | { view: "trace" | "flow"; traceId: string }
  | { view: "destination"; key: string }
  | { view: "message"; id: string }
);

const LISTS = ["search", "destinations", "messages", "map", "send"] as const;

/** A part of the path as it was meant; nothing for one that is no valid encoding. */
function decoded(part: string | undefined): string | null {
  try {
    return decodeURIComponent(part ?? "");
  } catch {
    return null;
  }
}

export function parseRoute(path: string, search: string): Route {
  const params = new URLSearchParams(search);
  const [first, second, ...more] = path.split("/").filter((part) => part !== "");
  if (first === undefined) return { view: "overview", params };
  const id = decoded(second);
  if (more.length > 0 || id === null) return { view: "unknown", params };
  if (second === undefined) {
    const list = LISTS.find((name) => name === first);
    return { view: list ?? "unknown", params };
  }
  if (first === "trace" || first === "flow") return { view: first, traceId: id.toLowerCase(), params };
  if (first === "destinations") return { view: "destination", key: id, params };
  if (first === "messages") return { view: "message", id, params };
  return { view: "unknown", params };
}

class Router {
  path = $state(location.pathname);
  search = $state(location.search);
  /** How the page came here: a view restores its scroll position only when the reader went back. */
  arrival: "load" | "push" | "back" = "load";
  readonly route: Route = $derived(parseRoute(this.path, this.search));

  go(href: string, options: { replace?: boolean } = {}): void {
    const target = new URL(href, location.href);
    const same = target.pathname === location.pathname && target.search === location.search;
    if (options.replace || same) history.replaceState(null, "", target);
    else history.pushState(null, "", target);
    this.arrival = "push";
    this.read();
  }

  /** Sets (or with null removes) parameters of the present address. */
  set(changes: Record<string, string | null>, options: { replace?: boolean } = {}): void {
    const params = new URLSearchParams(location.search);
    for (const [key, value] of Object.entries(changes)) {
      if (value === null) params.delete(key);
      else params.set(key, value);
    }
    const search = params.toString();
    this.go(location.pathname + (search === "" ? "" : `?${search}`), options);
  }

  read(): void {
    this.path = location.pathname;
    this.search = location.search;
  }
}

export const router = new Router();

function internalLink(event: MouseEvent): string | null {
  if (event.defaultPrevented || event.button !== 0) return null;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return null;
  const anchor = (event.target as Element | null)?.closest?.("a");
  if (!anchor || anchor.target !== "" || anchor.origin !== location.origin) return null;
  if (anchor.hasAttribute("download") || anchor.hasAttribute("data-outside")) return null;
  return anchor.href;
}

export function startRouter(): void {
  addEventListener("popstate", () => {
    router.arrival = "back";
    router.read();
  });
  document.addEventListener("click", (event) => {
    const href = internalLink(event);
    if (href === null) return;
    event.preventDefault();
    router.go(href);
  });
}
