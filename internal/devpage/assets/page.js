// The page works without this. With it, the inbox is live, the wait counts down, and a code is copied by a press.
"use strict";

const summary = document.getElementById("summary");
if (summary) summary.focus();
else document.querySelector("main > form input")?.focus();

const wait = document.getElementById("wait");
if (wait && !wait.hidden) {
  const due = Date.parse(wait.dataset.until);
  const words = wait.querySelector("span");
  const button = wait.parentElement.querySelector("button");
  const step = () => {
    const left = Math.ceil((due - Date.now()) / 1000);
    wait.hidden = left <= 0;
    button.hidden = left > 0;
    if (left <= 0) return clearInterval(timer);
    words.textContent = "in " + left + (left === 1 ? " second" : " seconds");
  };
  const timer = setInterval(step, 1000);
  step();
}
