// Keeps the page true while somebody looks at it. Without it the page is as good, but of one moment.
"use strict";

const live = document.getElementById("live");
const news = document.getElementById("news");
const stale = document.getElementById("stale");
const SOON = 2000; // while a run goes on
const LATER = 10000;
let tag = live.dataset.tag;

function isBusyReading() {
  const selection = document.getSelection();
  return document.hidden || (selection !== null && !selection.isCollapsed);
}

// What was open stays open, and the keyboard stays where it was.
function replace(text) {
  const open = [...live.querySelectorAll("details[open]")].map((one) => one.id);
  const focused = live.contains(document.activeElement) ? place(document.activeElement) : null;
  const before = headline();
  live.innerHTML = text; // from this service alone, where every value was escaped
  for (const id of open) {
    document.getElementById(id)?.setAttribute("open", "");
  }
  focused?.()?.focus({ preventScroll: true });
  if (headline() !== before) {
    news.textContent = headline();
  }
}

function place(element) {
  if (element.id) {
    return () => document.getElementById(element.id);
  }
  const parent = element.closest("details");
  return parent ? () => document.getElementById(parent.id)?.querySelector("summary") : null;
}

function headline() {
  return document.getElementById("headline")?.textContent.trim() ?? "";
}

async function look() {
  const answer = await fetch(live.dataset.source, {
    headers: { "If-None-Match": tag },
    cache: "no-store",
  });
  if (answer.status === 403 || answer.redirected) {
    location.reload(); // the session has ended: sign in again
    return;
  }
  if (answer.status !== 304) {
    if (!answer.ok) {
      throw new Error(`answer ${answer.status}`);
    }
    replace(await answer.text());
    tag = answer.headers.get("ETag");
  }
  stale.hidden = true;
}

async function lookForEver() {
  for (;;) {
    const isLive = live.querySelector("[data-live=yes]") !== null;
    await new Promise((done) => setTimeout(done, isLive ? SOON : LATER));
    if (isBusyReading()) {
      continue;
    }
    try {
      await look();
    } catch {
      if (stale.hidden) {
        const at = new Date().toISOString().slice(11, 19);
        stale.textContent = `The service does not answer since ${at} UTC; this is what it said before.`;
        stale.hidden = false;
      }
    }
  }
}

lookForEver();
