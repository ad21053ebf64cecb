// In a file of its own because the page's Content-Security-Policy allows no inline script.
const DARK = {
  colors: {
    primary: { main: "#93c5fd" },
    success: { main: "#86efac" },
    error: { main: "#fca5a5" },
    text: { primary: "#f5f5f4", secondary: "#d6d3d1" },
    border: { dark: "#57534e", light: "#44403c" },
  },
  schema: { nestedBackground: "#292524", linesColor: "#78716c", typeNameColor: "#d6d3d1", typeTitleColor: "#d6d3d1" },
  sidebar: { backgroundColor: "#292524", textColor: "#f5f5f4", activeTextColor: "#93c5fd" },
  rightPanel: { backgroundColor: "#0c0a09" },
};
const dark = matchMedia("(prefers-color-scheme: dark)").matches;
const typography = { fontFamily: "sans-serif", headings: { fontFamily: "sans-serif" } };
if (dark) Object.assign(typography, { code: { color: "#fca5a5", backgroundColor: "#292524" } });

// The search index is off because it runs in a blob: worker; the fonts are the reader's own.
Redoc.init(
  "/openapi.json",
  { disableSearch: true, theme: { ...(dark ? DARK : {}), typography } },
  document.getElementById("redoc"),
);
