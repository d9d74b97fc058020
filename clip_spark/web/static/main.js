// The page: reads the view from the address, asks the server, shows the hits, and follows what people do.

import { IN_SIGHT, MOST_AT_ONCE, PAGE, listIndices, sample, search } from "./api.js";
import { ghosts, hitItem } from "./cards.js";
import { chooseFrom } from "./chosen.js";
import { clearCompared, moreOfOthers, othersHaveMore, showCompared, tellShared } from "./compare.js";
import { showDetails } from "./details.js";
import { $, el, number, plural } from "./dom.js";
import { showFilters } from "./filters.js";
import { showHero, showIndices, showOptions, showQuery } from "./hero.js";
import { currentView, go, href, inIndex, mapView } from "./state.js";
import { watchInput } from "./input.js";
import { watchKeys } from "./keys.js";
import { showTerms, withTerm } from "./terms.js";

let indices = [];
let view = {};
let shown = { hits: 0, best: 0, more: false };
let request = new AbortController();
let before = []; // the hits of the last view, which an error brings back

const chosenIndex = () => indices.find((index) => index.name === view.index) || indices[0];
const pair = () => chosenIndex().pairs[0]; // the other side of these records, such as their prompts
const asked = () => Boolean(view.q || view.like || view.file || view.also);

/** Show the view that the address names. */
async function render() {
  request.abort();
  request = new AbortController();
  const { signal } = request;
  view = currentView();
  shown = { hits: 0, best: 0, more: false };
  const map = mapView();
  frame(map);
  try {
    if (map) await (await openMapPage())(map, view, { indices, show, signal });
    else await (asked() ? firstPage(signal) : startPage(signal));
  } catch (error) {
    if (error.name !== "AbortError") fail(error);
  }
}

/** The function that shows a map (see map_page.js). */
async function openMapPage() {
  if (!document.querySelector("link[href$='map.css']")) {
    document.head.append(el("link", { rel: "stylesheet", href: "static/map.css" }));
  }
  return (await import("./map_page.js")).showMap;
}

/** Pictures of the last view that are still on their way hold the few connections that a browser has to a server. */
function stopPictures() {
  for (const image of $("results").querySelectorAll("img")) if (!image.complete) image.removeAttribute("src");
}

function frame(map) {
  const index = chosenIndex();
  stopPictures();
  clearCompared();
  document.body.classList.toggle("mapped", Boolean(map));
  $("map").hidden = !map;
  document.title = view.q ? `${view.q} · clip-spark` : "clip-spark";
  document.body.classList.toggle("asked", asked());
  $("words").value = view.q || "";
  $("title").textContent = view.q ? `Results for “${view.q}”` : "Results";
  $("title").hidden = !asked(); // the start page has a heading of its own
  $("hero").hidden = $("query").hidden = $("options").hidden = $("error").hidden = $("more").hidden = true;
  $("status").textContent = "";
  for (const name of ["terms", "filters"]) $(name).hidden = true;
  if (!$("results").querySelector(".ghost")) before = [$("results").className, ...$("results").children];
  $("results").className = index.kind === "image" ? "pictures" : "texts";
  $("results").replaceChildren(...(map ? [] : ghosts(index.kind, 12)));
  if (!map) $("results").setAttribute("aria-busy", "true");
  showIndices(indices, index.name, map?.map, ({ index: name, map: other }) => {
    if (other) return href({ ...map, map: other, q: view.q, like: view.like, of: view.of, index: view.index });
    return href(asked() ? inIndex(view, name, indices[0].name) : { index: name });
  });
}

async function startPage(signal) {
  const index = chosenIndex();
  const { records } = await sample(index.name, signal);
  showHero(index, records);
  await putFirst(records, signal);
}

async function firstPage(signal) {
  const { hits, top } = history.state ?? {};
  const own = chosenIndex(), others = showCompared(view, own, indices, waysOf, signal);
  const answer = await search(view, pair(), 0, signal, hits);
  showQuery(view, answer);
  showOptions(view, own, indices);
  shown.title = answer.query?.title;
  showTerms(view, shown.title, show);
  showFilters(view, pair(), answer.hits, show);
  shown.best = answer.hits[0]?.score ?? 0;
  await putFirst(answer.hits, signal, top);
  if (signal.aborted) return;
  shown.more = answer.more;
  others.then(() => signal.aborted || compared(own));
  if (answer.more) lookAtEnd();
  const milliseconds = Math.max(1, Math.round(1000 * answer.seconds));
  $("status").textContent = answer.hits.length
    ? `The nearest of ${plural(own.rows, own.kind === "image" ? "picture" : "text")} · ${number(milliseconds)} ms`
    : "Nothing found.";
  if (top) window.scrollTo(0, top);
}

/** What is said of all columns, once they have their hits. */
function compared(own) {
  tellShared(own);
  $("more").hidden = !shown.more && !othersHaveMore();
}

async function nextPage() {
  if (!shown.more && !othersHaveMore()) return;
  const { signal } = request, others = moreOfOthers(signal);
  $("more").disabled = true;
  try {
    await (shown.more ? nextHits(signal) : null);
    await others;
    if (!signal.aborted) compared(chosenIndex());
  } catch (error) {
    if (error.name !== "AbortError") fail(error);
  } finally {
    $("more").disabled = false;
  }
}

async function nextHits(signal) {
  shown.more = false; // until the answer is here
  const answer = await search(view, pair(), shown.hits, signal);
  put(answer.hits, false);
  shown.more = answer.more;
  if (answer.more) lookAtEnd();
}

/** The end of the list may be in sight still: then there is no event that says so. */
function lookAtEnd() {
  watcher.unobserve($("end"));
  watcher.observe($("end"));
}

/** The hits of a view: those in sight are painted before the others are made; all at once where one goes back to a place among them. */
async function putFirst(hits, signal, top) {
  const now = top ? hits.length : IN_SIGHT;
  put(hits.slice(0, now), true);
  if (hits.length > now) await new Promise((painted) => requestAnimationFrame(() => setTimeout(painted)));
  if (signal.aborted) return;
  put(hits.slice(now), false);
  $("results").removeAttribute("aria-busy");
}

function put(hits, first) {
  const index = chosenIndex();
  const ways = waysOf(index);
  const items = hits.map((hit) => hitItem(hit, index, shown.best, ways.details, ways.more));
  items.forEach((item, place) => { // what nobody sees does not move: each that does is a layer to draw
    if (shown.hits + place < IN_SIGHT) item.style.animationDelay = `${place * 12}ms`;
    else item.style.animation = "none";
  });
  if (first) $("results").replaceChildren(...items);
  else $("results").append(...items);
  shown.hits += hits.length;
}

/** What hits of an index lead to: their details, and a search for more of one, or for less, beside what is searched for now. */
function waysOf(index) {
  return {
    details: (hit, item) => showDetails(hit, index, indices, item),
    more: (hit, weight) => show(withTerm(view, [weight, "like", hit.record.record_id, index.name, hit.title], shown.title)),
  };
}

function fail(error) {
  if (!shown.hits) {
    const [className, ...hits] = mapView() ? [] : before;
    $("results").className = className ?? "";
    $("results").replaceChildren(...hits);
    if (asked() && !mapView()) showTerms(view, "", show), showFilters(view, pair(), [], show); // where the mistake may be mended
  }
  $("results").removeAttribute("aria-busy");
  $("more").hidden = true;
  $("error").textContent = error.message;
  $("error").hidden = false;
}

/** What a new search keeps: the indices, and the map that is shown, which goes to where the search lands. */
function kept() {
  const { map, colour } = mapView() ?? {};
  return { map, colour, index: view.index, compare: view.compare };
}

/** Back leads to the same hits, and to the same place among them. */
function remember() {
  history.replaceState({ ...history.state, hits: shown.hits > PAGE ? Math.min(shown.hits, MOST_AT_ONCE) : undefined, top: Math.round(window.scrollY) }, "");
}

function show(next) {
  $("details").close();
  $("card").close();
  $("tags").close();
  remember();
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

let scrolled = 0;

function onScroll() {
  document.body.classList.toggle("scrolled", window.scrollY > 8);
  clearTimeout(scrolled);
  scrolled = setTimeout(() => shown.hits && remember(), 200);
}

const watcher = new IntersectionObserver(([end]) => end.isIntersecting && !document.body.classList.contains("compared") && nextPage(), { rootMargin: "600px" });

async function start() {
  document.addEventListener("click", follow);
  window.addEventListener("popstate", render);
  history.scrollRestoration = "manual";
  window.addEventListener("scroll", onScroll, { passive: true });
  watchKeys();
  $("more").addEventListener("click", nextPage);
  watchInput({
    words: (q) => show({ ...kept(), q }),
    picture: (file) => show({ ...kept(), file }),
    refuse: (message) => fail(new Error(message)),
  });
  try {
    indices = await listIndices();
    chooseFrom(indices);
  } catch (error) {
    fail(error);
    return;
  }
  watcher.observe($("end"));
  await render();
}

start();
