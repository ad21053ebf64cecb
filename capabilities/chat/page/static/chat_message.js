// One message as an element of the page. Only HTML that the server made of a reply becomes markup; everything else is text.
const policy = window.trustedTypes?.createPolicy("chat-markdown", { createHTML: (html) => html }) ?? { createHTML: (html) => html };

const ENDS = {
  length: "The reply reached the longest length that your plan or the model allows.",
  content_filter: "The provider ended this reply.",
};

export function copyOf(id) {
  return document.getElementById(id).content.firstElementChild.cloneNode(true);
}

export function messageElement(message) {
  const element = copyOf("a-message");
  for (const other of element.querySelectorAll(message.role === "user" ? ".of-reply" : ".of-user")) other.remove();
  element.classList.add(message.role);
  element.querySelector(".who").textContent = message.role === "user" ? "You wrote:" : "The reply:";
  show(element, message);
  return element;
}

export function isRunning(message) {
  return message.state === "pending" || message.state === "streaming";
}

/** Brings the element to what the message says now. */
export function show(element, message) {
  element.id = message.id ? `message-${message.id}` : "";
  const content = element.querySelector(".content");
  content.classList.toggle("plain-text", !message.html);
  if (message.html) {
    content.innerHTML = policy.createHTML(message.html);
    for (const code of content.querySelectorAll("pre")) frameCode(code);
    for (const table of content.querySelectorAll("table")) frameTable(table);
  } else {
    content.textContent = message.content;
  }
  const running = isRunning(message);
  element.classList.toggle("running", running);
  element.classList.toggle("failed", message.state === "failed");
  element.classList.toggle("empty-reply", !message.content);
  element.classList.toggle("waiting", running && !message.content);
  content.setAttribute("aria-busy", String(running));
  showState(element, stateOf(message), message.state === "failed");
  showVersions(element, message);
  for (const [act, value] of [["good", 1], ["bad", -1]]) {
    element.querySelector(`[data-act=${act}]`)?.setAttribute("aria-pressed", String(message.rating === value));
  }
  element.querySelector(".by").textContent = running ? "" : byline(message);
  element.querySelector(".acts").hidden = running || !message.id;
}

export function showState(element, words, bad = false) {
  const state = element.querySelector(".state");
  state.hidden = !words;
  state.textContent = words ?? "";
  state.classList.toggle("bad", bad);
}

function stateOf(message) {
  if (message.state === "failed") return `${message.failure ?? "The reply failed"}. It was not counted.`;
  if (message.state === "stopped") return "Stopped.";
  return ENDS[message.finish_reason];
}

function byline(message) {
  const edited = message.edited_at ? "edited" : "";
  if (message.role === "user") return edited;
  const tokens = message.usage ? `${message.usage.output_tokens.toLocaleString("en")} tokens` : "";
  return [message.model, tokens].filter(Boolean).join(" · ");
}

function showVersions(element, message) {
  const versions = element.querySelector(".versions");
  const at = message.sibling_ids.indexOf(message.id);
  versions.hidden = message.sibling_ids.length < 2 || at < 0;
  versions.querySelector(".number").textContent = `${at + 1}/${message.sibling_ids.length}`;
  versions.querySelector("[data-act=previous]").disabled = at <= 0;
  versions.querySelector("[data-act=next]").disabled = at >= message.sibling_ids.length - 1;
}

function frameCode(pre) {
  const frame = copyOf("a-code");
  const language = pre.querySelector("code")?.className.replace("language-", "");
  frame.querySelector("span").textContent = language || "code";
  pre.replaceWith(frame);
  pre.tabIndex = 0; // it may scroll, and keys scroll what has the focus
  frame.append(pre);
}

function frameTable(table) {
  const frame = document.createElement("div");
  frame.className = "wide-table";
  frame.tabIndex = 0;
  table.replaceWith(frame);
  frame.append(table);
}
