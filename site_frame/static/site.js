"use strict";
// On a phone the navigation is one line that scrolls: the entry of this page is brought into view.
document.querySelector("nav [aria-current=page]")?.scrollIntoView({ inline: "center", block: "nearest" });
