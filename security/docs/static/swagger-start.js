// In a file of its own because the page's Content-Security-Policy allows no inline script.
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

window.ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  docExpansion: "none", // to lay out all operations at once takes it minutes; those of one tag appear at once
  validatorUrl: null, // the default sends the document's address to validator.swagger.io
});
