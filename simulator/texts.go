package simulator

import (
	"hash/fnv"
	"strings"
)

// shortAnswers are what sim says; the request decides which.
var shortAnswers = []string{
	"Hello! This is the sluice simulator. Every word you see arrived as an event of its own, just as it would from a real provider.",
	"Good to hear from you. No key and no network were needed for this answer: it comes from the simulator built into sluice.",
	"Here is a small answer, streamed word by word. Hang up whenever you like; the simulator will notice and stop at once.",
	"I am only a simulator, so I cannot help with that yet, but the stream you are reading has the shape of a real one.",
}

const reasoningText = "The caller wants an answer. A short one will do, so I will greet them and say where the words come from."

const afterToolText = "Thank you, the tool has answered, and that is all I needed. The task is done."

// longAnswer has 400 tokens.
var longAnswer = strings.Join([]string{
	"A sluice is a gate that lets water through and holds it back.",
	"Millers built the first ones out of oak, set them into the bank of a stream, and raised them by hand when there was grain to grind.",
	"When the work was done the gate came down, because water that runs past an idle wheel is water lost.",
	"The idea is older than any mill.",
	"Farmers along great rivers cut channels to their fields and closed them with planks, and whoever kept the planks kept the peace, since every field was thirsty at the same time.",
	"A good gate has three virtues.",
	"It opens without delay, for a wheel that waits for water earns nothing.",
	"It measures what flows, for neighbours who share a stream like to know who used how much.",
	"And it shuts at once, without a trickle, the moment nobody below needs the water any more.",
	"The third virtue is the hardest one.",
	"Wood swells, hinges rust, and a stone carried down by the flood may lodge under the edge and hold the gate open through the night.",
	"So the keeper walks the bank and listens for the sound of running water.",
	"Later came iron wheels and screws, and a child could close a gate that once took two strong men.",
	"Canals were dug across whole countries, and ships climbed hills in steps, lifted by nothing but water let in from above and let out below.",
	"Each step had its gates, each pair of gates its keeper, and each keeper a small book in which every ship and every filling was written down with its hour.",
	"Those books are still a pleasure to read.",
	"They tell of dry summers, of hurried captains, and of one winter morning when the ice held so firmly that the gates stayed closed for nine days and the keeper wrote the same short line each evening.",
	"Nothing passed, he wrote, and nothing was lost.",
	"It says that the count was true even when the count was zero, and that a gate which stays shut is doing its work as well as one which stands open in the sun.",
}, " ")

// pick chooses one of n by the text, the same one every time.
func pick(text string, n int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(text))
	return int(h.Sum32() % uint32(n))
}
