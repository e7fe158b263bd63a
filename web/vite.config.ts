// Build and development server of the page. In development the real server answers /api.
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";
import { precompress } from "./scripts/precompress.mjs";

export default defineConfig({
  plugins: [svelte(), precompress()],
  server: { host: "127.0.0.1", proxy: { "/api": process.env.LONGSPAN_API ?? "http://127.0.0.1:4319" } },
  build: {
    target: "es2022",
    // The CSP allows nothing inline, so no asset may become a data: address.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
