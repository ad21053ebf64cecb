"use strict";
// A solve takes some seconds, and pressing twice would wait twice.
const form = document.querySelector("form.try");
form.addEventListener("submit", () => {
  form.querySelector("button").disabled = true;
  form.querySelector("[role=status]").textContent = "Solving the picture…";
});
// The browser may show the page as it was left, when somebody comes back.
window.addEventListener("pageshow", () => {
  form.querySelector("button").disabled = false;
  form.querySelector("[role=status]").textContent = "";
});
