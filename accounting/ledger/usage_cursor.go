package ledger

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
)

// cursorPart is a dimension and its value in the last row of an answer.
type cursorPart struct {
	By    Dimension `json:"by"`
	Value string    `json:"value"`
}

// cursorOf names the place behind a row. values are those of its dimensions.
func cursorOf(by []Dimension, values []any) string {
	parts := make([]cursorPart, len(by))
	for i, d := range by {
		parts[i].By = d
		switch v := values[i].(type) {
		case int64:
			parts[i].Value = strconv.FormatInt(v, 10)
		case string:
			parts[i].Value = v
		}
	}
	text, _ := json.Marshal(parts) // strings always have a JSON form
	return base64.RawURLEncoding.EncodeToString(text)
}

// parseCursor returns the values of the dimensions by in a cursor.
func parseCursor(cursor string, by []Dimension) ([]any, error) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return nil, ErrBadCursor
	}
	var parts []cursorPart
	if err := json.Unmarshal(text, &parts); err != nil || len(parts) != len(by) || len(by) == 0 {
		return nil, ErrBadCursor
	}
	values := make([]any, len(by))
	for i, part := range parts {
		switch {
		case part.By != by[i] || !isText(part.Value):
			return nil, ErrBadCursor
		case part.By == ByDay:
			day, err := strconv.ParseInt(part.Value, 10, 32)
			if err != nil {
				return nil, ErrBadCursor
			}
			values[i] = day
		default:
			values[i] = part.Value
		}
	}
	return values, nil
}
