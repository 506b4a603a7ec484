"use strict";
// Search in all series. The index is a script, because a page from file:// may not fetch a file.
(() => {
  const here = document.currentScript.src;
  const shown = 50;
  const form = document.getElementById("search");
  const box = document.getElementById("words");
  const list = document.getElementById("found");
  const status = document.getElementById("matches");
  let rows = null;
  let asked = false;

  const load = () => {
    if (asked) return;
    asked = true;
    window.searchIndex = (index) => {
      rows = index.map((row) => [row, row.slice(1).flat().join("\n").toLowerCase()]);
      search();
    };
    const script = document.createElement("script");
    script.src = new URL("search-index.js", here).href;
    script.onerror = () => { status.textContent = "The index cannot be loaded."; asked = false; };
    document.head.append(script);
  };

  const item = ([page, title, author, tag, date, outcome, sections]) => {
    const link = document.createElement("a");
    link.href = new URL(`series/${encodeURIComponent(page)}.html`, here).href;
    link.textContent = title || "(no subject)";
    const facts = document.createElement("p");
    facts.className = "dim";
    facts.textContent = [outcome, tag, author, date, ...sections].join(", ");
    const entry = document.createElement("li");
    entry.append(link, facts);
    return entry;
  };

  const search = () => {
    if (!rows) return;
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = words.length ? rows.filter(([, text]) => words.every((word) => text.includes(word))) : [];
    list.replaceChildren(...found.slice(0, shown).map(([row]) => item(row)));
    const more = found.length > shown ? `, the first ${shown} are shown` : "";
    status.textContent = words.length ? `${found.length} series found${more}.` : "";
  };

  form.hidden = false;
  box.addEventListener("focus", load);
  box.addEventListener("input", () => { load(); search(); });
  form.addEventListener("submit", (event) => event.preventDefault());
})();
