"use strict";
// On a phone the navigation is one line that scrolls: the entry of this page is brought to its middle. Not by `scrollIntoView`, after
// which the first Tab would go on from there, past "Skip to content".
const here = document.querySelector("nav [aria-current=page]");
if (here) {
  const line = here.closest("nav");
  const middle = (element) => element.getBoundingClientRect().left + element.clientWidth / 2;
  line.scrollLeft += middle(here) - middle(line);
}
