package ledger

import (
	"time"

	"github.com/sluicehq/sluice/accounting"
)

// Capture is the prompt and the answer of an exchange, where the operator wants them kept.
type Capture struct {
	UID accounting.UID
	ID  string
	// Request and Answer are kept as they are; the ledger keeps the slices. The caller
	// bounds them and says with RequestCut and AnswerCut that there was more.
	Request, Answer       []byte
	RequestCut, AnswerCut bool
}

// captures are what is kept of prompts and answers.
var captureTable = &table{name: "captures", columns: []column{
	{"uid", "bytea"},
	{"id", "text"},
	{"captured_at", "bigint"},
	{"request", "bytea"},
	{"request_cut", "boolean"},
	{"answer", "bytea"},
	{"answer_cut", "boolean"},
}}

var insertCaptures = insertInto(captureTable, "ON CONFLICT DO NOTHING")

func (c *Capture) size() int { return len(c.Request) + len(c.Answer) }

func (c *Capture) row(now time.Time) []any {
	return []any{c.UID[:], name(c.ID), micros(now), filled(c.Request), c.RequestCut, filled(c.Answer), c.AnswerCut}
}

// filled is b, or an empty slice for nil, which would be NULL.
func filled(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
