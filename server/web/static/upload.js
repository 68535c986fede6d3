// Forms that speak to the HTTP API: small ones as JSON, pictures whole, videos in parts; and jobs under way.
"use strict";

const token = document.querySelector('meta[name="csrf-token"]').content;

async function call(method, address, body, headers = {}) {
  const answer = await fetch(address, { method, body, headers: { "X-CSRF-Token": token, ...headers } });
  const is_json = /json/.test(answer.headers.get("content-type") || "");
  const said = is_json ? await answer.json() : null;
  if (!answer.ok) throw new Error((said && (said.detail || said.title)) || `${answer.status} ${answer.statusText}`);
  return said;
}

const asJson = { "Content-Type": "application/json" };

function handle(form, work) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const said = form.querySelector("[data-said]");
    const button = form.querySelector("button");
    const progress = form.querySelector("progress");
    button.disabled = true;
    said.hidden = true;
    if (progress) progress.hidden = false;
    try {
      location.assign(await work(new FormData(form), progress));
    } catch (error) {
      said.textContent = error.message;
      said.className = "problem";
      said.hidden = false;
      button.disabled = false;
      if (progress) progress.hidden = true;
    }
  });
}

for (const form of document.querySelectorAll("[data-api]")) {
  handle(form, async (fields) => {
    const [method, address] = form.dataset.api.split(" ");
    await call(method, address, JSON.stringify(Object.fromEntries(fields)), asJson);
    return location.href;
  });
}
for (const form of document.querySelectorAll("[data-upload-image]")) {
  handle(form, async (fields) => {
    await call("POST", form.dataset.uploadImage, fields);
    return location.href;
  });
}
for (const form of document.querySelectorAll("[data-upload-video]")) {
  handle(form, async (fields, progress) => {
    const file = fields.get("file");
    const wanted = { pin_id: fields.get("pin_id"), filename: file.name, size_bytes: file.size };
    if (fields.get("recorded_at")) wanted.recorded_at = new Date(fields.get("recorded_at")).toISOString();
    if (fields.get("operator_notes")) wanted.operator_notes = fields.get("operator_notes");
    const upload = await call("POST", `${form.dataset.uploadVideo}/uploads`, JSON.stringify(wanted), asJson);
    for (const part of upload.parts) {
      const bytes = file.slice(part.offset_bytes, part.offset_bytes + part.size_bytes);
      await call("PUT", part.url, bytes, { "Content-Type": "application/octet-stream" });
      progress.value = (part.offset_bytes + part.size_bytes) / file.size;
    }
    await call("POST", `${form.dataset.uploadVideo}/${upload.video_id}/upload/complete`, "{}", asJson);
    return `/videos/${upload.video_id}`;
  });
}

const jobs = document.querySelector("[data-jobs]");
if (jobs) {
  const timer = setInterval(async () => {
    const rows = await call("GET", jobs.dataset.jobs);
    for (const job of rows) {
      const state = document.querySelector(`#job-${job.id} [data-status] .state`);
      if (state) state.textContent = job.status;
    }
    if (rows.every((job) => !["pending", "running"].includes(job.status))) {
      clearInterval(timer);
      location.reload();
    }
  }, 2000);
}
