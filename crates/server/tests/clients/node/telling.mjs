// What every script here begins and ends with: its arguments, and the one JSON object that it prints.

/** What the test wants: `{"base": URL, …}`. */
export const wanted = JSON.parse(process.argv[2]);

/** The text as it comes, and what went wrong that should not have. */
export const told = {
  text: '',
  deltas: 0,
  resumes: 0,
  errors: [],
  add(text) {
    if (!text) return;
    this.text += text;
    this.deltas += 1;
  },
};

/** Runs the script, and prints. */
export async function tell(script) {
  try {
    await script();
  } catch (error) {
    told.errors.push(String(error?.stack ?? error));
  }
  process.stdout.write(JSON.stringify(told), () => process.exit());
}
