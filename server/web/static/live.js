// Dialogs open and close; rows that changed in the database are put in place of the old ones.
"use strict";

for (const button of document.querySelectorAll("[data-opens]")) {
  button.addEventListener("click", () => document.getElementById(button.dataset.opens).showModal());
}
for (const button of document.querySelectorAll("[data-closes]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
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
    const notice = document.querySelector("[data-changed]");
    if (notice) notice.hidden = false;
  });
  source.addEventListener("alert", () => {
    document.querySelector("[data-changed]").hidden = false;
  });
}
