// A client of /ws/terminal: one socket for any number of sessions, which outlive it. It knows no page and needs nothing but WebSocket,
// so it is also the example for clients of your own (docs/terminal.md).
//
//   const socket = new TerminalSocket(made.ws_url, { token: async () => accessToken });
//   const shell = socket.open(made.id, { rows: 24, cols: 80, told: { output: (text, shown) => { print(text); shown(); } } });
//   shell.type("ls -la\r");

const PROTOCOL = "mirroros.terminal.v1";
const CONNECT_SECONDS = 15;
const QUIET_SECONDS = 25;
const ANSWER_SECONDS = 8;
const LONGEST_PAUSE_SECONDS = 30;
const TOO_MANY_SECONDS = 10;
const RENEW_BEFORE_SECONDS = 60;
const SEND_AGAIN_SECONDS = 0.5;
const LONGEST_INPUT = 16 * 1024;
const MOST_UNACKNOWLEDGED = 256 * 1024;
const ACKNOWLEDGED_BYTES = 64 * 1024;
const CLOSED = { badMessage: 4400, tokenEnded: 4401, notAllowed: 4403, tooMany: 4429 };

/**
 * `token(renewed)` gives an access token; `renewed`: another one than before. An error that it throws with `isFinal` ends everything, after any
 * other one it is asked again later. `told` hears of the socket itself, and may leave out what it does not need:
 *
 * - `state(name, details)`: `connecting`; `open`; `lost` with `{seconds}` until the next try; `closed`, because no session needs it;
 *   `failed` with `{code, error}`, for good.
 * - `error(data)`: what belongs to no session. `sync(revision)`: another device shared something.
 */
export class TerminalSocket {
  #url;
  #token;
  #told;
  #sessions = new Map();
  #line = null;
  #tries = 0;
  #wantsNewToken = false;
  #leastPause = 0;
  #retry;

  constructor(url, { token, told = {} }) {
    this.#url = url;
    this.#token = token;
    this.#told = told;
  }

  /**
   * Connects a session that `POST /api/terminal/sessions` made, or takes over one that runs already, from whatever device has it.
   * `told`: see TerminalSession.
   */
  open(id, { rows, cols, told = {} }) {
    const send = (message) => this.#line?.send(message);
    const session = new TerminalSession(id, { rows, cols, told, send, wanted: () => this.#wanted(session) });
    this.#sessions.set(id, session);
    this.#wanted(session);
    return session;
  }

  /** Now is a good time: a network came back, or somebody looks again. Connects at once, or finds out whether the line is alive. */
  goOn() {
    if (this.#line !== null) this.#line.ask();
    else if (this.#isNeeded) this.#connect();
  }

  /** Sessions go on without a socket, for as long as the plan says. */
  close() {
    this.#sessions.clear();
    this.#hangUp();
    this.#say("closed");
  }

  get #isNeeded() {
    return [...this.#sessions.values()].some((session) => session.isAttached);
  }

  #wanted(session) {
    if (this.#line?.isSignedIn) session.attach();
    else if (this.#line === null) this.#connect();
  }

  #connect() {
    clearTimeout(this.#retry);
    this.#say("connecting");
    this.#line = new Line(this.#url, this.#token, this.#wantsNewToken, {
      signedIn: () => this.#signedIn(),
      message: (message) => this.#hear(message),
      lost: (code) => this.#lost(code),
      failed: (error) => this.#fail({ error }),
    });
  }

  #signedIn() {
    this.#tries = this.#leastPause = 0;
    this.#wantsNewToken = false;
    this.#say("open");
    for (const session of this.#sessions.values()) if (session.isAttached) session.attach();
  }

  #hear(message) {
    const { type, session_id: id, data } = message;
    if (id !== undefined) {
      const session = this.#sessions.get(id);
      if (type === "closed") this.#sessions.delete(id);
      session?.hear(message);
    } else if (type === "going_away") this.#leastPause = data.retry_after ?? 0;
    else if (type === "sync") this.#told.sync?.(data.revision);
    else if (type === "error") this.#told.error?.(data);
  }

  #lost(code) {
    const refusedNewToken = code === CLOSED.tokenEnded && this.#wantsNewToken;
    this.#hangUp();
    if (code === CLOSED.badMessage || code === CLOSED.notAllowed || refusedNewToken) return this.#fail({ code });
    if (!this.#isNeeded) return this.#say("closed");
    this.#wantsNewToken = code === CLOSED.tokenEnded;
    const least = Math.max(this.#leastPause, code === CLOSED.tooMany ? TOO_MANY_SECONDS : 0);
    const longest = Math.min(LONGEST_PAUSE_SECONDS, 2 ** this.#tries / 2);
    const seconds = least + longest * (0.5 + Math.random() / 2); // not all clients at once
    this.#tries += 1;
    this.#retry = setTimeout(() => this.#connect(), seconds * 1000);
    this.#say("lost", { seconds });
  }

  #fail(details) {
    this.#hangUp();
    this.#say("failed", details);
  }

  #hangUp() {
    clearTimeout(this.#retry);
    this.#line?.hangUp();
    this.#line = null;
  }

  #say(name, details = {}) {
    this.#told.state?.(name, details);
  }
}

/** One WebSocket from its beginning to its end, and the token that it is signed in with. */
class Line {
  isSignedIn = false;
  #token;
  #told;
  #socket = null;
  #isOver = false;
  #silence;
  #renewal;

  constructor(url, token, wantsNewToken, told) {
    this.#token = token;
    this.#told = told;
    this.#begin(url, wantsNewToken);
  }

  send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** A network that has gone does not say so. */
  ask() {
    if (!this.isSignedIn) return;
    this.send({ type: "ping" });
    this.#expectWord(ANSWER_SECONDS, () => this.#lost());
  }

  hangUp() {
    this.#isOver = true;
    clearTimeout(this.#silence);
    clearTimeout(this.#renewal);
    this.#socket?.close();
  }

  async #begin(url, wantsNewToken) {
    this.#expectWord(CONNECT_SECONDS, () => this.#lost());
    const token = await this.#askForToken(wantsNewToken);
    if (token === null || this.#isOver) return;
    this.#socket = new WebSocket(url, PROTOCOL);
    this.#socket.onopen = () => this.#signIn(token);
    this.#socket.onmessage = (event) => this.#hear(JSON.parse(event.data));
    this.#socket.onclose = (event) => this.#lost(event.code);
  }

  async #askForToken(wantsNewToken) {
    try {
      return await this.#token(wantsNewToken);
    } catch (error) {
      if (this.#isOver) return null;
      if (error.isFinal) this.#told.failed(error);
      else if (this.isSignedIn) this.#renewAfter(ANSWER_SECONDS);
      else this.#lost();
      return null;
    }
  }

  /** In a message, because addresses stand in logs of proxies. */
  #signIn(token) {
    this.send({ type: "auth", data: { token } });
  }

  /** Sessions notice nothing of it. */
  async #renew() {
    const token = await this.#askForToken(true);
    if (token !== null && !this.#isOver) this.#signIn(token);
  }

  #renewAfter(seconds) {
    clearTimeout(this.#renewal);
    this.#renewal = setTimeout(() => this.#renew(), Math.max(seconds, 1) * 1000);
  }

  #hear(message) {
    if (this.#isOver) return;
    const { type, session_id: id, data } = message;
    if (type === "authenticated") this.#authenticated(data);
    else if (type === "warning" && id === undefined) this.#renew(); // its token is about to end
    else if (type !== "pong") this.#told.message(message);
    if (this.isSignedIn) this.#expectWord(QUIET_SECONDS, () => this.ask());
  }

  #authenticated({ expires_at: end }) {
    const left = end - Date.now() / 1000;
    this.#renewAfter(Math.max(left - RENEW_BEFORE_SECONDS, left / 2));
    if (this.isSignedIn) return;
    this.isSignedIn = true;
    this.#told.signedIn();
  }

  #expectWord(seconds, otherwise) {
    clearTimeout(this.#silence);
    if (!this.#isOver) this.#silence = setTimeout(otherwise, seconds * 1000);
  }

  #lost(code) {
    if (!this.#isOver) this.#told.lost(code);
  }
}

/**
 * A shell on a server. `told` hears of it, and may leave out what it does not need:
 *
 * - `connected(data)`: somebody may type. `output(text, shown, seq)`: call `shown()` when the text is on the screen; a server that is too
 *   fast waits for that. `resumed({missed})`: the output goes on after a lost connection; that many bytes of it are no longer there.
 * - `hostKey(data)`: compare the fingerprint, and if `status` is `unknown`, `acceptHostKey` or `end`. `prompt(data)`: give an `answer`.
 * - `detached()`: another device has it now; `takeBack` returns it. `warning(data)`. `error(data)`. `closed(data)`: its end.
 */
export class TerminalSession {
  /** Whether it is meant to be shown here. */
  isAttached = true;
  #id;
  #send;
  #wanted;
  #told;
  #rows;
  #cols;
  #sentSize = "";
  #wasConnected = false;
  #wasAskedFor = false;
  #waitsForResumed = false;
  #received = 0;
  #acknowledged = 0;
  #typed = 0;
  #unacknowledged = [];
  #sendAgain;

  constructor(id, { rows, cols, told, send, wanted }) {
    this.#id = id;
    this.#rows = inSize(rows);
    this.#cols = inSize(cols);
    this.#told = told;
    this.#send = send;
    this.#wanted = wanted;
  }

  /** Whether it was taken. It is sent when the connection is back, if it is lost now, and reaches the shell once. */
  type(text) {
    const waiting = this.#unacknowledged.reduce((sum, each) => sum + each.data.length, 0);
    if (!this.#wasConnected || !this.isAttached || waiting + text.length > MOST_UNACKNOWLEDGED) return false;
    for (const data of pieces(text)) {
      const input = { data, input_seq: ++this.#typed };
      this.#unacknowledged.push(input);
      if (!this.#waitsForResumed) this.#sendInput(input);
    }
    return true;
  }

  resize(rows, cols) {
    this.#rows = inSize(rows);
    this.#cols = inSize(cols);
    this.#sendSize();
  }

  acceptHostKey(fingerprint) {
    this.#say("accept_host_key", { fingerprint });
  }

  answer(text) {
    this.#say("answer", { text });
  }

  /** The shell goes on without anybody, for as long as the plan says. */
  detach() {
    if (this.isAttached) this.#say("detach");
    this.isAttached = false;
  }

  takeBack() {
    this.isAttached = true;
    this.#wanted();
  }

  /** Ends the shell, and what runs in it. */
  end() {
    if (this.isAttached) this.#say("disconnect");
  }

  /** On a socket that is signed in: TerminalSocket calls it. */
  attach() {
    if (this.#wasAskedFor) return this.#resume();
    this.#wasAskedFor = true;
    this.#say("connect", { rows: this.#rows, cols: this.#cols });
  }

  hear({ type, data, seq }) {
    if (type === "output") this.#output(data, seq);
    else if (type === "input_ack") this.#forget(data.input_seq);
    else if (type === "connected") this.#connected(data);
    else if (type === "resumed") this.#resumed(data);
    else if (type === "error") this.#failed(data);
    else if (type === "host_key") this.#told.hostKey?.(data);
    else if (type === "prompt") this.#told.prompt?.(data);
    else if (type === "warning") this.#told.warning?.(data);
    else if (type === "detached" || type === "closed") {
      this.isAttached = false;
      this.#told[type]?.(data);
    }
  }

  #connected(data) {
    this.#wasConnected = true;
    this.#sentSize = `${data.rows} ${data.cols}`;
    this.#sendSize();
    this.#countFrom(data.input_seq);
    this.#told.connected?.(data);
    if (data.seq > this.#received) this.#resume();
  }

  /** What was on its way to a socket that was lost comes again, from the last byte that arrived here. */
  #resume() {
    this.#waitsForResumed = true;
    this.#say("resume", { after_seq: this.#received });
  }

  #resumed(data) {
    this.#waitsForResumed = false;
    this.#wasConnected = true;
    this.#received = data.from_seq;
    this.#sendSize();
    this.#countFrom(data.input_seq);
    this.#told.resumed?.(data);
    this.#sendInputsAgain();
  }

  #output(text, seq) {
    if (this.#waitsForResumed) return;
    this.#received = seq;
    this.#told.output?.(text, () => this.#shown(seq), seq);
  }

  #shown(seq) {
    if (seq - this.#acknowledged < ACKNOWLEDGED_BYTES) return;
    this.#acknowledged = seq;
    this.#say("ack", { seq });
  }

  #failed(data) {
    if (data.code === "input_gap" || data.code === "input_full") {
      clearTimeout(this.#sendAgain);
      this.#sendAgain = setTimeout(() => this.#sendInputsAgain(), SEND_AGAIN_SECONDS * 1000);
      return;
    }
    if (data.code === "session_unknown") this.isAttached = false;
    this.#told.error?.(data);
  }

  /** The server drops those that it has. */
  #sendInputsAgain() {
    for (const each of this.#unacknowledged) this.#sendInput(each);
  }

  /** Another device may have typed meanwhile. */
  #countFrom(received) {
    this.#forget(received);
    this.#typed = Math.max(this.#typed, received);
  }

  #forget(upTo) {
    this.#unacknowledged = this.#unacknowledged.filter((each) => each.input_seq > upTo);
  }

  #sendInput(input) {
    this.#send({ type: "input", session_id: this.#id, ...input, timestamp: Date.now() });
  }

  #sendSize() {
    const size = `${this.#rows} ${this.#cols}`;
    if (!this.#wasConnected || this.#waitsForResumed || !this.isAttached || size === this.#sentSize) return;
    this.#sentSize = size;
    this.#say("resize", { rows: this.#rows, cols: this.#cols });
  }

  #say(type, data) {
    this.#send({ type, session_id: this.#id, data });
  }
}

function inSize(number) {
  return Math.min(Math.max(Math.round(number), 1), 500);
}

/** No character is cut in two. */
function* pieces(text) {
  for (let start = 0; start < text.length; ) {
    let end = Math.min(start + LONGEST_INPUT, text.length);
    if (end < text.length && text.charCodeAt(end - 1) >> 10 === 0x36) end -= 1; // the first half of a pair
    yield text.slice(start, end);
    start = end;
  }
}
