"use strict";

/* The image browser: one card an image, a page of cards at a time. Texts only ever become text nodes. */
document.addEventListener("DOMContentLoaded", () => {
  const data = globalThis.versat2iReport;
  const find = (id) => document.getElementById(id);
  if (!data) {
    find("status").textContent = "prompts.js is missing beside this page: copy the whole folder of the report.";
    return;
  }
  const PAGE = 12; // cards
  const cards = find("cards");
  const { width, height } = cards.dataset;
  const state = { order: "given", start: 0, current: -1, list: [] };

  /* An element with text, attributes and children. */
  function make(tag, { text, ...attributes } = {}, ...children) {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  /* A score; what is zero to the last digit shown has no sign. */
  function show(value) {
    const text = value.toFixed(Math.abs(value) < 10 ? 4 : 2);
    return Number(text) ? text : text.replace("-", "");
  }
  const signed = (value) => (value > 0 && Number(show(value)) ? "+" : "") + show(value);
  const direction = (value) => (value > 0 ? "up" : value < 0 ? "down" : "same");

  function choice() {
    const metric = find("metric").value;
    return {
      order: state.order,
      variant: data.variants.indexOf(find("variant").value),
      metric: metric === "all" ? metric : Number(metric),
      category: find("category").value,
      source: find("source").value,
      words: find("words").value,
    };
  }

  const shown = () => [...find("shown").querySelectorAll("input:checked")].map((box) => Number(box.value));
  const place = (item, variant) => `images/evaluation/${data.variants[variant]}/${item}.webp`;
  const said = (mark) => (mark === null ? "cannot tell" : mark);

  /* A score, or why there is none. */
  function score(value) {
    return typeof value === "number" ? show(value) : `not judged: ${value}`;
  }

  /* The gain over base, with a sign and an arrow beside the colour. */
  function change(value, unit = "") {
    if (value === null) return make("span", { text: "no gain" });
    const arrow = { up: "▲", down: "▼", same: "=" }[direction(value)];
    return make("span", { text: `${arrow} ${signed(value)}${unit}`, class: direction(value) });
  }

  /* How many questions are answered right, and those that are not. */
  function answers(item, variant) {
    const marks = item[3][variant];
    if (!marks || !marks.length) return [];
    const questions = data.prompts[item[0]][4];
    const list = make("ul");
    marks.forEach((mark, place) => {
      const [question, expected] = questions[place];
      if (mark !== 0) list.append(make("li", { text: `✗ ${question} ${said(mark)}, not ${expected}` }));
    });
    const right = marks.filter((mark) => mark === 0).length;
    return [make("div", { text: `${right} of ${marks.length} answers right` }), list];
  }

  function figure(number, variant, { metric }) {
    const item = data.items[number];
    const name = data.variants[variant];
    const alt = `${name}: ${data.prompts[item[0]][1]}`;
    const caption = make("figcaption", {}, make("b", { text: name }));
    if (metric !== "all") caption.append(make("div", { text: score(item[2][variant][metric]) }));
    if (name !== "base") {
      const unit = metric === "all" ? " sd" : "";
      caption.append(make("div", {}, change(order.value(data, item, variant, metric), unit)));
    }
    caption.append(...answers(item, variant));
    const look = { width, height, class: width <= 128 ? "pixels" : "smooth" };
    const image = make("img", { src: place(number, variant), alt, ...look });
    return make("figure", { class: "shot" }, image, caption);
  }

  function table(caption, rows, cell) {
    const columns = shown();
    const names = columns.map((variant) => make("th", { text: data.variants[variant], scope: "col" }));
    const body = rows.map((row, place) => {
      const cells = columns.map((variant) => make("td", { text: cell(variant, place) }));
      return make("tr", {}, make("th", { text: row, scope: "row" }), ...cells);
    });
    const head = make("thead", {}, make("tr", {}, make("td"), ...names));
    const whole = make("table", {}, make("caption", { text: caption }), head, make("tbody", {}, ...body));
    return make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": caption }, whole);
  }

  /* Every score and answer of an item; filled when it is opened. */
  function everything(item) {
    const details = make("details", {}, make("summary", { text: "All scores and questions" }));
    details.addEventListener("toggle", () => {
      if (details.childElementCount > 1) return;
      const names = data.metrics.map(({ name, lower }) => name + (lower ? " (lower is better)" : ""));
      details.append(table("Scores", names, (v, m) => score(item[2][v][m])));
      const questions = data.prompts[item[0]][4];
      if (!questions.length) return;
      const rows = questions.map(([question, right]) => `${question} (${right})`);
      details.append(table("Questions, with the right answer", rows, (v, q) => {
        if (!item[3][v]) return "not asked";
        return item[3][v][q] === 0 ? "✓" : `✗ ${said(item[3][v][q])}`;
      }));
    });
    return details;
  }

  function card(number, options) {
    const item = data.items[number];
    const [id, text, category, source] = data.prompts[item[0]];
    const title = make("h3", {}, make("bdi", { text }));
    const meta = make("p", { text: `${category} · ${source} · image ${item[1]} of prompt ${id}`, class: "meta" });
    const row = make("div", { class: "row" }, ...shown().map((variant) => figure(number, variant, options)));
    const label = `${text}, image ${item[1]}`;
    const attributes = { class: "card", tabindex: "-1", "aria-label": label };
    return make("article", attributes, title, meta, row, everything(item));
  }

  function describe() {
    if (!state.list.length) return "No image fits these filters.";
    const end = Math.min(state.start + PAGE, state.list.length);
    const how = { best: "best changes first", worst: "worst changes first", given: "as given" }[state.order];
    return `Images ${state.start + 1} to ${end} of ${state.list.length}, ${how}.`;
  }

  function draw() {
    const options = choice();
    const numbers = state.list.slice(state.start, state.start + PAGE);
    cards.replaceChildren(...numbers.map((number) => card(number, options)));
    find("status").textContent = describe();
    find("previous").disabled = state.start === 0;
    find("next").disabled = state.start + PAGE >= state.list.length;
    find("pages").hidden = state.list.length <= PAGE;
    for (const button of find("controls").querySelectorAll("[data-order]")) {
      button.setAttribute("aria-pressed", String(button.dataset.order === state.order));
    }
  }

  /* Filter and sort anew, and start at the first image. */
  function restart() {
    state.list = order.list(data, choice());
    state.start = 0;
    state.current = -1;
    draw();
  }

  /* Sort anew, and go back to where the list begins. */
  function sort(name) {
    state.order = name;
    restart();
    find("status").scrollIntoView({ block: "nearest" });
  }

  /* Go to the image at a place in the list, on whichever page it is. */
  function step(to) {
    if (to < 0 || to >= state.list.length) return;
    state.current = to;
    const start = to - (to % PAGE);
    if (start !== state.start) {
      state.start = start;
      draw();
    }
    cards.children[to - start].focus();
    cards.children[to - start].scrollIntoView({ block: "nearest" });
  }

  const keys = {
    ArrowRight: () => step(state.current + 1),
    ArrowLeft: () => step(state.current - 1),
    j: () => step(state.current + 1),
    k: () => step(state.current - 1),
    b: () => sort("best"),
    w: () => sort("worst"),
    g: () => sort("given"),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, .wide")) return;
    const action = keys[event.key];
    if (action) {
      event.preventDefault();
      action();
    }
  });
  cards.addEventListener("focusin", (event) => {
    const place = [...cards.children].indexOf(event.target.closest(".card"));
    if (place >= 0) state.current = state.start + place;
  });
  find("controls").addEventListener("click", ({ target }) => {
    const button = target.closest("[data-order]");
    if (button) sort(button.dataset.order);
  });
  find("controls").addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["variant", "metric", "category", "source", "words"]) {
    find(id).addEventListener("input", restart);
  }
  find("shown").addEventListener("change", draw);
  find("previous").addEventListener("click", () => step(state.start - PAGE));
  find("next").addEventListener("click", () => step(state.start + PAGE));

  find("controls").hidden = false;
  restart();

  // once the page stands, the pictures further down are fetched too: paper shows what nobody has scrolled to
  addEventListener("load", () => document.querySelectorAll("img").forEach((image) => (image.loading = "eager")));
});
