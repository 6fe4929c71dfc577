package fakeprovider

import (
	"net/http"
	"strconv"
	"time"
)

// Refusal answers with an error status, an error body and further fields, as one of
// RetryAfterForms.
func Refusal(status int, fields ...string) Script {
	return func(e *Exchange) {
		e.JSON(status, ErrorBody("not now: "+strconv.Itoa(status), "server_error", "refused"), fields...)
	}
}

// RetryAfterForm is a way to say when to come again, or something that looks like one.
type RetryAfterForm struct {
	Name string
	// Fields are those of the head; Says is the pause they ask for, negative if they
	// ask for none that can be understood.
	Fields []string
	Says   time.Duration
}

// RetryAfterForms are the forms of RFC 9110, section 10.2.3, those that providers use, and
// values that make no sense. Dates are from now on, to the second.
func RetryAfterForms() []RetryAfterForm {
	date := func(in time.Duration) string { return time.Now().Add(in).UTC().Format(http.TimeFormat) }
	const none = -1
	return []RetryAfterForm{
		{"none", nil, none},
		{"seconds", []string{"Retry-After: 1"}, time.Second},
		{"no time", []string{"Retry-After: 0"}, 0},
		{"with spaces", []string{"Retry-After:   2  "}, 2 * time.Second},
		{"a date", []string{"Retry-After: " + date(2*time.Second)}, 2 * time.Second},
		{"a date that has passed", []string{"Retry-After: " + date(-time.Hour)}, 0},
		{"milliseconds", []string{"retry-after-ms: 150"}, 150 * time.Millisecond},
		{"milliseconds beside seconds", []string{"retry-after-ms: 150", "Retry-After: 1"}, 150 * time.Millisecond},
		{"a day", []string{"Retry-After: 86400"}, 24 * time.Hour},
		{"far too long", []string{"Retry-After: 99999999999999999999"}, none},
		{"less than nothing", []string{"Retry-After: -5"}, none},
		{"a fraction", []string{"Retry-After: 1.5"}, none},
		{"a word", []string{"Retry-After: soon"}, none},
		{"empty", []string{"Retry-After:"}, none},
		{"said twice", []string{"Retry-After: 1", "Retry-After: 1"}, time.Second},
	}
}
