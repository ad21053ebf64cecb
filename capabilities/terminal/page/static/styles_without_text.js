// xterm.js fills style elements and style attributes with text, which the page's policy refuses (`style-src 'self'`), even an empty element. Here the same
// is made through the object model, which no policy restricts (CSP 3, 6.1.14). It has to be imported before a terminal is opened.
class AdoptedStyle extends HTMLElement {
  #sheet = new CSSStyleSheet();

  set textContent(text) {
    this.#sheet.replaceSync(text);
  }

  connectedCallback() {
    this.hidden = true;
    document.adoptedStyleSheets.push(this.#sheet);
  }

  disconnectedCallback() {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((each) => each !== this.#sheet);
  }
}
customElements.define("adopted-style", AdoptedStyle);

document.createElement = function (name, options) {
  return Document.prototype.createElement.call(this, name === "style" ? "adopted-style" : name, options);
};

HTMLSpanElement.prototype.setAttribute = function (name, value) {
  if (name === "style") this.style.cssText = value;
  else Element.prototype.setAttribute.call(this, name, value);
};
