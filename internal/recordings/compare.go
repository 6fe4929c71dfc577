package recordings

import (
	"fmt"
	"maps"
	"slices"

	"github.com/sluicehq/sluice/internal/chatrules"
)

// Differences holds what a client got against the recording that it was made of, and
// names what differs: text, reasoning, refusal, pictures, tool calls, the finish reason
// of a whole answer, and usage where the client has any. An id of a call counts where
// the provider gave one. Usage may have the provider's own names.
func (r *Reading) Differences(got *chatrules.Answer) (differences []string) {
	differ := func(what string, want, got any) {
		if fmt.Sprint(want) != fmt.Sprint(got) {
			differences = append(differences, fmt.Sprintf("%s: the recording has %q, the client %q", what, want, got))
		}
	}
	switch {
	case got.RawUsage != nil:
		differ("usage", fmt.Sprint(r.Usage), fmt.Sprint(ChatUsage(got.RawUsage)))
	case got.Usage != nil:
		differ("usage", fmt.Sprint(r.Usage), fmt.Sprint(got.Usage))
	}
	theirs := map[int]*chatrules.Choice{}
	for _, c := range got.Choices {
		theirs[c.Index] = c
	}
	ours := map[int]*Choice{}
	for _, c := range r.Choices {
		ours[c.Index] = c
	}
	for _, index := range slices.Sorted(maps.Keys(merged(ours, theirs))) {
		want, got := ours[index], theirs[index]
		if want == nil || got == nil {
			if r.Whole {
				differ(fmt.Sprintf("choice %d", index), want != nil, got != nil)
			}
			continue
		}
		label := func(what string) string { return fmt.Sprintf("%s of choice %d", what, index) }
		differ(label("text"), want.Text, got.Text)
		differ(label("reasoning"), want.Reasoning, got.Reasoning)
		differ(label("refusal"), want.Refusal, got.Refusal)
		differ(label("images"), want.Images, got.Images)
		differ(label("tool calls"), want.Calls, callsOf(got, want))
		if r.Whole {
			differ(label("finish"), want.Finish, got.Finish)
		}
	}
	return differences
}

func merged(a map[int]*Choice, b map[int]*chatrules.Choice) map[int]bool {
	keys := map[int]bool{}
	for k := range a {
		keys[k] = true
	}
	for k := range b {
		keys[k] = true
	}
	return keys
}

// callsOf are a client's calls in the form of a reading.
func callsOf(got *chatrules.Choice, want *Choice) (calls []Call) {
	for i, c := range got.Calls {
		call := Call{Name: c.Name, Arguments: Canonical(c.Arguments), ID: c.ID}
		if i < len(want.Calls) {
			if want.Calls[i].ID == "" {
				call.ID = ""
			}
			// nobody executes a call that was cut
			if call.Arguments == "" && want.Finish != toolCalls {
				call.Arguments = want.Calls[i].Arguments
			}
		}
		calls = append(calls, call)
	}
	return calls
}
