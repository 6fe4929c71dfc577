package wire

import (
	"slices"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// AnswerTool is a tool whose arguments are the answer, for a model that knows no schemas
// for its answers but those of tools. Its name is none of the client's tools.
func AnswerTool(chat *translate.Chat) *translate.Tool {
	const longest = 60 // so that there is room to make it another
	f := &chat.Format
	name := f.Name
	if name == "" || translate.CallID(name, longest, translate.IsWord) != name {
		name = "answer"
	}
	for slices.ContainsFunc(chat.Tools, func(t translate.Tool) bool { return t.Name == name }) {
		name += "_"
	}
	description := f.Description
	if description.Inside() == "" {
		description = jsonview.Value{Raw: `"Gives the answer to the user. The arguments are the whole answer."`}
	}
	return &translate.Tool{Name: name, Description: description, Parameters: f.Schema}
}
