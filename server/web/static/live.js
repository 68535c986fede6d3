// Dialogs open and close; what changed in the database is put in place of what the page showed.
"use strict";

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) document.getElementById(opener.dataset.opens).showModal();
  const closer = event.target.closest("[data-closes]");
  if (closer) closer.closest("dialog").close();
});

// The page as it is now; whoever types, chooses or reads with a screen reader in it is told instead, and left alone.
async function showAgain() {
  const main = document.querySelector("main");
  const isWritten = (field) => field.value !== field.defaultValue;
  const isBusy = () =>
    main.contains(document.activeElement) ||
    main.querySelector("dialog[open], details[open]") ||
    [...main.querySelectorAll("input, textarea")].some(isWritten);
  const notice = document.querySelector("[data-changed]");
  if (!isBusy()) {
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
      if (answer.ok && !answer.redirected && page && !isBusy()) {
        main.replaceChildren(...page.childNodes);
        return;
      }
    } catch {
      // the server is away: the notice stays true
    }
  }
  if (notice) notice.hidden = false;
}

const live = document.querySelector("[data-live]");
if (live) {
  const source = new EventSource(live.dataset.live);
  source.addEventListener("device", (event) => {
    const change = JSON.parse(event.data);
    const row = document.getElementById(`device-${change.id}`);
    if (row) {
      const focused = row.contains(document.activeElement);
      row.outerHTML = change.row;
      if (focused) document.querySelector(`#device-${change.id} a`).focus();
      return;
    }
    for (const name of ["pending", "failed"]) {
      const count = document.querySelector(`[data-count="${name}"]`);
      if (!count) continue;
      count.textContent = change[name];
      count.parentElement.classList.toggle("zero", change[name] === 0);
    }
    showAgain();
  });
  source.addEventListener("alert", showAgain);
}
