// The page: reads the view from the address, asks the server, shows the hits, and follows what people do.

import { IN_SIGHT, listIndices, sample, search } from "./api.js";
import { ghosts, hitItem } from "./cards.js";
import { showDetails } from "./details.js";
import { $, number, plural } from "./dom.js";
import { showHero, showIndices, showOptions, showQuery } from "./hero.js";
import { currentView, go, href, inIndex } from "./state.js";
import { watchInput } from "./input.js";

let indices = [];
let view = {};
let shown = { hits: 0, best: 0, more: false };
let request = new AbortController();

const chosenIndex = () => indices.find((index) => index.name === view.index) || indices[0];
const pair = () => chosenIndex().pairs[0]; // the other side of these records, such as their prompts
const asked = () => Boolean(view.q || view.like || view.file);

/** Show the view that the address names. */
async function render() {
  request.abort();
  request = new AbortController();
  const { signal } = request;
  view = currentView();
  shown = { hits: 0, best: 0, more: false };
  frame();
  try {
    await (asked() ? firstPage(signal) : startPage(signal));
  } catch (error) {
    if (error.name !== "AbortError") fail(error);
  }
}

/** Pictures of the last view that are still on their way hold the few connections that a browser has to a server. */
function stopPictures() {
  for (const image of $("results").querySelectorAll("img")) if (!image.complete) image.removeAttribute("src");
}

function frame() {
  const index = chosenIndex();
  stopPictures();
  document.title = view.q ? `${view.q} · clip-spark` : "clip-spark";
  document.body.classList.toggle("asked", asked());
  $("words").value = view.q || "";
  $("title").textContent = view.q ? `Results for “${view.q}”` : "Results";
  $("title").hidden = !asked(); // the start page has a heading of its own
  $("hero").hidden = $("query").hidden = $("options").hidden = $("error").hidden = $("more").hidden = true;
  $("status").textContent = "";
  $("results").className = index.kind === "image" ? "pictures" : "texts";
  $("results").replaceChildren(...ghosts(index.kind, 12));
  $("results").setAttribute("aria-busy", "true");
  showIndices(indices, index.name, (name) => href(asked() ? inIndex(view, name, indices[0].name) : { index: name }));
}

async function startPage(signal) {
  const index = chosenIndex();
  const { records } = await sample(index.name, signal);
  showHero(index, records);
  put(records, true);
}

async function firstPage(signal) {
  const answer = await search(view, pair(), 0, signal);
  showQuery(view, answer);
  showOptions(view, chosenIndex());
  shown.best = answer.hits[0]?.score ?? 0;
  put(answer.hits, true);
  shown.more = answer.more;
  $("more").hidden = !answer.more;
  const milliseconds = Math.max(1, Math.round(1000 * answer.seconds));
  $("status").textContent = answer.hits.length
    ? `The nearest of ${plural(chosenIndex().rows, chosenIndex().kind === "image" ? "picture" : "text")} · ${number(milliseconds)} ms`
    : "Nothing found.";
}

async function nextPage() {
  if (!shown.more) return;
  shown.more = false; // until the answer is here
  $("more").disabled = true;
  try {
    const answer = await search(view, pair(), shown.hits, request.signal);
    put(answer.hits, false);
    shown.more = answer.more;
    $("more").hidden = !answer.more;
    if (answer.more) watcher.unobserve($("end")), watcher.observe($("end")); // it may still be in sight
  } catch (error) {
    if (error.name !== "AbortError") fail(error);
  } finally {
    $("more").disabled = false;
  }
}

function put(hits, first) {
  const index = chosenIndex();
  const items = hits.map((hit) => hitItem(hit, index, shown.best, (one) => showDetails(one, index, indices)));
  items.forEach((item, place) => { // what nobody sees does not move: each that does is a layer to draw
    if (place < IN_SIGHT) item.style.animationDelay = `${place * 12}ms`;
    else item.style.animation = "none";
  });
  if (first) $("results").replaceChildren(...items);
  else $("results").append(...items);
  shown.hits += hits.length;
  $("results").removeAttribute("aria-busy");
}

function fail(error) {
  if (!shown.hits) $("results").replaceChildren();
  $("results").removeAttribute("aria-busy");
  $("more").hidden = true;
  $("error").textContent = error.message;
  $("error").hidden = false;
}

function show(next) {
  $("details").close();
  go(next);
  window.scrollTo(0, 0);
  render();
}

/** Links to other views are followed here; with a modifier key the browser does as it always does. */
function follow(event) {
  const link = event.target.closest("a[data-view]");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || event.button) return;
  event.preventDefault();
  const given = Object.fromEntries(new URL(link.href).searchParams);
  show("keep" in link.dataset && view.file ? { ...given, file: view.file } : given);
  $("results").focus({ preventScroll: true }); // the link that had the focus is gone
}

const watcher = new IntersectionObserver(([end]) => end.isIntersecting && nextPage(), { rootMargin: "600px" });

async function start() {
  document.addEventListener("click", follow);
  window.addEventListener("popstate", render);
  window.addEventListener("scroll", () => document.body.classList.toggle("scrolled", window.scrollY > 8), { passive: true });
  $("more").addEventListener("click", nextPage);
  watchInput({
    words: (q) => show(q ? { q, index: view.index } : { index: view.index }),
    picture: (file) => show({ file, index: view.index }),
    refuse: (message) => fail(new Error(message)),
  });
  try {
    indices = await listIndices();
  } catch (error) {
    fail(error);
    return;
  }
  watcher.observe($("end"));
  await render();
}

start();
