"use strict";
(() => {
  const source = document.getElementById("notes");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const KINDS = { c: "correct", b: "boundary", t: "type", x: "type and boundary", m: "missed", s: "spurious" };
  const PAGE = 10;
  const get = (id) => document.getElementById(id);
  const element = (name, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const option = (list, value, text) => {
    const made = element("option", "", text);
    made.value = value;
    list.append(made);
  };
  const spans = (flat) => {
    const out = [];
    for (let n = 0; n < flat.length; n += 3) out.push({ start: flat[n], end: flat[n] + flat[n + 1], label: flat[n + 2] });
    return out;
  };
  data.systems.forEach((name, n) => option(get("system"), n, name));
  get("system").value = data.chosen;
  option(get("kind"), "", "any error");
  for (const letter of "mbtxsc") option(get("kind"), letter, KINDS[letter]);
  option(get("label"), "", "any label");
  data.labels.forEach((name, n) => option(get("label"), n, name));
  for (const letter of "cmbts") {
    const shown = element("span", letter, letter === "t" ? "type" : KINDS[letter]);
    get("legend").append(shown);
  }
  get("legend").append("Solid: what people marked; dashed: what the system marked.");

  /* What became of each mention of a note, for one system. */
  const findings = (note, system) => {
    const gold = spans(note.g), found = spans(note.p[system]), kinds = note.k[system];
    return [
      ...gold.map((span, n) => ({ ...span, side: "people", kind: kinds[n] })),
      ...found.map((span, n) => ({ ...span, side: "system", kind: kinds[gold.length + n] })),
    ];
  };
  const wanted = (finding, kind, label) =>
    (kind ? finding.kind === kind : finding.kind !== "c" && finding.kind !== "n") &&
    (label === "" || finding.label === Number(label));

  /* The text in pieces, each with the lines of the mentions it is in, as displaCy draws overlapping spans. */
  const drawn = (note, layers) => {
    const body = element("div", "note");
    body.dir = "auto";
    const cuts = new Set([0, note.t.length]);
    layers.forEach((layer) => layer.forEach((mark) => {
      cuts.add(mark.start).add(mark.end);
      // Words apart, since lines are drawn under each piece, and a piece must not run over the end of a line of text.
      for (const gap of note.t.slice(mark.start, mark.end).matchAll(/\s+/g)) {
        cuts.add(mark.start + gap.index).add(mark.start + gap.index + gap[0].length);
      }
    }));
    const at = [...cuts].sort((a, b) => a - b);
    const rows = [];
    const placed = layers.flat().sort((a, b) => a.start - b.start || b.end - a.end);
    for (const mark of placed) {
      let row = 0;
      while ((rows[row] || []).some((other) => other.start < mark.end && mark.start < other.end)) row += 1;
      (rows[row] = rows[row] || []).push(mark);
      mark.row = row;
    }
    body.style.setProperty("--height", String(1.5 + 0.94 * rows.length));
    for (let n = 0; n + 1 < at.length; n += 1) {
      const [start, end] = [at[n], at[n + 1]];
      const here = placed.filter((mark) => mark.start < end && start < mark.end);
      const text = note.t.slice(start, end);
      if (!here.length) {
        body.append(text);
        continue;
      }
      const piece = element("span", "piece", text);
      for (const mark of here) {
        const line = element("span", `line ${mark.kind}${mark.side === "people" ? "" : " dashed"}`);
        line.style.bottom = `${-5 - 15 * mark.row}px`;
        piece.append(line);
        if (mark.start === start) {
          const tag = element("span", `tag ${mark.kind}`, mark.name);
          tag.style.bottom = `${-16 - 15 * mark.row}px`;
          tag.setAttribute("aria-hidden", "true");
          piece.append(tag);
        }
      }
      body.append(piece);
    }
    return body;
  };
  const layersOf = (note, system, everyone) => {
    const own = findings(note, system).map((mark) => ({
      ...mark, name: `${mark.side === "people" ? "" : "▸ "}${data.labels[mark.label]}`,
    }));
    const layers = [own];
    if (everyone) {
      data.systems.forEach((name, other) => {
        if (other !== system) {
          layers.push(spans(note.p[other]).map((mark) => ({ ...mark, side: "system", kind: "plain", name })));
        }
      });
    }
    return layers;
  };
  const listed = (note, system, kind, label) => {
    const list = element("ul", "findings");
    for (const finding of findings(note, system).filter((each) => wanted(each, kind, label))) {
      const item = element("li");
      item.append(element("b", finding.kind, KINDS[finding.kind]));
      const also = data.systems.filter((_, other) => other !== system && spans(note.p[other]).some(
        (mark) => mark.label === finding.label && mark.start < finding.end && finding.start < mark.end));
      item.append(
        ` ${data.labels[finding.label]} “${note.t.slice(finding.start, finding.end)}”, marked by ` +
        `${finding.side === "people" ? "people" : data.systems[system]}; ` +
        `others there: ${also.length ? also.join(", ") : "none"}`);
      list.append(item);
    }
    return list;
  };

  let first = 0;
  const draw = () => {
    const system = Number(get("system").value), kind = get("kind").value, label = get("label").value;
    const chosen = data.documents.filter((note) => findings(note, system).some((each) => wanted(each, kind, label)));
    first = Math.max(0, Math.min(first, chosen.length - 1));
    first -= first % PAGE;
    const page = chosen.slice(first, first + PAGE);
    get("shown").textContent = chosen.length
      ? `notes ${first + 1} to ${first + page.length} of ${chosen.length} (${data.documents.length} in all)`
      : `no such note among ${data.documents.length}`;
    get("back").disabled = first === 0;
    get("on").disabled = first + PAGE >= chosen.length;
    get("browser").replaceChildren(...page.map((note) => {
      const article = element("article");
      article.append(element("h3", "", note.i), drawn(note, layersOf(note, system, get("everyone").checked)));
      article.append(listed(note, system, kind, label));
      return article;
    }));
  };
  for (const id of ["system", "kind", "label", "everyone"]) get(id).addEventListener("change", () => { first = 0; draw(); });
  get("back").addEventListener("click", () => { first -= PAGE; draw(); });
  get("on").addEventListener("click", () => { first += PAGE; draw(); });
  get("filters").addEventListener("submit", (event) => event.preventDefault());
  draw();
})();
