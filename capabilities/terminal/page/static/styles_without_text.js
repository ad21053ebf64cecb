// xterm.js fills style elements and style attributes with text, which the page's policy refuses (`style-src 'self'`). Here the same is made through
// the object model, which no policy restricts (CSP 3, 6.1.14). It has to be imported before a terminal is opened.
const sheets = new WeakMap();

Object.defineProperty(HTMLStyleElement.prototype, "textContent", {
  set(text) {
    if (!sheets.has(this)) {
      sheets.set(this, new CSSStyleSheet());
      document.adoptedStyleSheets.push(sheets.get(this));
    }
    sheets.get(this).replaceSync(text);
  },
});

HTMLStyleElement.prototype.remove = function () {
  document.adoptedStyleSheets = document.adoptedStyleSheets.filter((each) => each !== sheets.get(this));
  Element.prototype.remove.call(this);
};

HTMLSpanElement.prototype.setAttribute = function (name, value) {
  if (name === "style") this.style.cssText = value;
  else Element.prototype.setAttribute.call(this, name, value);
};
