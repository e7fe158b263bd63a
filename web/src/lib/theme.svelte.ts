// Light, dark, or what the system says; remembered in localStorage. Applied before the page is mounted.

export type Theme = "light" | "dark";
const STORED_AS = "longspan.theme";
const system = matchMedia("(prefers-color-scheme: dark)");

function stored(): Theme | null {
  try {
    const value = localStorage.getItem(STORED_AS);
    return value === "light" || value === "dark" ? value : null;
  } catch {
    return null; // Storage may be forbidden; then the system's theme holds.
  }
}

class ThemeChoice {
  chosen = $state<Theme | null>(stored());
  system = $state<Theme>(system.matches ? "dark" : "light");
  readonly current: Theme = $derived(this.chosen ?? this.system);

  toggle(): void {
    const next: Theme = this.current === "dark" ? "light" : "dark";
    this.chosen = next === this.system ? null : next;
    try {
      if (this.chosen === null) localStorage.removeItem(STORED_AS);
      else localStorage.setItem(STORED_AS, this.chosen);
    } catch {
      // As above: the choice then lasts until the page is closed.
    }
    this.apply();
  }

  apply(): void {
    document.documentElement.dataset["theme"] = this.current;
  }
}

export const theme = new ThemeChoice();

export function startTheme(): void {
  theme.apply();
  system.addEventListener("change", (event) => {
    theme.system = event.matches ? "dark" : "light";
    theme.apply();
  });
}
