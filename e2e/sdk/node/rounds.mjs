// Plays scenarios on many models one after the other, and reports all of them at once.

import { Seen, prompt, report } from "./report.mjs";

/** What was seen in one scenario on one model. */
export class Round extends Seen {
  form = null; // of a structured answer
  carried = false; // the message shows what is to come back with it

  constructor(model, scenario) {
    super();
    this.model = model;
    this.scenario = scenario;
    // A prompt that tells the provider which scenario this is.
    this.prompt = `[${scenario.split("_")[0]}] ${prompt}`;
  }

  toJSON() {
    return { ...super.toJSON(), model: this.model, scenario: this.scenario, form: this.form, carried: this.carried };
  }
}

// What to play of all there is.
const chosen = process.env.SCENARIOS?.split(" ");

/** Plays the scenarios, each a function of a Round, under their names. */
export async function play(scenarios) {
  const rounds = [];
  for (const model of process.env.MODELS.split(" ")) {
    for (const [name, scenario] of Object.entries(scenarios)) {
      if (chosen && !chosen.includes(name)) continue;
      const round = new Round(model, name);
      try {
        await scenario(round);
      } catch (error) {
        round.fail(error); // each is a result
        round.error.status ??= error.statusCode;
        round.error.retry_after ??= error.responseHeaders?.["retry-after"];
        round.error.trace = error.stack;
      }
      rounds.push(round);
    }
  }
  await report({ rounds });
}
