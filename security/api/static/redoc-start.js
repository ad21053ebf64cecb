// In a file of its own because the page's Content-Security-Policy allows no inline script.
// The search index is off because it runs in a blob: worker; the fonts are the reader's own.
Redoc.init(
  "/openapi.json",
  {
    disableSearch: true,
    theme: { typography: { fontFamily: "sans-serif", headings: { fontFamily: "sans-serif" } } },
  },
  document.getElementById("redoc"),
);
