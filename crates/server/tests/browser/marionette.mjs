// Firefox as Debian builds it, driven by its own remote protocol (Marionette): WebDriver's commands as JSON over TCP.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const DEADLINE = 60_000;

/** Port 0 is any; the browser writes the one that it took into its profile. */
const PREFERENCES = `
user_pref("marionette.port", 0);
user_pref("app.update.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
`;

export class Firefox {
  #process;
  #profile;
  #socket;
  #received = Buffer.alloc(0);
  #answers = new Map();
  #last = 0;

  static async launch(executable) {
    const firefox = new Firefox();
    try {
      await firefox.#start(executable);
      return firefox;
    } catch (error) {
      await firefox.close();
      throw error;
    }
  }

  async goto(url) {
    await this.#command('WebDriver:Navigate', { url });
  }

  /** Runs a function in the page. */
  async evaluate(body, argument) {
    const script = `const [argument, done] = arguments;
      (async () => (${body})(argument))().then((value) => done({ value }), (error) => done({ error: String(error) }));`;
    const { value } = await this.#command('WebDriver:ExecuteAsyncScript', { script, args: [argument] });
    if (value.error) throw new Error(value.error);
    return value.value;
  }

  async close() {
    this.#socket?.destroy();
    if (this.#process?.exitCode === null) {
      this.#process.kill('SIGKILL');
      await new Promise((ended) => this.#process.once('exit', ended));
    }
    // Children of the browser may write for a moment longer than it lives.
    if (this.#profile) await rm(this.#profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }

  async #start(executable) {
    this.#profile = await mkdtemp(join(tmpdir(), 'wellspring-firefox-'));
    await writeFile(join(this.#profile, 'user.js'), PREFERENCES);
    this.#process = spawn(executable, ['--marionette', '--headless', '--no-remote', '--profile', this.#profile], {
      stdio: 'ignore',
      env: { ...process.env, HOME: this.#profile },
    });
    this.#socket = connect({ host: '127.0.0.1', port: await this.#port() });
    this.#socket.on('data', (data) => this.#take(data));
    this.#socket.on('error', (error) => this.#fail(error));
    this.#socket.on('close', () => this.#fail(new Error('Firefox closed the connection')));
    await this.#command('WebDriver:NewSession', { acceptInsecureCerts: true });
    await this.#command('WebDriver:SetTimeouts', { script: DEADLINE, pageLoad: DEADLINE });
  }

  async #port() {
    for (const end = Date.now() + DEADLINE; Date.now() < end; await pause(50)) {
      if (this.#process.exitCode !== null) throw new Error(`Firefox ended with ${this.#process.exitCode}`);
      const port = Number(await readFile(join(this.#profile, 'MarionetteActivePort'), 'utf8').catch(() => ''));
      if (port > 0) return port;
    }
    throw new Error('Firefox does not listen');
  }

  #command(name, parameters) {
    const id = (this.#last += 1);
    const message = JSON.stringify([0, id, name, parameters]);
    this.#socket.write(`${Buffer.byteLength(message)}:${message}`);
    return new Promise((resolve, reject) => this.#answers.set(id, { resolve, reject }));
  }

  #fail(error) {
    for (const { reject } of this.#answers.values()) reject(error);
    this.#answers.clear();
  }

  /** Messages are `length:JSON`; the first one, which greets, answers nothing. */
  #take(data) {
    this.#received = Buffer.concat([this.#received, data]);
    for (;;) {
      const colon = this.#received.indexOf(':');
      if (colon < 0) return;
      const end = colon + 1 + Number(this.#received.subarray(0, colon));
      if (this.#received.length < end) return;
      const message = JSON.parse(this.#received.subarray(colon + 1, end));
      this.#received = this.#received.subarray(end);
      if (!Array.isArray(message)) continue;
      const [, id, error, result] = message;
      const answer = this.#answers.get(id);
      this.#answers.delete(id);
      if (error) answer?.reject(new Error(`${error.error}: ${error.message}`));
      else answer?.resolve(result);
    }
  }
}
