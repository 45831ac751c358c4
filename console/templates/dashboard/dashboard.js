// Keeps a page up to date: the dashboard tells which parts have changed, and which step is the newest.
"use strict";

const SILENT_MS = 6000; // it speaks every two seconds at least

const lost = document.getElementById("lost");
let heard = Date.now();

function show(told) {
  for (const [name, html] of Object.entries(told.parts || {})) {
    for (const place of document.querySelectorAll(`[data-part="${name}"]`)) place.innerHTML = html;
  }
  if (told.cursor) {
    for (const picture of document.querySelectorAll("img[data-camera]")) {
      // On a slow link the next picture waits for this one: no queue grows.
      if (picture.complete) picture.src = `/frame/${told.cursor}/${picture.dataset.camera}`;
    }
  }
}

function follow() {
  const events = new EventSource(`/changes?since=${encodeURIComponent(document.body.dataset.since)}`);
  events.onmessage = (event) => {
    heard = Date.now();
    lost.hidden = true;
    show(JSON.parse(event.data));
  };
  events.onerror = () => {
    lost.hidden = false;
    if (events.readyState === EventSource.CLOSED) setTimeout(follow, 1000);
  };
}

async function post(button) {
  const question = button.dataset.ask;
  if (question && !window.confirm(question)) return;
  const told = document.getElementById("told");
  button.disabled = true;
  try {
    const answer = await fetch(button.dataset.post, { method: "POST" });
    const words = await answer.text();
    if (answer.ok && button.dataset.then) {
      sessionStorage.setItem("told", words); // what came of it is read on the page that follows
      window.location = button.dataset.then;
      return;
    }
    told.textContent = words;
    told.className = answer.ok ? "soft" : "bad";
  } catch (error) {
    told.textContent = `not sent: ${error.message}`;
    told.className = "bad";
  } finally {
    button.disabled = false;
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-post]");
  if (button) post(button);
});
const words = sessionStorage.getItem("told");
if (words) {
  sessionStorage.removeItem("told");
  document.getElementById("told").textContent = words;
}
if (document.body.dataset.since) {
  follow();
  setInterval(() => { if (Date.now() - heard > SILENT_MS) lost.hidden = false; }, 1000);
}
