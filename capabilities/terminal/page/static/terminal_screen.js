// The screen: xterm.js with our colours, and what a server may not do with it.
import "./styles_without_text.js";
import { FitAddon } from "./xterm-fit.js";
import { Terminal } from "./xterm.js";

const CLIPBOARD = 52;
const LONGEST_COPY = 100_000;
const ARROWS = { up: "A", down: "B", right: "C", left: "D" };
const KEYS = { esc: "\x1b", tab: "\t" };
const LIGHT = {
  background: "#ffffff", foreground: "#1a1f36", cursor: "#1a1f36", cursorAccent: "#ffffff", selectionBackground: "#c9d0f5",
  black: "#1a1f36", red: "#b42318", green: "#166534", yellow: "#8a4b08", blue: "#1d4ed8", magenta: "#8b2fa8", cyan: "#0e6b73", white: "#545b70",
  brightBlack: "#545b70", brightRed: "#d14343", brightGreen: "#1c7a43", brightYellow: "#9a6412", brightBlue: "#4338ca", brightMagenta: "#a03fc0",
  brightCyan: "#0f7f88", brightWhite: "#12141c",
};
const DARK = {
  background: "#12141c", foreground: "#e8eaf2", cursor: "#e8eaf2", cursorAccent: "#12141c", selectionBackground: "#3d4468",
  black: "#2c3142", red: "#ff8a80", green: "#86e0a3", yellow: "#f2c66d", blue: "#8f9bff", magenta: "#e0a3f5", cyan: "#6fd8e2", white: "#d3d7e5",
  brightBlack: "#8a92a8", brightRed: "#ffa198", brightGreen: "#a6f0bd", brightYellow: "#ffdc93", brightBlue: "#a5b0ff", brightMagenta: "#efc4ff",
  brightCyan: "#97ecf4", brightWhite: "#ffffff",
};
const night = matchMedia("(prefers-color-scheme: dark)");

export class Screen {
  /** A program may put text into the clipboard. None ever reads it. */
  mayCopy = false;
  /** The next letter is sent as if Ctrl were held. */
  ctrl = false;
  #terminal;
  #fit = new FitAddon();
  #told;
  #element;
  #watching = new ResizeObserver(() => this.fit());
  #themed = () => (this.#terminal.options.theme = night.matches ? DARK : LIGHT);

  /** `told`: `typed(text)`, `resized(rows, cols)`, `link(address)` when somebody clicked one, `copied(length)`, `ctrlUsed()`. */
  constructor(element, told) {
    this.#element = element;
    this.#told = told;
    this.#terminal = new Terminal({
      fontFamily: 'ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace',
      fontSize: innerWidth < 600 ? 13 : 14,
      theme: night.matches ? DARK : LIGHT,
      minimumContrastRatio: 4.5,
      cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
      scrollback: 5000,
      linkHandler: { activate: (_, address) => told.link(address) }, // xterm.js hands over http and https alone
    });
    this.#terminal.loadAddon(this.#fit);
    this.#terminal.parser.registerOscHandler(CLIPBOARD, (data) => this.#clipboard(data));
    this.#terminal.onData((text) => this.#type(text));
    this.#terminal.onResize(({ rows, cols }) => told.resized(rows, cols));
    this.#terminal.open(element);
    night.addEventListener("change", this.#themed);
    this.#watching.observe(element);
    this.fit();
  }

  get rows() {
    return this.#terminal.rows;
  }

  get cols() {
    return this.#terminal.cols;
  }

  set reads(on) {
    this.#terminal.options.screenReaderMode = on;
  }

  focus() {
    this.#terminal.focus();
  }

  fit() {
    if (this.#element.clientHeight > 0) this.#fit.fit();
  }

  write(text, shown) {
    this.#terminal.write(text, shown);
  }

  /** A line that is not the server's. */
  note(text) {
    this.#terminal.write(`\x1b[0m\r\n\x1b[2m— ${text} —\x1b[0m\r\n`);
  }

  press(key) {
    const cursor = this.#terminal.modes.applicationCursorKeysMode ? "\x1bO" : "\x1b[";
    this.#type(KEYS[key] ?? cursor + ARROWS[key]);
  }

  dispose() {
    night.removeEventListener("change", this.#themed);
    this.#watching.disconnect();
    this.#terminal.dispose();
  }

  #type(text) {
    if (this.ctrl) {
      this.ctrl = false;
      this.#told.ctrlUsed();
      if (/^[@-_a-z]$/.test(text)) text = String.fromCharCode(text.toUpperCase().charCodeAt(0) & 0x1f);
    }
    this.#told.typed(text);
  }

  /** `c;aGVsbG8=`. With a question mark a program asks for what the user copied last. */
  #clipboard(data) {
    const [, content] = data.split(";");
    if (!this.mayCopy || !content || content === "?" || content.length > LONGEST_COPY) return true;
    try {
      const text = new TextDecoder().decode(Uint8Array.from(atob(content), (each) => each.charCodeAt(0)));
      navigator.clipboard.writeText(text).then(() => this.#told.copied(text.length), () => {});
    } catch {
      // It is not Base64.
    }
    return true;
  }
}
