// What a user has: servers, keys, host keys that were accepted, and sessions that go on.
import { Refused, call } from "./terminal_api.js";
import { at, isSure, say } from "./terminal_parts.js";

const EVERYTHING = "?limit=200";
const NEEDS_PROOF = "insufficient_user_authentication";
const SIGNS_IN = { password: "by password", key: "by key", keyboard: "by what it asks" };

export class Servers {
  profiles = [];
  #told;
  #keys = [];

  /** `told`: `connect(profile)`, `take(session)`, `failed(error)`. */
  constructor(told) {
    this.#told = told;
    at("add").addEventListener("submit", (event) => this.#submitted(event, "add", () => this.#add()));
    at("make-key").addEventListener("submit", (event) => this.#submitted(event, "key", () => this.#makeKey()));
    at("add-auth").addEventListener("change", () => this.#showKeyField());
  }

  nameOf(session) {
    return session.name ?? this.profiles.find((each) => each.id === session.ssh_profile_id)?.name ?? "Terminal";
  }

  async load() {
    const [profiles, sessions, keys, hosts] = await Promise.all([
      call("GET", `/ssh/profiles${EVERYTHING}`),
      call("GET", `/sessions${EVERYTHING}`),
      call("GET", `/ssh/keys${EVERYTHING}`),
      call("GET", `/ssh/known-hosts${EVERYTHING}`),
    ]);
    this.profiles = profiles.profiles;
    this.#keys = keys.keys;
    this.#showProfiles();
    this.#showRunning(sessions.sessions.filter((each) => each.state === "active" || each.state === "detached"));
    this.#showKeys();
    this.#showHosts(hosts.known_hosts);
  }

  #showProfiles() {
    show("profiles", "no-profiles", this.profiles.map((each) =>
      thing(each.name, `${each.username}@${each.host}${each.port === 22 ? "" : `:${each.port}`}, ${SIGNS_IN[each.auth]}`, [
        ["Connect", "", () => this.#told.connect(each)],
        ["Remove", "small", () => this.#removeProfile(each)],
      ])));
    if (this.profiles.length === 0) at("add-part").open = true;
  }

  #showRunning(sessions) {
    at("running-part").hidden = sessions.length === 0;
    at("running").replaceChildren(...sessions.map((each) =>
      thing(this.nameOf(each), each.state === "active" ? "open in another window or on another device" : `left at ${time(each.detached_at)}`, [
        ["Continue", "", () => this.#told.take(each)],
        ["End", "small", () => this.#changed(() => call("DELETE", `/sessions/${each.id}`))],
      ])));
  }

  #showKeys() {
    show("ssh-keys", "no-keys", this.#keys.map((each) => {
      const made = thing(each.name, each.fingerprint, [
        ["Copy public key", "small", () => copy(each.public_key)],
        ["Delete", "small danger", () => this.#deleteKey(each)],
      ]);
      const line = document.createElement("code");
      line.textContent = each.public_key;
      made.firstElementChild.append(line);
      return made;
    }));
    at("add-key").replaceChildren(...this.#keys.map((each) => new Option(each.name, each.id)));
    this.#showKeyField();
  }

  #showKeyField() {
    const auth = at("add-auth").value;
    at("add-key-field").hidden = auth !== "key" || this.#keys.length === 0;
    at("add-hint").textContent = {
      password: "You are asked for the password when you connect. It is stored nowhere.",
      key: this.#keys.length ? "If the key has a passphrase, you are asked for it when you connect." : "Make a key first, under “SSH keys” below.",
      keyboard: "You answer the server's questions when you connect. Nothing of it is stored.",
    }[auth];
  }

  #showHosts(hosts) {
    show("hosts", "no-hosts", hosts.map((each) =>
      thing(`${each.host}:${each.port}`, `${each.algorithm} ${each.fingerprint}`, [
        ["Remove", "small danger", () => this.#removeHost(each)],
      ])));
  }

  async #submitted(event, form, work) {
    event.preventDefault();
    const button = event.submitter ?? event.target.querySelector("[type=submit]");
    at(`${form}-problem`).hidden = true;
    button.disabled = true;
    try {
      await work();
      event.target.reset();
      await this.load();
    } catch (error) {
      if (error instanceof Refused) wrong(form, error);
      else this.#told.failed(error);
    } finally {
      button.disabled = false;
    }
  }

  async #add() {
    const { port, ssh_key_id: key, ...typed } = Object.fromEntries(new FormData(at("add")));
    const made = await call("POST", "/ssh/profiles", { ...typed, port: Number(port), ...(typed.auth === "key" ? { ssh_key_id: key ?? null } : {}) });
    at("add-part").open = false;
    say(`${made.name} was added`);
  }

  async #makeKey() {
    const made = await call("POST", "/ssh/keys", { name: at("key-name").value, generate: "ed25519" });
    say(`The key ${made.name} was made`);
  }

  async #removeProfile(profile) {
    const text = "Sessions that are open go on. Its SSH key and the host keys that you accepted stay.";
    if (await isSure(`Remove ${profile.name}?`, text, "Remove")) await this.#changed(() => call("DELETE", `/ssh/profiles/${profile.id}`));
  }

  async #deleteKey(key) {
    const text = "It cannot be restored. Remove its public part from your servers as well.";
    if (await isSure(`Delete the key ${key.name}?`, text, "Delete")) await this.#changed(() => call("DELETE", `/ssh/keys/${key.id}`));
  }

  async #removeHost(host) {
    const text = "Do so only if you know why its key changed. The next time you connect, you are shown its key and asked again.";
    if (await isSure(`Remove the host key of ${host.host}?`, text, "Remove")) await this.#changed(() => call("DELETE", `/ssh/known-hosts/${host.id}`));
  }

  async #changed(work) {
    try {
      await work();
      await this.load();
    } catch (error) {
      this.#told.failed(error);
    }
  }
}

function show(list, nothing, things) {
  at(list).replaceChildren(...things);
  at(nothing).hidden = things.length > 0;
}

function thing(name, about, acts) {
  const made = at("a-thing").content.firstElementChild.cloneNode(true);
  made.querySelector("b").textContent = name;
  made.querySelector("span").textContent = about;
  made.querySelector(".thing-acts").append(...acts.map(([text, look, act]) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: text, className: look });
    button.setAttribute("aria-label", `${text}: ${name}`);
    button.addEventListener("click", act);
    return button;
  }));
  return made;
}

function wrong(form, error) {
  const problem = at(`${form}-problem`);
  problem.hidden = false;
  if (error.code === NEEDS_PROOF) {
    const link = Object.assign(document.createElement("a"), { href: "/portal/terminal/confirm", textContent: "Confirm it's you" });
    problem.replaceChildren("To make a key, you must have entered your password a moment ago. ", link, ", then try again.");
  } else {
    const details = (error.problem.errors ?? []).map((each) => `${each.pointer.slice(1)}: ${each.message}`);
    problem.textContent = details.join(". ") || error.message;
  }
}

async function copy(text) {
  await navigator.clipboard.writeText(text);
  say("Copied");
}

function time(moment) {
  return new Date(moment).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}
