// A map in a notebook, for anywidget: the kernel gives it all of the map, places typed texts, and learns what is selected.

import { openStored } from "./map_stored.js";
import { MapView } from "./map.js";

/** @param {{model: object, el: HTMLElement}} widget */
export async function render({ model, el: host }) {
  const waiting = new Map();
  const answered = (message) => {
    const { done, failed } = waiting.get(message.id) ?? {};
    waiting.delete(message.id);
    if (message.error) failed?.(new Error(message.error));
    else done?.(message);
  };
  const land = (query) => new Promise((done, failed) => {
    const id = `${Date.now()} ${Math.random()}`;
    waiting.set(id, { done, failed });
    model.send({ id, text: query.text });
  });
  model.on("msg:custom", answered);
  host.dataset.lmSuppressShortcuts = "true"; // keys on the map are the map's: JupyterLab would take l, Enter and 0 for its own
  host.addEventListener("keydown", (event) => event.stopPropagation()); // so would older notebooks
  host.style.height = `${model.get("height")}px`;
  const { map, source } = await openStored(model.get("data"), land);
  const view = new MapView(host, map, source, {
    searches: true, actions: (point) => source.ways(point),
    selected: ({ points }) => {
      model.set("selected", points.map((one) => one.record_id));
      model.save_changes();
    },
  });
  return () => {
    model.off("msg:custom", answered);
    view.close();
  };
}
