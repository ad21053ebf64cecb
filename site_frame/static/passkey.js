"use strict";
// Fills in the form's passkey and sends the form. Where there is no passkey to be had, the button stays hidden.
for (const place of document.querySelectorAll(".passkey")) {
  const button = place.querySelector("button");
  const form = button.form;
  place.hidden = !window.PublicKeyCredential?.parseRequestOptionsFromJSON;
  button.addEventListener("click", async () => {
    if (form.elements.password?.reportValidity() === false) return;
    place.querySelector(".error").textContent = "";
    try {
      const token = form.elements.csrf_token?.value ?? "";
      const answer = await fetch(button.dataset.options, { method: "POST", body: new URLSearchParams({ csrf_token: token }) });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const { options } = await answer.json();
      const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
      form.elements.passkey.value = JSON.stringify(await navigator.credentials.get({ publicKey }));
      form.submit();
    } catch {
      place.querySelector(".error").textContent = "That did not work. Try again, or enter a code.";
    }
  });
}
