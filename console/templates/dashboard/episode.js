// Plays an episode: pictures from the store, numbers and cursor as the server has drawn them.
"use strict";

const played = JSON.parse(document.getElementById("played").textContent);
const slider = document.getElementById("place");
const playing = document.getElementById("play");
const pictures = document.querySelectorAll("img[data-replay]");
let place = 0;
let clock = null;

function url(at, picture) {
  return `/frame/${at.frame}`.replace(/(\/final)?$/, `/${picture.dataset.replay}$1`);
}

function go(to) {
  place = Math.min(Math.max(0, to), played.places.length - 1);
  const at = played.places[place];
  for (const picture of pictures) picture.src = url(at, picture);
  document.getElementById("numbers").innerHTML = at.numbers;
  document.getElementById("cursor").innerHTML = at.cursor;
  slider.value = place;
  const ahead = played.places[place + 1];
  if (ahead) for (const picture of pictures) new Image().src = url(ahead, picture);
  else stop();
}

function stop() {
  clearInterval(clock);
  clock = null;
  playing.textContent = "play";
}

function toggle() {
  if (clock) return stop();
  if (place === played.places.length - 1) go(0);
  clock = setInterval(() => go(place + 1), 1000 / played.hz);
  playing.textContent = "pause";
}

function step(by) {
  stop();
  go(place + by);
}

playing.addEventListener("click", () => { toggle(); playing.blur(); });
slider.addEventListener("input", () => { stop(); go(Number(slider.value)); });
for (const button of document.querySelectorAll("[data-step]")) {
  button.addEventListener("click", () => { step(Number(button.dataset.step)); button.blur(); });
}
document.addEventListener("keydown", (event) => {
  if (event.target === slider) return;
  if (event.key === " ") { event.preventDefault(); if (!event.repeat) toggle(); }
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});
go(0);
