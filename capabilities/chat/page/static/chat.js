// The chat page: what is shown, and what happens when somebody does something.
import { ConnectionLost, Refused, SignedOut, call, open, query, shown } from "./chat_api.js";
import { Conversations } from "./chat_list.js";
import { copyOf, isRunning, messageElement, show, showState } from "./chat_message.js";
import { readReply, untilReached } from "./chat_reply.js";

const ROOT = "/portal/chat";
const AT_ONCE = 20;
const NEAR_END = 80;
const FAR_FROM_END = 240;
const MOST_PAGES = 50;
const OF_PLANS = new Set(["rate_limit_exceeded", "feature_not_in_tier", "prompt_too_long", "max_tokens_above_plan"]);
const at = (id) => document.getElementById(id);
const log = at("log");
const scroller = at("messages");
const content = at("content");
const typing = matchMedia("(pointer: coarse)");

let staysAtEnd = true;
/** `messages`: those that are shown, the first one first. `reading`: the reply that is being read, and what ends that. */
const now = { conversation: null, messages: [], older: null, reading: null, visit: 0, drafts: new Map(), models: null };

const list = new Conversations({
  open: (id, messageId) => visit(id, { messageId }),
  failed: (error) => complain(error),
});

start();

async function start() {
  at("chat").hidden = false;
  content.rows = 1;
  const [, id] = location.pathname.match(/^\/portal\/chat\/([0-9a-f-]{36})$/) ?? [];
  await Promise.all([
    tried(() => list.load()),
    tried(loadModels),
    tried(loadUsage),
    visit(id ?? null, { goesThere: false }),
  ]);
}

// ---- What is shown ----

/** Shows a conversation, or with null the beginning of a new one. */
async function visit(id, { messageId = null, goesThere = true } = {}) {
  const number = (now.visit += 1);
  keepDraft();
  stopReading();
  closeChats();
  hideProblem();
  at("actions").open = false;
  if (goesThere) history.pushState(null, "", id ? `${ROOT}/${id}` : ROOT);
  Object.assign(now, { conversation: null, messages: [], older: null });
  log.replaceChildren();
  at("older").hidden = true;
  list.mark(id);
  content.value = now.drafts.get(id) ?? "";
  at("welcome").hidden = id !== null;
  entitle();
  sending(false);
  if (!typing.matches) content.focus();
  if (id === null) return;
  try {
    const conversation = await call("GET", `/conversations/${id}`);
    if (number !== now.visit) return;
    now.conversation = conversation;
    entitle();
    await loadMessages();
    if (number === now.visit && messageId) await lookAt(messageId);
  } catch (error) {
    if (number !== now.visit) return;
    if (error.code === "not_found") {
      await visit(null);
      problem("This conversation does not exist any more.");
    } else complain(error, () => visit(id, { goesThere: false }));
  }
}

async function loadMessages() {
  const number = now.visit;
  const page = await shown(`/${now.conversation.id}/messages${query({ limit: AT_ONCE })}`);
  if (number !== now.visit) return;
  now.messages = page.messages.reverse();
  upTo(page.next_cursor);
  log.replaceChildren(...now.messages.map(messageElement));
  toEnd();
  const last = now.messages.at(-1);
  if (last && isRunning(last)) {
    follow(last, { messageId: last.id, position: new TextEncoder().encode(last.content).length });
  }
}

async function loadOlder() {
  const number = now.visit;
  const page = await shown(`/${now.conversation.id}/messages${query({ limit: AT_ONCE, cursor: now.older })}`);
  if (number !== now.visit) return;
  const older = page.messages.reverse();
  const height = scroller.scrollHeight - scroller.scrollTop;
  staysAtEnd = false;
  now.messages.unshift(...older);
  log.prepend(...older.map(messageElement));
  upTo(page.next_cursor);
  scroller.scrollTop = scroller.scrollHeight - height;
}

function upTo(cursor) {
  now.older = cursor;
  at("older").hidden = cursor === null;
}

/** A message that was found, which may be on another branch. */
async function lookAt(id) {
  if (!(await loadedUpTo(id))) {
    await showBranch(id);
    if (!(await loadedUpTo(id))) return;
  }
  const element = elementOf(id);
  element.tabIndex = -1;
  element.focus({ preventScroll: true });
  element.scrollIntoView({ block: "center" });
}

async function loadedUpTo(id) {
  for (let pages = 0; !elementOf(id) && now.older && pages < MOST_PAGES; pages += 1) await loadOlder();
  return elementOf(id) !== null;
}

function elementOf(id) {
  return at(`message-${id}`);
}

function entitle() {
  const { conversation } = now;
  const title = conversation?.title ?? "New chat";
  at("chat-title").textContent = title;
  document.title = conversation ? `${title} – Chat` : "Chat";
  at("actions").hidden = conversation === null;
  if (conversation) {
    at("actions").querySelector("[data-act=pin] span").textContent = conversation.pinned ? "Unpin" : "Pin";
    at("actions").querySelector("[data-act=archive] span").textContent = conversation.archived ? "Move out of the archive" : "Archive";
  }
  chooseModel();
}

function changed(conversation) {
  list.put(conversation);
  if (now.conversation?.id === conversation.id) {
    now.conversation = conversation;
    entitle();
  }
}

// ---- Sending, and reading replies ----

at("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = content.value;
  if (!text.trim() || now.reading) return;
  content.value = "";
  now.drafts.delete(now.conversation?.id ?? null);
  send(text);
});

content.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || typing.matches) return;
  event.preventDefault();
  at("composer").requestSubmit();
});

/** `parentId`: it goes on from there, in a branch of its own. By default after what is shown. */
async function send(text, parentId) {
  const message = { role: "user", state: "complete", content: text, sibling_ids: [], parent_id: parentId };
  if (parentId !== undefined) cutAfter(parentId);
  const branches = parentId !== undefined;
  const body = { content: text, conversation_id: now.conversation?.id, parent_id: parentId, model: chosenModel() };
  await ask(message, { path: "/chat/messages", body }, { branches, givesBack: text });
}

async function again(message) {
  const body = { conversation_id: now.conversation.id, message_id: message.id };
  cutAfter(message.parent_id);
  await ask(null, { path: "/chat/messages/regenerate", body }, { branches: true });
}

async function ask(message, asked, { branches, givesBack }) {
  hideProblem();
  at("welcome").hidden = true;
  const reply = { role: "assistant", state: "pending", content: "", sibling_ids: [], rating: 0 };
  for (const each of [message, reply]) if (each) add(each);
  toEnd();
  await follow(reply, { asked: { ...asked, key: crypto.randomUUID() } }, { message, branches, givesBack });
}

/** Reads it into its element until its end. */
async function follow(reply, wanted, { message = null, branches = false, givesBack } = {}) {
  const element = log.lastElementChild;
  const text = element.querySelector(".content");
  const reading = { ends: new AbortController(), id: wanted.messageId ?? null, stops: false };
  const mine = () => now.reading === reading;
  now.reading = reading;
  sending(true);
  say("The reply is being written");
  const told = {
    start(data) {
      reading.id = reply.id = data.message_id;
      reply.content = text.textContent = "";
      if (message) message.id = data.user_message_id;
      if (now.conversation === null) began(data.conversation_id);
      else if (message) list.put(now.conversation, true);
      if (reading.stops) stop(reading);
      if (data.max_tokens_reduced) showState(element, "Your plan has few tokens left today, so this reply may be cut short.");
    },
    text(piece) {
      element.classList.remove("waiting");
      reply.state = "streaming";
      reply.content += piece;
      text.append(piece);
    },
    lost: () => showState(element, "The connection was lost. Trying again…"),
    found: () => showState(element, null),
  };
  try {
    await readReply({ ...wanted, signal: reading.ends.signal, told });
    await settled(reply, element, { message, branches, signal: reading.ends.signal });
    say("The reply is complete");
  } catch (error) {
    if (!mine()) return;
    if (reply.id === undefined) {
      takeBack(message, reply, givesBack, branches);
      complain(error);
    } else {
      await settled(reply, element, { message, branches, signal: reading.ends.signal }).catch(complain);
      say("The reply failed");
    }
  } finally {
    if (mine()) {
      now.reading = null;
      sending(false);
      tried(loadUsage);
    }
  }
}

/** As the server has it now: with its HTML, and with its other versions. */
async function settled(reply, element, { message, branches, signal }) {
  const number = now.visit;
  const asked = [reply.id, ...(message && branches ? [message.id] : [])];
  const [ended, sent] = await untilReached(() => Promise.all(asked.map((id) => shown(`/messages/${id}`))), signal);
  if (number !== now.visit) return;
  Object.assign(reply, ended);
  show(element, reply);
  if (message) {
    Object.assign(message, sent ?? { sibling_ids: [message.id], parent_id: ended.parent_id });
    show(element.previousElementSibling, message);
  }
}

/** The first message made the conversation. */
async function began(id) {
  const model = now.wantedModel;
  now.conversation = { id, title: null, pinned: false, archived: false, model: model ?? null };
  history.replaceState(null, "", `${ROOT}/${id}`);
  list.current = id;
  await tried(async () => {
    changed(model ? await call("PATCH", `/conversations/${id}`, { model }) : await call("GET", `/conversations/${id}`));
  });
}

/** Nothing was sent, so nothing may be lost of what was typed. */
function takeBack(message, reply, givesBack, branches) {
  if (branches) {
    tried(loadMessages);
  } else {
    for (const each of [reply, message]) {
      if (!each) continue;
      now.messages.pop();
      log.lastElementChild.remove();
    }
  }
  if (givesBack !== undefined && !content.value) content.value = givesBack;
  at("welcome").hidden = now.conversation !== null || now.messages.length > 0;
}

function add(message) {
  now.messages.push(message);
  log.append(messageElement(message));
}

/** Takes from the page what comes after a message; null: everything. */
function cutAfter(id) {
  const kept = id === null ? 0 : now.messages.findIndex((each) => each.id === id) + 1;
  now.messages.splice(kept);
  while (log.children.length > kept) log.lastElementChild.remove();
}

function stopReading() {
  now.reading?.ends.abort();
  now.reading = null;
}

at("stop").addEventListener("click", () => now.reading && stop(now.reading));

function stop(reading) {
  reading.stops = true;
  at("stop").disabled = true;
  if (reading.id) tried(() => call("POST", `/chat/messages/${reading.id}/stop`));
}

function sending(on) {
  const hadFocus = document.activeElement === at("stop") || document.activeElement === at("send");
  at("send").hidden = on;
  at("stop").hidden = !on;
  at("stop").disabled = false;
  log.classList.toggle("reading", on);
  if (hadFocus) (on ? at("stop") : content).focus();
}

// ---- What is done with one message ----

log.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-act]");
  const element = button?.closest(".message");
  const message = now.messages[[...log.children].indexOf(element)];
  if (message) tried(() => ACTS[button.dataset.act](message, element, button));
});

const ACTS = {
  copy: (message, element, button) => copied(message.content, button),
  "copy-code": (message, element, button) => copied(button.closest(".code").querySelector("code").textContent, button),
  good: (message, element) => rate(message, element, 1),
  bad: (message, element) => rate(message, element, -1),
  again: (message) => now.reading === null && again(message),
  previous: (message) => switchVersion(message, -1),
  next: (message) => switchVersion(message, 1),
  edit: (message, element) => edit(message, element),
};

async function copied(text, button) {
  await navigator.clipboard.writeText(text);
  say("Copied");
  button.classList.add("done");
  setTimeout(() => button.classList.remove("done"), 1500);
}

async function rate(message, element, value) {
  const rating = message.rating === value ? 0 : value;
  message.rating = (await call("PATCH", `/chat/messages/${message.id}`, { rating })).rating;
  for (const [act, own] of [["good", 1], ["bad", -1]]) {
    element.querySelector(`[data-act=${act}]`).setAttribute("aria-pressed", String(message.rating === own));
  }
}

async function switchVersion(message, step) {
  if (now.reading) return;
  const id = message.sibling_ids[message.sibling_ids.indexOf(message.id) + step];
  await showBranch(id);
  elementOf(id)?.scrollIntoView({ block: "nearest" });
  elementOf(id)?.querySelector(`[data-act=${step < 0 ? "previous" : "next"}]`).focus({ preventScroll: true });
}

async function showBranch(leafId) {
  changed(await call("PATCH", `/conversations/${now.conversation.id}`, { current_leaf_id: leafId }));
  await loadMessages();
}

function edit(message, element) {
  if (now.reading || element.querySelector("form")) return;
  const form = copyOf("an-edit");
  const area = form.querySelector("textarea");
  const close = () => {
    form.remove();
    element.classList.remove("editing");
    element.querySelector("[data-act=edit]").focus();
  };
  area.value = message.content;
  area.rows = Math.min(12, message.content.split("\n").length + 1);
  form.querySelector("button.plain").addEventListener("click", close);
  form.addEventListener("keydown", (event) => event.key === "Escape" && close());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (area.value.trim() && !now.reading) send(area.value, message.parent_id);
  });
  element.classList.add("editing");
  element.append(form);
  area.focus();
}

// ---- What is done with a conversation ----

at("new-chat").addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  visit(null);
});

at("actions").addEventListener("click", (event) => {
  const act = event.target.closest("button")?.dataset.act;
  if (!act) return;
  closeActions();
  tried(() => OF_CONVERSATION[act](now.conversation));
});

function closeActions() {
  if (!at("actions").open) return;
  at("actions").open = false;
  at("actions").querySelector("summary").focus();
}

const OF_CONVERSATION = {
  async rename(conversation) {
    const title = await inDialog({ title: "Rename this conversation", value: conversation.title ?? "", yes: "Rename" });
    if (title !== null) await change(conversation, { title: title.trim() || null });
  },
  pin: (conversation) => change(conversation, { pinned: !conversation.pinned }),
  archive: (conversation) => change(conversation, { archived: !conversation.archived }),
  markdown: (conversation) => download(conversation, "markdown"),
  json: (conversation) => download(conversation, "json"),
  async delete(conversation) {
    const text = `“${conversation.title ?? "New chat"}” and all its messages will be deleted. This cannot be undone.`;
    if ((await inDialog({ title: "Delete this conversation?", text, yes: "Delete", danger: true })) === null) return;
    await call("DELETE", `/conversations/${conversation.id}`);
    list.remove(conversation.id);
    if (now.conversation?.id === conversation.id) await visit(null);
    say("Deleted");
  },
};

async function change(conversation, members) {
  changed(await call("PATCH", `/conversations/${conversation.id}`, members));
  say("Saved");
}

async function download(conversation, format) {
  const answer = await open("GET", `/conversations/${conversation.id}/export${query({ format })}`);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = answer.headers.get("Content-Disposition").match(/filename="([^"]+)"/)[1];
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  say("Downloaded");
}

/** What was entered, or an empty text where nothing is asked for; null when it was cancelled. */
function inDialog({ title, text = "", value, yes, danger = false }) {
  const dialog = at("dialog");
  at("dialog-title").textContent = title;
  at("dialog-text").textContent = text;
  at("dialog-text").hidden = !text;
  at("dialog-field").hidden = value === undefined;
  at("dialog-value").value = value ?? "";
  at("dialog-yes").textContent = yes;
  at("dialog-yes").classList.toggle("danger", danger);
  dialog.returnValue = "no";
  dialog.showModal();
  if (value !== undefined) at("dialog-value").select();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes" ? at("dialog-value").value : null), { once: true });
  });
}

// ---- Models, and what is left of the day ----

async function loadModels() {
  now.models = await call("GET", "/chat/models");
  const choices = [];
  const aliases = new Map();
  for (const model of now.models.models) {
    for (const alias of model.aliases) aliases.set(alias, aliases.get(alias) || model.allowed);
  }
  const usual = now.models.default_model;
  if (!aliases.has(usual) && !now.models.models.some((each) => each.id === usual)) aliases.set(usual, true);
  choices.push(group("By kind", [...aliases].map(([alias, allowed]) => option(alias, capital(alias), allowed))));
  for (const provider of new Set(now.models.models.map((each) => each.provider))) {
    const its = now.models.models.filter((each) => each.provider === provider);
    choices.push(
      group(capital(provider), its.map((each) => option(each.id, each.allowed ? each.id : `${each.id} (${each.lowest_tier} and above)`, each.allowed))),
    );
  }
  at("model").replaceChildren(...choices);
  at("model").hidden = false;
  chooseModel();
}

function option(value, text, allowed) {
  return Object.assign(document.createElement("option"), { value, textContent: text, disabled: !allowed });
}

function group(label, options) {
  const made = Object.assign(document.createElement("optgroup"), { label });
  made.append(...options);
  return made;
}

function capital(text) {
  return text === "openai" ? "OpenAI" : text.charAt(0).toUpperCase() + text.slice(1);
}

function chooseModel() {
  if (now.models === null) return;
  const wanted = now.conversation === null ? now.wantedModel : now.conversation.model;
  at("model").value = wanted ?? now.models.default_model;
}

/** Undefined: the conversation or the service says. */
function chosenModel() {
  return now.conversation === null ? now.wantedModel : undefined;
}

at("model").addEventListener("change", () => {
  const chosen = at("model").value;
  const model = chosen === now.models.default_model ? null : chosen;
  if (now.conversation === null) now.wantedModel = model ?? undefined;
  else tried(() => change(now.conversation, { model }));
});

async function loadUsage() {
  const usage = await call("GET", "/chat/usage");
  for (const name of ["messages", "tokens"]) {
    const { limit, left } = usage[name];
    const bar = at(`${name}-left`);
    bar.hidden = limit === null;
    bar.max = limit ?? 1;
    bar.value = left ?? 1;
    bar.classList.toggle("low", limit !== null && left * 10 < limit);
    at(`${name}-text`).textContent = limit === null ? "no limit" : `${number(left)} of ${number(limit)} left`;
  }
  const unlimited = usage.messages.limit === null && usage.tokens.limit === null;
  at("resets").textContent = unlimited ? "" : `Resets at ${clock(usage.resets_at)}.`;
  at("plan").textContent = `${capital(usage.tier)} plan`;
  at("usage").hidden = false;
}

function number(value) {
  return value.toLocaleString("en");
}

function clock(moment) {
  return new Date(moment).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

// ---- Problems ----

async function tried(work) {
  try {
    return await work();
  } catch (error) {
    return complain(error);
  }
}

function complain(error, retry) {
  if (error.name === "AbortError") return;
  if (error instanceof SignedOut) {
    problem("Your session has ended.", [["Sign in again", () => location.reload()]]);
  } else if (error instanceof ConnectionLost) {
    problem("The service cannot be reached. Check your connection.", [["Try again", retry ?? (() => location.reload())]]);
  } else if (error instanceof Refused) {
    const wait = waitOf(error);
    const fields = (error.problem.errors ?? []).map((each) => each.message).join(". ");
    problem(`${error.message}.${wait}${fields && ` ${fields}.`}`, retry ? [["Try again", retry]] : [], OF_PLANS.has(error.code));
  } else {
    problem("Something went wrong on this page.", [["Reload the page", () => location.reload()]]);
    throw error;
  }
}

/** A limit of the day ends with the day, and the others in a moment. */
function waitOf({ problem: { "violated-policies": violated = [], reset_at: resetAt }, retryAfter }) {
  if (resetAt && violated.some((each) => each === "day" || each === "tokens")) return ` You can send again at ${clock(resetAt)}.`;
  if (retryAfter === null || retryAfter > 3600) return "";
  return retryAfter === 1 ? " Try again in a second." : ` Try again in ${retryAfter} seconds.`;
}

/** `ways`: buttons, each with what it does. `ofPlan`: another plan would allow it. */
function problem(words, ways = [], ofPlan = false) {
  const place = at("problem");
  const text = document.createElement("p");
  text.textContent = words.replace(/\.\.+/g, ".");
  const buttons = ways.map(([label, act]) => {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "plain small", textContent: label });
    button.addEventListener("click", () => {
      hideProblem();
      act();
    });
    return button;
  });
  const hint = ofPlan ? [Object.assign(document.createElement("a"), { href: "/portal", textContent: "See what your plan allows" })] : [];
  const close = Object.assign(document.createElement("button"), { type: "button", className: "plain small", textContent: "Close" });
  close.addEventListener("click", hideProblem);
  place.replaceChildren(text, ...hint, ...buttons, close);
  place.hidden = false;
}

function hideProblem() {
  at("problem").hidden = true;
}

function say(words) {
  at("said").textContent = words;
}

// ---- The page itself ----

function toEnd() {
  scroller.scrollTop = scroller.scrollHeight;
  staysAtEnd = true;
  at("latest").hidden = true;
}

scroller.addEventListener(
  "scroll",
  () => {
    const below = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
    staysAtEnd = below < NEAR_END;
    at("latest").hidden = below < FAR_FROM_END;
  },
  { passive: true },
);
// Text comes, a keyboard opens, a phone is turned.
const sizes = new ResizeObserver(() => staysAtEnd && toEnd());
sizes.observe(scroller);
sizes.observe(log);
at("latest").addEventListener("click", () => {
  toEnd();
  scroller.focus();
});
at("older").addEventListener("click", () => tried(loadOlder));
at("welcome").addEventListener("click", (event) => {
  const idea = event.target.closest("button");
  if (!idea) return;
  content.value = idea.textContent;
  content.focus();
});

function keepDraft() {
  const id = now.conversation?.id ?? null;
  if (content.value.trim()) now.drafts.set(id, content.value);
  else now.drafts.delete(id);
}

function openChats() {
  at("chat").classList.add("shows-chats");
  at("scrim").hidden = false;
  at("open-chats").setAttribute("aria-expanded", "true");
  at("new-chat").focus();
}

function closeChats() {
  if (!at("chat").classList.contains("shows-chats")) return;
  at("chat").classList.remove("shows-chats");
  at("scrim").hidden = true;
  at("open-chats").setAttribute("aria-expanded", "false");
  at("open-chats").focus();
}

at("open-chats").addEventListener("click", openChats);
at("close-chats").addEventListener("click", closeChats);
at("scrim").addEventListener("click", closeChats);
addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  closeActions();
  closeChats();
});
addEventListener("click", (event) => {
  if (!at("actions").contains(event.target)) at("actions").open = false;
});
addEventListener("popstate", () => {
  const [, id] = location.pathname.match(/^\/portal\/chat\/([0-9a-f-]{36})$/) ?? [];
  visit(id ?? null, { goesThere: false });
});
