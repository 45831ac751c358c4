// Sends what a person does, in its order, and shows what the server answers. Where one is stands here: the server may
// die and come back between two keys.
"use strict";

const LABELS = ["p", "n", "u", "x"];
const KEYS = [...LABELS, "z", "h", "s", " ", "Home", "End", "PageUp", "PageDown", "Escape", "ArrowLeft", "ArrowRight"];
const SPEEDS = [[1, "1×"], [0.5, "½×"], [0.25, "¼×"]];
const LOOK_MS = 500; // how often it asks what others have said
const byId = (id) => document.getElementById(id);

let { hand, mark, last, ahead } = JSON.parse(byId("shown").textContent);
let waiting = [];
let asking = false;
let clock = null;
let speed = 0;

const authorPlace = byId("author");
const asksAuthor = authorPlace.tagName === "BUTTON";
if (asksAuthor) authorPlace.textContent = localStorage.getItem("nudge-author") || authorPlace.textContent;

function tell(text, trouble) {
  byId("told").textContent = text;
  byId("told").className = trouble ? "told trouble" : "told";
}

function show(answer) {
  const row = hand.row;
  ({ hand, last, ahead } = answer);
  mark = answer.lists.mark;
  if (answer.told.text) tell(answer.told.text, answer.told.trouble);
  for (const [name, html] of Object.entries(answer.parts)) document.querySelector(`[data-part="${name}"]`).innerHTML = html;
  for (const picture of document.querySelectorAll("img[data-camera]")) {
    const url = answer.pictures[picture.dataset.camera];
    if (picture.getAttribute("src") !== url) picture.src = url;
  }
  byId("cameras").className = `cameras ${answer.label}`;
  for (const [changed, html] of answer.lists.rows) {
    const content = document.querySelector(`#episodes [data-row="${changed}"] .content`);
    if (content) content.innerHTML = html;
  }
  byId("heading").textContent = answer.lists.heading;
  if (answer.lists.hard !== null) byId("hard").innerHTML = answer.lists.hard;
  for (const item of document.querySelectorAll(".item")) item.classList.toggle("here", isHere(item));
  for (const tool of document.querySelectorAll(".tool")) tool.classList.toggle("held", isHeld(tool));
  for (const url of ahead) new Image().src = url;
  if (clock && hand.frame === last) stop();
  if (hand.row !== row) moved();
}

function isHere(item) {
  const inList = item.closest("#episodes");
  return Number(item.dataset.row) === hand.row && (inList || Number(item.dataset.frame) === hand.frame);
}

function isHeld(tool) {
  return hand.holds && tool.classList.contains(hand.held || "clear");
}

function moved() {
  history.replaceState(null, "", `/label/${hand.row}`); // a page that is loaded anew shows this episode
  const back = byId("back");
  if (back) back.href = back.dataset.back + hand.row;
  // Only the list rolls: on a narrow screen it lies below the pictures, and the page must stay where it is.
  const list = byId("episodes");
  const item = list.querySelector(".here");
  if (item && list.scrollHeight > list.clientHeight) list.scrollTop = item.offsetTop - list.clientHeight / 2;
}

function act(done) {
  waiting.push(done);
  if (!asking) ask();
}

// One question at a time keeps the order; what happens meanwhile goes with the next one.
async function ask() {
  asking = true;
  while (waiting.length) {
    const body = JSON.stringify({ hand, mark, author: authorPlace.textContent, acts: waiting.splice(0) });
    try {
      const answer = await fetch("/label/act", { method: "POST", headers: { "Content-Type": "application/json" }, body });
      if (!answer.ok) throw new Error(await answer.text());
      show(await answer.json());
      if (byId("told").dataset.lost) tell("", false);
      delete byId("told").dataset.lost;
    } catch (error) {
      stop();
      hand.holds = false;
      waiting = [];
      byId("told").dataset.lost = "yes";
      tell(`not done: ${error.message}`, true);
    }
  }
  asking = false;
}

function press(key, shift = false) {
  if (key === " ") return toggle();
  if (key === "s") return changeSpeed();
  if (!LABELS.includes(key)) stop();
  act({ do: key, shift });
}

function release() {
  act({ do: "release" });
}

function stop() {
  clearInterval(clock);
  clock = null;
  byId("play").textContent = "play";
}

function toggle() {
  if (clock) return stop();
  if (hand.frame === last) act({ do: "Home" });
  run();
  byId("play").textContent = "stop";
}

function run() {
  clearInterval(clock);
  const hz = Number(document.querySelector(".lp").dataset.hz) * SPEEDS[speed][0];
  clock = setInterval(() => { if (!asking) act({ do: "pass" }); }, 1000 / hz); // a slow link slows the film down
}

function changeSpeed() {
  speed = (speed + 1) % SPEEDS.length;
  byId("speed").textContent = SPEEDS[speed][1];
  if (clock) run();
}

const named = (event) => (event.key.length === 1 ? event.key.toLowerCase() : event.key);

// Keys go to the page wherever the focus is, and never scroll it. What is held is let go of when the window loses the
// focus: its keyup would go elsewhere.
document.addEventListener("keydown", (event) => {
  const key = named(event);
  if (event.ctrlKey || event.metaKey || event.altKey || !KEYS.includes(key)) return;
  event.preventDefault();
  if (!event.repeat || key.startsWith("Arrow")) press(key, event.shiftKey);
});
document.addEventListener("keyup", (event) => { if (LABELS.includes(named(event))) release(); });
window.addEventListener("blur", () => { if (hand.holds || asking) release(); });

document.addEventListener("click", (event) => {
  const item = event.target.closest(".item");
  const tool = event.target.closest(".tool");
  if (item) { stop(); act({ do: "open", row: Number(item.dataset.row), frame: Number(item.dataset.frame) }); }
  if (tool && !LABELS.includes(tool.dataset.key)) press(tool.dataset.key);
  if (event.target === authorPlace && asksAuthor) askAuthor();
});
for (const tool of document.querySelectorAll(".tool")) {
  if (!LABELS.includes(tool.dataset.key)) continue; // these label as long as they are held, as their keys do
  tool.addEventListener("pointerdown", () => press(tool.dataset.key));
  for (const end of ["pointerup", "pointerleave", "pointercancel"]) {
    tool.addEventListener(end, () => { if (hand.holds || asking) release(); });
  }
}

const timeline = byId("timeline");
function point(event) {
  const down = event.type === "pointerdown";
  if (!down && !event.buttons) return;
  const box = timeline.getBoundingClientRect();
  const at = Math.min(Math.max(0, (event.clientX - box.left) / box.width), 1);
  stop();
  act({ do: "point", at, shift: !down || event.shiftKey });
}
timeline.addEventListener("pointerdown", point);
timeline.addEventListener("pointermove", point);

function askAuthor() {
  const name = (window.prompt("Who labels here?", authorPlace.textContent) || "").trim();
  if (!name) return;
  authorPlace.textContent = name;
  localStorage.setItem("nudge-author", name);
}

moved();
for (const url of ahead) new Image().src = url;
setInterval(() => { if (!document.hidden && !asking) act({ do: "look" }); }, LOOK_MS);
