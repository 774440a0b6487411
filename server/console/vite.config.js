import { defineConfig } from "vite";

// The console is served below /console/; addresses are relative, so that a proxy may put it elsewhere.
export default defineConfig({
  base: "./",
  build: {
    target: "es2022",
    outDir: "dist",
    emptyOutDir: true,
    assetsInlineLimit: 0, // the page's policy allows no inline code
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 600,
    license: { fileName: "licenses.md" },
  },
  server: { proxy: Object.fromEntries(["/v1", "/ksql", "/query-stream", "/info", "/metrics"].map((p) => [p, "http://127.0.0.1:8088"])) },
});
