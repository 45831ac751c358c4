// Keys go to the page wherever the focus is, and never scroll it. What is held is let go of when the window loses the
// focus: its keyup would go elsewhere.
(() => {
  const once = ["p", "n", "u", "x", "z", "h", " ", "s", "Home", "End", "PageUp", "PageDown", "Escape"];
  const again = ["ArrowLeft", "ArrowRight"];
  const named = (event) => (event.key.length === 1 ? event.key.toLowerCase() : event.key);
  document.addEventListener("keydown", (event) => {
    if (!window.did_handshake) return; // keys that wait for the connection could change places
    const key = named(event);
    if (event.ctrlKey || event.metaKey || event.altKey || !(once.includes(key) || again.includes(key))) return;
    event.preventDefault();
    if (!event.repeat || again.includes(key)) emitEvent("label_key", { key, shift: event.shiftKey });
  });
  document.addEventListener("keyup", (event) => {
    if (["p", "n", "u", "x"].includes(named(event))) emitEvent("label_release", {});
  });
  window.addEventListener("blur", () => emitEvent("label_release", {}));
})();
