package wire

import "github.com/sluicehq/sluice/translate"

// RefuseForModel refuses what the model is known to refuse and what an answer would be
// another without.
func RefuseForModel(c *translate.Context, chat *translate.Chat) *translate.Error {
	for _, member := range [...]struct {
		name  string
		asked bool
	}{
		{"tools", len(chat.Tools) > 0 && chat.Choice.Mode != "none"},
		{"response_format", chat.Format.Type != ""},
		{"n", chat.N > 1},
		{"stop", len(chat.Stop) > 0},
	} {
		if member.asked && c.Known.Refused(member.name) {
			return translate.Unsupported(member.name, "this model refuses it")
		}
	}
	return nil
}

// Takes tells whether to send a member that an answer is as good without. If the model
// refuses it, the client is warned.
func Takes(c *translate.Context, name string) bool {
	if !c.Known.Refused(name) {
		return true
	}
	c.Warn("'" + name + "' was dropped: this model refuses it.")
	return false
}

// LeftOut warns of what messages and tools have and most providers have not: names of
// participants, and marks of what to cache.
func LeftOut(c *translate.Context, chat *translate.Chat) {
	named, marked := false, false
	for i := range chat.Messages {
		m := &chat.Messages[i]
		named = named || m.Name != "" && m.Role != translate.RoleTool
		marked = marked || m.CacheControl.Exists()
		for j := range m.Parts {
			marked = marked || m.Parts[j].CacheControl.Exists()
		}
	}
	for i := range chat.Tools {
		marked = marked || chat.Tools[i].CacheControl.Exists()
	}
	if named {
		c.Warn("'name' of messages was dropped: the provider of this model has nothing like it.")
	}
	if marked {
		c.Warn("'cache_control' was dropped: the provider of this model has nothing like it.")
	}
}
