"use strict";

const form = document.querySelector("form");
const message = document.getElementById("message");
const button = form.querySelector("button");
const token = new URLSearchParams(location.hash.slice(1)).get("token");

function say(text, kind) {
  message.textContent = text;
  message.className = kind;
}

function show() {
  if (token === null && form.dataset.needsToken !== undefined) {
    say("Part of the link is missing. Open the whole link from the e-mail.", "problem");
    return;
  }
  if (token !== null) {
    for (const part of form.querySelectorAll("[data-without-token]")) part.remove();
  }
  form.hidden = false;
}

function filledIn() {
  for (const input of form.querySelectorAll("input[name]")) {
    const missing = input.value.trim() === "";
    input.setAttribute("aria-invalid", String(missing));
    if (missing) {
      say(`Fill in: ${form.querySelector(`label[for="${input.id}"]`).textContent}.`, "problem");
      input.focus();
      return false;
    }
  }
  return true;
}

function body() {
  const sent = token === null ? {} : { token };
  for (const input of form.querySelectorAll("input[name]")) {
    // A password may begin with a space; an address or a code that was pasted may not.
    sent[input.name] = input.type === "password" || input.dataset.secret !== undefined ? input.value : input.value.trim();
  }
  if (sent.code !== undefined) sent.code = sent.code.replace(/\s/g, "");
  return sent;
}

async function explain(answer) {
  let problem = {};
  try {
    problem = await answer.json();
  } catch {
    // Not from the API, but from something in front of it.
  }
  if (problem.error === "token_invalid") return form.dataset.spent;
  if (answer.status === 429) return "Too many tries. Wait a while and try again.";
  if (Array.isArray(problem.errors) && problem.errors.length > 0) return problem.errors[0].message;
  return problem.message || "Something went wrong. Try again in a moment.";
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!filledIn()) return;
  button.disabled = true;
  say("Please wait …", "");
  try {
    const answer = await fetch(form.dataset.postsTo, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body()),
      credentials: "omit",
    });
    if (answer.ok) {
      form.hidden = true;
      // What is spent need not stay in the browser's history.
      history.replaceState(null, "", location.pathname);
      say(form.dataset.done, "done");
      return;
    }
    say(await explain(answer), "problem");
  } catch {
    say("We cannot reach the service. Check your internet connection.", "problem");
  } finally {
    button.disabled = false;
  }
});

for (const box of form.querySelectorAll("[data-shows]")) {
  const input = document.getElementById(box.dataset.shows);
  input.dataset.secret = "";
  box.addEventListener("change", () => {
    input.type = box.checked ? "text" : "password";
  });
}

show();
