"use strict";
for (const pair of document.querySelectorAll("[data-pair]")) {
  const slider = pair.nextElementSibling;
  const move = () => pair.style.setProperty("--left", slider.value + "%");
  slider.addEventListener("input", move);
  pair.addEventListener("pointermove", event => {
    if (event.pointerType === "mouse" && event.buttons !== 1) return;
    const box = pair.getBoundingClientRect();
    slider.value = Math.round(100 * (event.clientX - box.left) / box.width);
    move();
  });
  move();
}
const button = document.getElementById("theme"), root = document.documentElement;
const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
const name = () => { button.textContent = dark() ? "Light theme" : "Dark theme"; };
button.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; name(); });
button.hidden = false;
name();
