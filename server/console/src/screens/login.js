// Who are you?  Shown where the server asks.

import { useState } from "preact/hooks";
import { login } from "../api.js";
import { html } from "../html.js";
import { Failure } from "../parts/bits.js";

export function LoginScreen() {
  const [how, setHow] = useState("password");
  const [name, setName] = useState("");
  const [secret, setSecret] = useState("");
  const [failure, setFailure] = useState(null);
  const [busy, setBusy] = useState(false);
  const enter = async (event) => {
    event.preventDefault();
    setBusy(true);
    setFailure(null);
    try {
      await login(how === "password" ? name : "", secret);
    } catch (error) {
      setFailure(error);
    } finally {
      setBusy(false);
    }
  };
  return html`
    <main class="login" id="content">
      <form onSubmit=${enter}>
        <img src="./icon.svg" alt="" width="48" height="48" />
        <h1>Penstock</h1>
        <div class="choice" role="group" aria-label="Log in with">
          <button type="button" aria-pressed=${how === "password"} onClick=${() => setHow("password")}>Password</button>
          <button type="button" aria-pressed=${how === "token"} onClick=${() => setHow("token")}>Token</button>
        </div>
        ${how === "password" && html`<label>Name <input autocomplete="username" autofocus required value=${name} onInput=${(e) => setName(e.target.value)} /></label>`}
        <label>${how === "password" ? "Password" : "Token"}
          <input type="password" autocomplete="current-password" required value=${secret} onInput=${(e) => setSecret(e.target.value)} />
        </label>
        <button class="primary" disabled=${busy}>Log in</button>
        <${Failure} error=${failure} what="Not let in" />
      </form>
    </main>
  `;
}
