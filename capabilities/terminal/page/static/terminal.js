// The terminal page: what is shown, and what happens when somebody does something.
import { ConnectionLost, Refused, SignedOut, call, token } from "./terminal_api.js";
import { asked, at, isSure, say, takeBackQuestions } from "./terminal_parts.js";
import { Screen } from "./terminal_screen.js";
import { Servers } from "./terminal_servers.js";
import { TerminalSocket } from "./terminal_socket.js";

const TOKEN_ENDED = 4401;
const KINDS = { password: "Password", passphrase: "Passphrase of your key", keyboard: "The server asks" };
const ENDS = {
  client: "The session has ended.",
  idle: "The session has ended, because nothing happened in it for an hour.",
  expired: "The session has ended, because it lasted as long as your plan allows.",
  detached_too_long: "The session has ended, because nobody had it open for longer than your plan allows.",
  host_lost: "The connection to the server was lost. What does not survive that has ended there.",
  server_restart: "This service was restarted, and the session ended with it.",
  revoked: "The session has ended, because your sign-in was ended.",
  admin: "An operator has ended the session.",
  error: "The session could not be opened.",
};
const CHANGED_KEY =
  "The server shows another host key than the one you accepted. Somebody may be between you and the server, so nothing was sent." +
  " If you know why it changed, for example because the server was set up anew, remove the old key from your known host keys and connect again.";

const socket = new TerminalSocket(at("terminal").dataset.socket, { token, told: { state: shownState, error: (data) => notice(data.message, "bad") } });
const servers = new Servers({ connect, take, failed: complain });
/** The one that is shown. `isReady`: one may type. `mutedUpTo`: see `take`. `problem`: what was told last. */
let shell = null;

start();

async function start() {
  at("terminal").hidden = false;
  await tried(() => servers.load());
}

// ---- A shell on the screen ----

async function connect(profile) {
  at("problem").hidden = true;
  const opened = (shell = show(profile.name, profile));
  const { rows, cols } = opened.screen;
  status("Connecting …");
  try {
    const made = await call("POST", "/sessions", { session_type: "ssh", ssh_profile_id: profile.id, rows, cols });
    if (shell === opened) open(opened, made.id);
    else await call("DELETE", `/sessions/${made.id}`);
  } catch (error) {
    if (shell !== opened) return;
    leave();
    complain(error);
  }
}

/** A session that runs already. What is left of its output is shown first, and what programs asked the screen then is not answered again. */
function take(session) {
  at("problem").hidden = true;
  shell = show(servers.nameOf(session), servers.profiles.find((each) => each.id === session.ssh_profile_id));
  shell.mutedUpTo = Infinity;
  status("Connecting …");
  open(shell, session.id);
}

function show(name, profile) {
  at("servers").hidden = true;
  at("shell").hidden = false;
  at("shell-title").textContent = name;
  at("may-copy").checked = false;
  hideNotice();
  const screen = new Screen(at("screen"), {
    typed: (text) => typed(text),
    resized: (rows, cols) => shell?.session?.resize(rows, cols),
    link: openLink,
    copied: (length) => say(`A program has put ${length} characters into your clipboard`),
    ctrlUsed: () => key("ctrl").setAttribute("aria-pressed", "false"),
  });
  screen.reads = at("reads").checked;
  screen.focus();
  document.title = `${name} – Terminal`;
  return { id: null, session: null, screen, name, profile, mutedUpTo: 0, isReady: false, isElsewhere: false, problem: null };
}

function open(opened, id) {
  const { screen } = opened;
  opened.id = id;
  const here = (heard) => (...details) => shell === opened && heard(...details);
  opened.session = socket.open(id, {
    rows: screen.rows,
    cols: screen.cols,
    told: {
      connected: here((data) => {
        opened.isReady = true;
        if (opened.mutedUpTo === Infinity) opened.mutedUpTo = data.seq;
        status(`Connected${data.fingerprint ? `. Host key ${data.fingerprint}` : ""}`);
        hideNotice();
        takeBackQuestions();
      }),
      output: here((text, shown, seq) => screen.write(text, () => {
        if (seq >= opened.mutedUpTo) opened.mutedUpTo = 0;
        shown();
      })),
      resumed: here(({ missed }) => {
        opened.isElsewhere = false;
        status("Connected");
        hideNotice();
        if (missed > 0) screen.note(`${missed.toLocaleString()} bytes of output are no longer there`);
      }),
      hostKey: here((data) => askAboutHostKey(opened, data)),
      prompt: here((data) => answerPrompt(opened, data)),
      detached: here(() => {
        opened.isElsewhere = true;
        status("Open elsewhere");
        notice("Another window or device has this session now.", "wait", "Take it back", () => opened.session.takeBack());
      }),
      warning: here((data) => notice(warningOf(data), "wait")),
      error: here((data) => {
        opened.problem = data;
        takeBackQuestions();
        if (opened.problem.code !== "host_key_changed") notice(data.message, "bad");
      }),
      closed: here((data) => ended(opened, data)),
    },
  });
}

function typed(text) {
  if (!shell?.isReady || shell.mutedUpTo > 0) return;
  if (!shell.session.type(text)) say("This was not sent");
}

function ended(opened, { reason, exit_status: exit, signal }) {
  takeBackQuestions();
  opened.isReady = false;
  status("Ended");
  const kind = reason === "exit" || reason === "client" ? "" : "bad";
  const sentence = sentenceOf(opened, reason, exit, signal);
  if (opened.problem?.code === "host_key_changed") notice(sentence, kind, "Show known host keys", showHostKeys);
  else if (opened.profile) notice(sentence, kind, "Connect again", () => { leave(); connect(opened.profile); });
  else notice(sentence, kind);
}

function showHostKeys() {
  at("leave").click();
  at("hosts-part").open = true;
  at("hosts-part").scrollIntoView();
}

function sentenceOf({ problem }, reason, exit, signal) {
  if (problem?.code === "host_key_changed") return CHANGED_KEY;
  if (reason === "error" && problem !== null) return `${problem.message}.`;
  if (reason !== "exit") return ENDS[reason] ?? "The session has ended.";
  if (signal) return `The shell has ended by the signal ${signal}.`;
  return exit ? `The shell has ended with status ${exit}.` : "The shell has ended.";
}

function warningOf({ code, seconds }) {
  const minutes = Math.max(1, Math.round(seconds / 60));
  const left = `in ${minutes} minute${minutes === 1 ? "" : "s"}`;
  if (code === "idle_soon") return `The session ends ${left} if nothing happens in it.`;
  return `The session ends ${left}: it then has lasted as long as your plan allows.`;
}

/** Back to the servers. The session goes on. */
function leave() {
  takeBackQuestions();
  if (shell.isReady) shell.session.detach();
  else shell.session?.end();
  shell.screen.dispose();
  at("screen").replaceChildren();
  shell = null;
  at("menu").open = false;
  at("shell").hidden = true;
  at("servers").hidden = false;
  document.title = "Terminal";
}

at("leave").addEventListener("click", () => {
  leave();
  tried(() => servers.load());
});

at("end").addEventListener("click", async () => {
  const opened = shell;
  at("menu").open = false;
  if (!opened.id || !(await isSure("End this session?", "What runs in it ends too.", "End session"))) return;
  try {
    await call("DELETE", `/sessions/${opened.id}`); // wherever it is open, and also while the socket is lost
    if (shell === opened && opened.isElsewhere) at("leave").click(); // nobody tells us then that it has ended
  } catch (error) {
    notice(wordsOf(error), "bad");
  }
});

at("may-copy").addEventListener("change", (event) => (shell.screen.mayCopy = event.target.checked));
at("reads").addEventListener("change", (event) => (shell.screen.reads = event.target.checked));

// ---- What is asked ----

async function askAboutHostKey(opened, data) {
  if (data.status === "changed") {
    opened.problem = { code: "host_key_changed" };
    return;
  }
  at("host-key-host").textContent = `${data.host}:${data.port}`;
  at("host-key-fingerprint").textContent = data.fingerprint;
  at("host-key-algorithm").textContent = data.algorithm;
  status("Waiting for you");
  const accepted = await asked(at("host-key"));
  if (shell !== opened || accepted === null) return;
  if (accepted) opened.session.acceptHostKey(data.fingerprint);
  else opened.session.end();
}

async function answerPrompt(opened, data) {
  at("question-heading").textContent = KINDS[data.kind] ?? KINDS.keyboard;
  at("question-from").textContent = opened.profile ? `${opened.profile.username}@${opened.profile.host}` : opened.name;
  at("question-text").textContent = data.text || KINDS[data.kind];
  const field = at("question-answer");
  field.type = data.echo ? "text" : "password";
  field.value = "";
  status("Waiting for you");
  const answered = await asked(at("question"));
  const text = field.value;
  field.value = "";
  if (shell !== opened || answered === null) return;
  status("Connecting …");
  if (answered) opened.session.answer(text);
  else opened.session.end();
}

async function openLink(address) {
  at("link-address").textContent = address;
  if (/^https?:\/\//i.test(address) && (await asked(at("link")))) window.open(address, "_blank", "noopener,noreferrer");
  shell?.screen.focus();
}

// ---- Keys that phones do not have ----

function key(name) {
  return at("key-row").querySelector(`[data-key=${name}]`);
}

at("key-row").addEventListener("pointerdown", (event) => event.preventDefault()); // the screen keeps the keyboard
at("key-row").addEventListener("click", (event) => {
  const name = event.target.closest("button")?.dataset.key;
  if (!name || !shell) return;
  if (name === "ctrl") {
    shell.screen.ctrl = !shell.screen.ctrl;
    key("ctrl").setAttribute("aria-pressed", String(shell.screen.ctrl));
  } else shell.screen.press(name);
  shell.screen.focus();
});

// ---- The socket ----

function shownState(name, { seconds, code, error }) {
  if (shell === null) return;
  if (name === "lost") status(`Connection lost. Next try in ${Math.ceil(seconds)} s. What you type is sent later`);
  else if (name === "connecting") status("Connecting …");
  else if (name === "failed") {
    takeBackQuestions();
    status("Not connected");
    if (error instanceof SignedOut || code === TOKEN_ENDED) notice("You are signed out.", "bad", "Sign in", () => location.reload());
    else notice("This page may not open a terminal here.", "bad");
  }
}

addEventListener("online", () => socket.goOn());
document.addEventListener("visibilitychange", () => document.hidden || socket.goOn());

// On-screen keyboards cover the page, and only some browsers make it smaller for them.
visualViewport?.addEventListener("resize", () => {
  const covered = innerHeight - visualViewport.height > 100;
  document.body.style.height = covered && shell ? `${visualViewport.height}px` : "";
});

// ---- Messages ----

function status(text) {
  at("status").textContent = text;
}

function notice(text, kind, act, does) {
  const button = at("notice").querySelector("button");
  at("notice").className = `notice said ${kind}`;
  at("notice").querySelector("p").textContent = text;
  button.hidden = !act;
  if (act) button.textContent = act;
  button.onclick = does ?? null;
  at("notice").hidden = false;
}

function hideNotice() {
  at("notice").hidden = true;
}

function wordsOf(error) {
  if (error instanceof ConnectionLost) return "The service cannot be reached. Try again in a moment.";
  if (error instanceof Refused) return `${error.message}.`;
  if (error instanceof SignedOut) return "You are signed out.";
  console.error(error);
  return "Something went wrong on this page. Reload it and try again.";
}

async function tried(work) {
  try {
    await work();
  } catch (error) {
    complain(error);
  }
}

function complain(error) {
  const problem = at("problem");
  problem.hidden = false;
  if (error instanceof SignedOut) {
    problem.replaceChildren("You are signed out. ", Object.assign(document.createElement("a"), { href: location.pathname, textContent: "Sign in" }));
  } else problem.textContent = wordsOf(error);
  problem.scrollIntoView({ block: "nearest" });
}
