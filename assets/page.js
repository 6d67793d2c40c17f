// What the pages do by script: changes through the JSON API, and keeping the session alive. A page without it can be read,
// signed in and out of by a provider, and linked from.
(() => {
  "use strict";

  const CSRF_COOKIE = "__Host-tokenbooth_csrf";
  const SESSION_ENDS = "tokenbooth_session_ends";
  const MESSAGE = "tokenbooth_message";
  const RETURNED = "tokenbooth_returned";
  const INTERRUPTED = "tokenbooth_interrupted";
  // Of a session's life, what is left when it is renewed.
  const RESERVE = 0.2;
  const RETRY_MS = 30_000;
  // Two ends that are closer than this are one end, seen by two tabs.
  const SAME_MS = 5_000;
  // setTimeout takes no more than 31 bits.
  const LONGEST_MS = 2 ** 31 - 1;

  document.documentElement.classList.add("scripted");

  const data = () => document.body.dataset;
  const url = (path) => data().base + path;
  const changed = (name) => document.body.dispatchEvent(new CustomEvent(`${name}-changed`, { bubbles: true }));

  // A browser may be told to keep nothing; then each tab is on its own.
  function recall(store, key) {
    try { return store().getItem(key); } catch { return null; }
  }
  function keep(store, key, value) {
    try {
      if (value === null) store().removeItem(key); else store().setItem(key, value);
    } catch { /* as said */ }
  }
  const shared = () => window.localStorage;
  const ofTab = () => window.sessionStorage;

  function csrf() {
    const cookie = document.cookie.split("; ").find((each) => each.startsWith(`${CSRF_COOKIE}=`));
    return cookie?.slice(CSRF_COOKIE.length + 1);
  }

  // --- What happened ---------------------------------------------------------------------------------------------------

  function say(text, bad) {
    const message = document.getElementById("message");
    if (!message) return;
    message.setAttribute("role", bad ? "alert" : "status");
    message.textContent = text;
  }

  function go(where, message) {
    if (message) keep(ofTab, MESSAGE, message);
    window.location.assign(where);
  }

  function toSignIn() {
    const here = window.location.pathname + window.location.search;
    go(`${url("/sign-in")}?redirect_to=${encodeURIComponent(here)}`);
  }

  // --- Confirming who one is -------------------------------------------------------------------------------------------

  // A sensitive operation requires a recent sign-in. The page leads to one and back, and says then what was begun. It does not
  // repeat it by itself: the fields of a form may be secret and are not kept, another account may have signed in meanwhile, and
  // what is deleted or unlinked should follow from a click on the page that shows it.

  // `known`: the server has already said that the sign-in is too old.
  function interrupt(control, known) {
    const { user } = data();
    keep(ofTab, INTERRUPTED, JSON.stringify({ user, known, page: window.location.pathname, control: control.id }));
  }

  function toConfirm(control) {
    interrupt(control, true);
    const section = control.closest("section[id]")?.id;
    const here = window.location.pathname + window.location.search + (section ? `#${section}` : "");
    window.location.assign(`${url("/sign-in")}?redirect_to=${encodeURIComponent(here)}&reauthenticate=1`);
  }

  function interrupted() {
    try { return JSON.parse(recall(ofTab, INTERRUPTED)); } catch { return null; }
  }

  // On the page where the person confirms: that it was reached says that the sign-in was too old.
  function leadBack() {
    const begun = interrupted();
    if (begun) keep(ofTab, INTERRUPTED, JSON.stringify({ ...begun, known: true }));
  }

  // On the page to which the person comes back. Any other page forgets what was begun.
  function resume() {
    const begun = interrupted();
    if (!begun) return;
    keep(ofTab, INTERRUPTED, null);
    if (!begun.known || begun.page !== window.location.pathname || !data().user) return;
    if (begun.user !== data().user) {
      return say("You are now signed in to another account than before. Nothing has been changed in either of them.", true);
    }
    // Back without a sign-in.
    if (!data().recent) return;
    const control = document.getElementById(begun.control);
    if (!control) return say("You have confirmed that it is you. Repeat what you began.");
    control.closest("details")?.setAttribute("open", "");
    // Until the page is loaded, the browser follows the fragment of its URL, which takes the focus away.
    const focus = () => setTimeout(() => control.focus());
    if (document.readyState === "complete") focus();
    else window.addEventListener("load", focus, { once: true });
    const name = control.getAttribute("aria-label") ?? control.textContent.trim();
    say(`You have confirmed that it is you. Repeat what you began: ${name}.`);
  }

  // The form that begins a link is answered by the server itself, which may lead to the confirmation.
  document.addEventListener("submit", (event) => {
    if (event.target.matches("form[data-confirmable]")) interrupt(event.target.querySelector("button"), false);
  });

  // --- The API ---------------------------------------------------------------------------------------------------------

  function send(method, path, body) {
    const headers = { Accept: "application/json" };
    const token = csrf();
    // For browsers that send no Origin.
    if (token) headers["X-CSRF-Token"] = token;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const init = { method, headers, credentials: "same-origin", cache: "no-store" };
    if (body !== undefined) init.body = JSON.stringify(body);
    return fetch(url(path), init);
  }

  // The problem of a refusal, or null when all is well.
  async function problemOf(response) {
    if (response.ok) return null;
    const problem = await response.json().catch(() => null);
    return problem?.detail ? problem : { code: "", detail: `The server answered ${response.status}. Try again later.` };
  }

  async function call(method, path, body) {
    const problem = await problemOf(await send(method, path, body));
    if (problem?.code !== "invalid_token" || !(await renew())) return problem;
    return problemOf(await send(method, path, body));
  }

  // --- Forms: data-method, data-path; data-body and named fields are the JSON body -------------------------------------

  function bodyOf(form) {
    const fields = [...form.elements].filter((field) => field.name);
    if (!form.dataset.body && fields.length === 0) return undefined;
    const body = JSON.parse(form.dataset.body ?? "{}");
    for (const field of fields) {
      // A password may begin with a space.
      const value = field.type === "password" ? field.value : field.value.trim();
      if (value !== "") body[field.name] = value;
      else if (field.dataset.empty === "null") body[field.name] = null;
    }
    return body;
  }

  function confirmed(question) {
    const dialog = document.getElementById("confirm");
    document.getElementById("confirm-question").textContent = question;
    dialog.returnValue = "no";
    dialog.showModal();
    return new Promise((resolve) => {
      dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
    });
  }

  async function submit(form) {
    const button = form.querySelector("button");
    // Not `disabled`, which would take the focus away.
    if (button.getAttribute("aria-busy") === "true") return;
    const { method, path, confirm, changes, done, then } = form.dataset;
    if (confirm && !(await confirmed(confirm))) return;
    button.setAttribute("aria-busy", "true");
    say("");
    try {
      const problem = await call(method, path, bodyOf(form));
      if (problem?.code === "invalid_token") return toSignIn();
      if (problem?.code === "reauthentication_required") return toConfirm(button);
      if (problem) return say(problem.detail, true);
      if (then) return go(then, done);
      say(done ?? "Done.");
      (changes ?? "").split(" ").filter(Boolean).forEach(changed);
    } catch {
      say("The server cannot be reached. Try again.", true);
    } finally {
      button.removeAttribute("aria-busy");
    }
  }

  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form[data-path]")) return;
    event.preventDefault();
    submit(event.target);
  });

  // --- What htmx fetches anew ------------------------------------------------------------------------------------------

  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, pathInfo } = event.detail;
    const wanted = new URL(pathInfo.requestPath, window.location.href).pathname;
    // Sent to the sign-in page: that is no part of this one.
    if (xhr.responseURL && new URL(xhr.responseURL).pathname !== wanted) {
      event.detail.shouldSwap = false;
      toSignIn();
    }
  });

  document.addEventListener("htmx:responseError", (event) => {
    const { status } = event.detail.xhr;
    // No administrator any more: the whole page says so.
    if (status === 403) window.location.reload();
    else say(`What is shown may be old: the server answered ${status}. Load the page again.`, true);
  });

  // What had the focus may be gone with what it did; then it goes to the title of the part.
  document.addEventListener("htmx:afterSettle", (event) => {
    const part = document.getElementById(event.detail.elt.id);
    if (document.activeElement === document.body && part?.id !== "navigation") {
      part?.querySelector("h2[tabindex]")?.focus({ preventScroll: true });
    }
  });

  // A picture that does not come leaves the initials. The event does not bubble.
  document.addEventListener("error", (event) => {
    if (event.target instanceof HTMLImageElement && event.target.closest(".avatar")) event.target.remove();
  }, true);

  // --- Renewal ---------------------------------------------------------------------------------------------------------

  let life = 0;
  let endsHere = 0;
  let timer;

  const ends = () => Math.max(Number(recall(shared, SESSION_ENDS)), endsHere);

  function setEnd(seconds) {
    endsHere = seconds === null ? 0 : Date.now() + seconds * 1000;
    keep(shared, SESSION_ENDS, seconds === null ? null : String(endsHere));
  }

  // Whether the session goes on. One tab asks, the others find that it did.
  async function renew() {
    if (!csrf()) return false;
    const known = ends();
    const attempt = async () => {
      if (ends() - known > SAME_MS) return true;
      const response = await send("POST", "/auth/refresh");
      if (!response.ok) {
        if (response.status === 401 || response.status === 403) return false;
        throw new Error(`refresh: ${response.status}`);
      }
      const answer = await response.json();
      life = answer.expires_in;
      setEnd(answer.expires_in);
      schedule();
      changed("login-state");
      return true;
    };
    return navigator.locks ? navigator.locks.request("tokenbooth_renewal", attempt) : attempt();
  }

  const due = () => ends() - life * RESERVE * 1000;

  function schedule(wait = due() - Date.now()) {
    clearTimeout(timer);
    timer = setTimeout(check, Math.min(Math.max(wait, 1000), LONGEST_MS));
  }

  async function check() {
    if (!life) return;
    if (Date.now() < due()) return schedule();
    try {
      if (await renew()) return schedule();
      // Refused: it is over when it ends, which the bar is to show. The next change leads to the sign-in page.
      life = 0;
      timer = setTimeout(changed, Math.min(Math.max(ends() - Date.now(), 0), LONGEST_MS), "login-state");
    } catch {
      schedule(RETRY_MS);
    }
  }

  // A session that has run out is renewed before it is ended: without its cookie nobody would know which one to end.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.id !== "sign-out-form" || Date.now() < ends() || !csrf()) return;
    event.preventDefault();
    renew().catch(() => false).finally(() => form.submit());
  });

  // A timer does not run while the machine sleeps.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) check();
  });

  // Somebody who goes back after signing out must not find what was there.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) window.location.reload();
  });

  // On the sign-in page: who was signed in here before need not be asked again.
  async function comeBack(then) {
    if (!csrf()) return;
    // Only once: should the way back lead here again, a form is better than going round.
    const last = Number(recall(ofTab, RETURNED));
    if (Date.now() - last < RETRY_MS) return;
    // What was done on the page before is said here.
    const before = document.getElementById("message").textContent;
    say("Looking whether you are still signed in…");
    const renewed = await renew().catch(() => false);
    say(before);
    if (!renewed) return;
    keep(ofTab, RETURNED, String(Date.now()));
    window.location.replace(then);
  }

  document.addEventListener("DOMContentLoaded", () => {
    const message = recall(ofTab, MESSAGE);
    if (message) {
      keep(ofTab, MESSAGE, null);
      say(message);
    }
    if (data().sessionLeft) {
      life = Number(data().sessionLife);
      setEnd(Number(data().sessionLeft));
      schedule();
    } else if (document.getElementById("go-sign-in")) {
      setEnd(null);
    }
    const signIn = document.querySelector("[data-sign-in]");
    if (signIn) comeBack(signIn.dataset.then);
    else if (document.querySelector("[data-reauthenticate]")) leadBack();
    else resume();
  });
})();
