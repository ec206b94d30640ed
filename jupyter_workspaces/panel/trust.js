// Security notice on the first Open in a browser, if workspaces share the server's origin.

const TRUST_KEY = "jupyter-workspaces:workspaces-can-act-as-you";

/** Return whether the notice was confirmed; false if the browser stores nothing. */
function knowsTrust() {
  try {
    return localStorage.getItem(TRUST_KEY) === "known";
  } catch {
    return false;
  }
}

function rememberTrust() {
  try {
    localStorage.setItem(TRUST_KEY, "known");
  } catch {
    // Private windows may not allow it.
  }
}

class TrustNotice {
  constructor(title, close) {
    this.how = make(
      "button",
      "cw-button",
      { type: "button", "aria-expanded": "false" },
      "How to separate them",
    );
    this.close = make(
      "button",
      "cw-button cw-strong",
      { type: "button" },
      "Got it",
    );
    this.more = make(
      "p",
      "cw-muted",
      { hidden: true },
      "Start the Jupyter server with ",
      make(
        "code",
        "",
        {},
        "--JupyterWorkspaces.workspaces_url=http://*.localhost:8890",
      ),
      " on your own machine; on a hub, ask its administrator for a second host name. " +
        "See “workspaces-url” in the documentation.",
    );
    this.node = make(
      "div",
      "cw-ask cw-trust",
      { role: "note", "aria-label": "Workspaces can act as you" },
      make(
        "div",
        "cw-question",
        {},
        make(
          "p",
          "",
          {},
          "Workspaces open at your Jupyter server's own address: the programs in ",
          make("em", "", {}, title),
          " can act as you on this server. Open only workspaces that you trust.",
        ),
        this.more,
      ),
      this.how,
      this.close,
    );
    this.how.addEventListener("click", () => {
      this.more.hidden = !this.more.hidden;
      this.how.setAttribute("aria-expanded", String(!this.more.hidden));
    });
    this.close.addEventListener("click", () => {
      rememberTrust();
      close();
    });
  }
}

const Trust = {
  /** Show the notice below the row; the workspace opens regardless. */
  showTrustNotice(entry) {
    if (this.separate !== false || knowsTrust() || entry.trust) {
      return;
    }
    this.fold(entry, false);
    entry.trust = new TrustNotice(entry.row.data.title, () => this.fold(entry));
    this.unfold(entry, entry.trust.node);
    this.say(entry.trust.node.querySelector("p").textContent);
  },
};
