// How people ask: words, a picture that is chosen, dropped or pasted; and the switch between light and dark.

import { $ } from "./dom.js";

const THEME = "clip-spark-theme";

/** Calls `words(text)`, `picture(file)` or `refuse(message)`. */
export function watchInput({ words, picture, refuse }) {
  const take = (files) => {
    const file = [...(files || [])].find((one) => one.type.startsWith("image/"));
    if (file) picture(file);
    else if (files?.length) refuse("This is not a picture. A file such as JPEG, PNG or WebP is needed.");
  };
  $("form").addEventListener("submit", (event) => {
    event.preventDefault();
    words($("words").value.trim());
  });
  $("choose").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", () => {
    take($("file").files);
    $("file").value = ""; // else the same file could not be chosen twice
  });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData?.files.length) take(event.clipboardData.files);
  });
  document.addEventListener("keydown", (event) => {
    const typing = /** @type {any} */ (event.target).closest("input, textarea") || document.querySelector("dialog:modal");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    $("words").select();
  });
  watchDrop(take);
  watchTheme();
}

function watchDrop(take) {
  const dragging = (on) => document.body.classList.toggle("dragging", on);
  document.addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    dragging(true);
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) dragging(false); // it left the window
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    dragging(false);
    take(event.dataTransfer?.files);
  });
}

function watchTheme() {
  const root = document.documentElement;
  const kept = stored()?.getItem(THEME);
  if (kept) root.dataset.theme = kept;
  $("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    stored()?.setItem(THEME, root.dataset.theme);
  });
}

/** The browser's store, or null where it is blocked: reading the property alone throws there. */
function stored() {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}
