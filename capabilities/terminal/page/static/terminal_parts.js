// What all parts of the page use.
export function at(id) {
  return document.getElementById(id);
}

/** To those who do not see the page. */
export function say(text) {
  at("said").textContent = text;
}

/** Whether it was answered with yes; null when nobody waits for the answer any more. */
export function asked(dialog) {
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve({ yes: true, no: false }[dialog.returnValue] ?? null), { once: true });
  });
}

export function takeBackQuestions() {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close("gone");
}

export function isSure(title, text, yes) {
  at("sure-heading").textContent = title;
  at("sure-text").textContent = text;
  at("sure-yes").textContent = yes;
  return asked(at("sure"));
}
