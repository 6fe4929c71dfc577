package cohere

import (
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// citations are the places of an answer that rest on a tool's output or a document. The
// hub has nothing like them, so they go with the message as Cohere's own data.
type citations struct{ list []byte }

// maxCitations bounds them in bytes, as each repeats its source. Later ones are left out.
const maxCitations = 64 << 10

// add takes in a citation or a list of them.
func (c *citations) add(v jsonview.Value) {
	for _, one := range v.Elements {
		c.add(one)
	}
	if !v.IsObject() || len(c.list)+len(v.Raw) > maxCitations {
		return
	}
	if len(c.list) > 0 {
		c.list = append(c.list, ',')
	}
	c.list = jsonview.AppendCompact(c.list, v.Raw)
}

// carry attaches them to the message.
func (c *citations) carry(to translate.Sink) {
	if len(c.list) > 0 {
		to.Carry(0, vendor, `{"citations":[`+string(c.list)+`]}`)
	}
}
