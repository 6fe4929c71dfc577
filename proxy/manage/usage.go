package manage

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/ledger"
	"github.com/sluicehq/sluice/translate"
)

// Bounds of the questions for usage.
const (
	// usageAtOnce leaves connections to the database for those who write to it.
	usageAtOnce  = 2
	defaultLimit = 1000
	maxLimit     = 10000
)

// usagePage is the answer to a question for usage.
type usagePage struct {
	Object     string         `json:"object"`
	Data       []ledger.Usage `json:"data"`
	Next       *string        `json:"next"`
	Incomplete []string       `json:"incomplete"`
}

// usage answers what was used.
func (a *API) usage(rc *fasthttp.RequestCtx) error {
	query, err := usageQuery(rc.QueryArgs(), time.Now())
	if err != nil {
		return err
	}
	if a.Books == nil {
		return translate.NewError(translate.CodeNoLedger)
	}
	ctx, cancel := limited(usageTime)
	defer cancel()
	select {
	case a.asking <- struct{}{}:
		defer func() { <-a.asking }()
	case <-ctx.Done():
		return ctx.Err()
	}
	page, err := a.Books.Usage(ctx, query)
	switch {
	case errors.Is(err, ledger.ErrBadCursor):
		return invalidValue("cursor", "must be the next of an answer to the same question")
	case errors.Is(err, ledger.ErrBadQuery):
		return invalidValue("", err.Error())
	case err != nil:
		return err
	}
	answer := usagePage{Object: "list", Data: page.Rows, Incomplete: page.Incomplete}
	if page.Next != "" {
		answer.Next = &page.Next
	}
	if answer.Data == nil {
		answer.Data = []ledger.Usage{}
	}
	if answer.Incomplete == nil {
		answer.Incomplete = []string{}
	}
	return writeJSON(rc, fasthttp.StatusOK, answer)
}

// usageQuery reads the parameters of a question for usage.
func usageQuery(args *fasthttp.Args, now time.Time) (ledger.Query, error) {
	q := ledger.Query{Limit: defaultLimit}
	for name, value := range args.All() {
		if err := setParameter(&q, string(name), string(value), now); err != nil {
			return q, err
		}
	}
	if !q.Since.IsZero() && !q.Until.IsZero() && !q.Since.Before(q.Until) {
		return q, invalidValue("until", "must be later than since")
	}
	return q, nil
}

// setParameter puts one parameter into a query. Those for names may come several times.
func setParameter(q *ledger.Query, name, value string, now time.Time) (err error) {
	if !utf8.ValidString(value) || strings.Contains(value, "\x00") {
		return invalidValue(name, "must be text in UTF-8")
	}
	switch name {
	case "by":
		return setDimensions(q, value)
	case "since":
		q.Since, err = ledger.ParseMoment(value, now)
	case "until":
		q.Until, err = ledger.ParseMoment(value, now)
	case "key":
		q.Keys = append(q.Keys, value)
	case "model":
		q.Models = append(q.Models, value)
	case "provider":
		q.Providers = append(q.Providers, value)
	case "outcome":
		if !accounting.Outcome(value).Valid() {
			return invalidValue(name, "must be one of the outcomes")
		}
		q.Outcomes = append(q.Outcomes, value)
	case "cursor":
		q.After = value
	case "limit":
		if q.Limit, err = strconv.Atoi(value); err != nil || q.Limit < 1 || q.Limit > maxLimit {
			return invalidValue(name, "must be a whole number from 1 to "+strconv.Itoa(maxLimit))
		}
	default:
		return invalidValue(name, "there is no such parameter")
	}
	if err != nil {
		return invalidValue(name, err.Error())
	}
	return nil
}

// setDimensions reads a list of dimensions with commas in between.
func setDimensions(q *ledger.Query, list string) error {
	for name := range strings.SplitSeq(list, ",") {
		if name == "" {
			continue
		}
		d, err := ledger.ParseDimension(name)
		if err != nil {
			return invalidValue("by", err.Error())
		}
		if slices.Contains(q.By, d) {
			return invalidValue("by", string(d)+" is named twice")
		}
		q.By = append(q.By, d)
	}
	return nil
}
