// The list of conversations, and what a search finds.
import { call, query } from "./chat_api.js";
import { copyOf } from "./chat_message.js";

const AT_ONCE = 30;
const LEAST_LETTERS = 2;
const TYPING_MS = 350;
const at = (id) => document.getElementById(id);

/** `open(conversationId, messageId)` is called for what is chosen, `failed(error)` when a list cannot be had. */
export class Conversations {
  constructor({ open, failed }) {
    Object.assign(this, { open, failed, archived: false, current: null, next: null, nextFound: null, asked: 0 });
    this.known = new Map();
    at("more-chats").addEventListener("click", () => this.#tried(() => this.#more()));
    at("more-found").addEventListener("click", () => this.#tried(() => this.#moreFound()));
    at("show-archived").addEventListener("click", () => this.#switch());
    at("search").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#search();
    });
    at("words").addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.#search(), TYPING_MS);
    });
    at("lists").addEventListener("click", (event) => {
      const link = event.target.closest("a");
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      this.open(link.dataset.conversation, link.dataset.message);
    });
  }

  async load() {
    const asked = (this.asked += 1);
    const { archived } = this;
    const [pinned, recent] = await Promise.all(
      archived
        ? [{ conversations: [] }, this.#page({ archived: true })]
        : [this.#page({ pinned: true, limit: 200 }), this.#page({ pinned: false })],
    );
    if (asked !== this.asked) return;
    this.next = recent.next_cursor;
    this.known.clear();
    this.#fill("pinned", pinned.conversations);
    this.#fill("recent", recent.conversations);
    this.#headings();
  }

  /** It is new, or something about it changed. `newest`: it has a new message, so it stands first. */
  put(conversation, newest = false) {
    const before = this.known.get(conversation.id);
    this.known.set(conversation.id, conversation);
    const list = conversation.archived === this.archived ? (conversation.pinned && !this.archived ? "pinned" : "recent") : null;
    const link = this.#link(conversation.id);
    if (list !== null && link && !newest && before?.pinned === conversation.pinned) {
      this.#write(link, conversation);
    } else {
      link?.closest("li").remove();
      if (list !== null) at(list).prepend(this.#item(conversation));
    }
    this.#headings();
  }

  remove(id) {
    this.known.delete(id);
    this.#link(id)?.closest("li").remove();
    this.#headings();
  }

  /** Marks the one that is shown. */
  mark(id) {
    this.current = id;
    for (const link of at("lists").querySelectorAll("a")) this.#markOne(link);
  }

  async #switch() {
    this.archived = !this.archived;
    at("show-archived").setAttribute("aria-pressed", String(this.archived));
    await this.#tried(() => this.load());
  }

  #page(wanted) {
    return call("GET", `/conversations${query({ limit: AT_ONCE, ...wanted })}`);
  }

  async #more() {
    const wanted = this.archived ? { archived: true } : { pinned: false };
    const page = await this.#page({ ...wanted, cursor: this.next });
    this.next = page.next_cursor;
    at("recent").append(...page.conversations.filter((each) => !this.known.has(each.id)).map((each) => this.#noted(each)));
    this.#headings();
  }

  async #search() {
    clearTimeout(this.typing);
    const words = at("words").value.trim();
    this.words = words;
    const searching = words.length >= LEAST_LETTERS;
    at("found").hidden = !searching;
    at("kept").hidden = searching;
    if (!searching) return;
    await this.#tried(async () => {
      const page = await call("GET", `/chat/search${query({ q: words, limit: AT_ONCE })}`);
      if (words !== this.words) return;
      at("found").querySelector("ol").replaceChildren(...page.messages.map((each) => this.#found(each)));
      this.#foundUpTo(page);
      at("found-heading").textContent = page.messages.length ? "Found" : "No message has these words";
      at("said").textContent = page.messages.length ? `${page.messages.length} messages found` : "Nothing found";
    });
  }

  async #moreFound() {
    const page = await call("GET", `/chat/search${query({ q: this.words, limit: AT_ONCE, cursor: this.nextFound })}`);
    at("found").querySelector("ol").append(...page.messages.map((each) => this.#found(each)));
    this.#foundUpTo(page);
  }

  #foundUpTo(page) {
    this.nextFound = page.next_cursor;
    at("more-found").hidden = this.nextFound === null;
  }

  #found(message) {
    const item = document.createElement("li");
    const link = document.createElement("a");
    const title = document.createElement("b");
    const snippet = document.createElement("span");
    link.href = `/portal/chat/${message.conversation.id}`;
    link.dataset.conversation = message.conversation.id;
    link.dataset.message = message.id;
    title.textContent = message.conversation.title;
    for (const part of message.snippet) {
      const piece = document.createElement(part.match ? "mark" : "span");
      piece.textContent = part.text;
      snippet.append(piece);
    }
    link.append(title, snippet);
    item.append(link);
    return item;
  }

  #fill(list, conversations) {
    at(list).replaceChildren(...conversations.map((each) => this.#noted(each)));
  }

  #noted(conversation) {
    this.known.set(conversation.id, conversation);
    return this.#item(conversation);
  }

  #item(conversation) {
    const item = copyOf("a-chat");
    this.#write(item.querySelector("a"), conversation);
    return item;
  }

  #write(link, conversation) {
    link.href = `/portal/chat/${conversation.id}`;
    link.dataset.conversation = conversation.id;
    link.title = conversation.title ?? "";
    link.querySelector("span").textContent = conversation.title ?? "New chat";
    link.querySelector("svg").classList.toggle("unseen", !conversation.pinned);
    this.#markOne(link);
  }

  #markOne(link) {
    if (link.dataset.conversation === this.current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }

  #link(id) {
    return at("kept").querySelector(`a[data-conversation="${id}"]`);
  }

  #headings() {
    const none = !at("recent").children.length && !at("pinned").children.length;
    at("pinned-heading").hidden = !at("pinned").children.length;
    at("recent-heading").textContent = this.archived ? "Archived" : "Recent";
    at("recent-heading").hidden = none && !this.archived;
    at("no-chats").hidden = !none;
    at("no-chats").textContent = this.archived ? "Nothing is archived." : "Your conversations will be listed here.";
    at("more-chats").hidden = !this.next;
  }

  async #tried(work) {
    try {
      await work();
    } catch (error) {
      this.failed(error);
    }
  }
}
