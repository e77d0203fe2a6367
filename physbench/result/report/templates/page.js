"use strict";
/* Players: all moments of a clip lie below each other in one picture; a canvas shows one of them. */
const hold = document.getElementById("hold");
const still = matchMedia("(prefers-reduced-motion: reduce)");
const players = [...document.querySelectorAll(".player")].map((figure) => {
  const find = (name) => figure.querySelector(name);
  const canvas = find("canvas"), range = find("input"), toggle = find(".toggle"), now = find("output");
  const times = figure.dataset.times.split(" ").map(Number);
  const breaks = figure.dataset.breaks ? figure.dataset.breaks.split(" ").map(Number) : [];
  const last = times.length - 1, pace = times.length > 1 ? 1000 * (times[1] - times[0]) : 100;
  let sheet = null, timer = 0, touched = false;
  const draw = () => {
    const at = Number(range.value);
    range.setAttribute("aria-valuetext", now.value = times[at].toFixed(2) + " s");
    if (sheet && sheet.complete) {
      canvas.getContext("2d").drawImage(sheet, 0, at * canvas.height, canvas.width, canvas.height, 0, 0, canvas.width, canvas.height);
    }
  };
  const load = () => {
    if (!sheet) { sheet = new Image(); sheet.onload = draw; sheet.src = figure.dataset.sheet; }
  };
  const show = (at) => { range.value = Math.min(Math.max(at, 0), last); draw(); };
  const pause = () => { clearTimeout(timer); timer = 0; toggle.textContent = "Play"; };
  const tick = () => {
    const at = Number(range.value), ended = at >= last;
    show(ended ? 0 : at + 1);
    timer = setTimeout(tick, (Number(range.value) >= last ? 900 : pace) / Number(find("select").value));
  };
  const play = () => { load(); if (!timer) { toggle.textContent = "Pause"; timer = setTimeout(tick, pace); } };
  const by = (act) => () => { touched = true; pause(); act(); };
  toggle.addEventListener("click", () => { touched = true; (timer ? pause : play)(); });
  find(".back").addEventListener("click", by(() => show(Number(range.value) - 1)));
  find(".on").addEventListener("click", by(() => show(Number(range.value) + 1)));
  range.addEventListener("input", by(draw));
  const next = find(".break");
  if (next) {
    next.addEventListener("click", by(() => {
      const found = breaks.map((time) => times.findIndex((each) => each >= time - 1e-6)).map((at) => (at < 0 ? last : at));
      show(found.find((at) => at > Number(range.value)) ?? found[0]);
    }));
  }
  find(".controls").hidden = find(".rail").hidden = false;
  draw();
  return {
    figure, load, pause,
    seen(visible) {
      if (!visible) pause();
      else { load(); if (!touched && !still.matches && !(hold && hold.checked)) play(); }
    },
  };
});
const watch = new IntersectionObserver((entries) => {
  for (const each of entries) players.find((one) => one.figure === each.target).seen(each.isIntersecting);
}, { threshold: 0.3 });
players.forEach((one) => watch.observe(one.figure));
if (hold) {
  hold.parentElement.hidden = false;
  hold.addEventListener("change", () => players.forEach((one) => {
    if (hold.checked) one.pause();
    else { watch.unobserve(one.figure); watch.observe(one.figure); }
  }));
}
addEventListener("beforeprint", () => players.forEach((one) => one.load()));

/* Terms: their entry of the glossary on hover and on focus; Escape hides it. */
const tip = document.getElementById("tip");
let shown = null, leaving = 0;
const hide = () => { tip.hidden = true; shown = null; };
const tell = (term) => {
  clearTimeout(leaving);
  shown = term;
  tip.textContent = document.getElementById(term.getAttribute("aria-describedby")).textContent;
  tip.hidden = false;
  const box = term.getBoundingClientRect(), own = tip.getBoundingClientRect();
  tip.style.left = Math.max(8, Math.min(box.left, innerWidth - own.width - 8)) + scrollX + "px";
  tip.style.top = (box.bottom + own.height + 8 > innerHeight ? box.top - own.height - 4 : box.bottom + 4) + scrollY + "px";
};
const leave = () => { leaving = setTimeout(hide, 150); };
document.querySelectorAll("a.term").forEach((term) => {
  term.addEventListener("mouseenter", () => tell(term));
  term.addEventListener("focus", () => tell(term));
  term.addEventListener("mouseleave", leave);
  term.addEventListener("blur", leave);
});
tip.addEventListener("mouseenter", () => clearTimeout(leaving));
tip.addEventListener("mouseleave", leave);
addEventListener("keydown", (event) => { if (event.key === "Escape" && shown) hide(); });
